"""What the Singer SDK asks of a target, and Fivetran of a destination, asked of each record's load.

A record of each kind is taken from the sandbox's own answers and written down in the ways of the
target tests' fixtures, whose names stand in the docstrings. One case is one row, told by its id.
"""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.scope import Filters, Spool
from harvest_pipeline_tests.acceptance.copy import ASKED, Copy

#: Records with an id of their own.
TARGETS = tuple(record for record in ASKED if record.key == "id")

Json = dict[str, Any]
Row = dict[str, Any]

PLAIN, SPECIAL, CAMEL, SPARSE, ARRAY, OLD_KEY, NEW_KEY, WIDER, NARROWER = range(1, 10)
SPECIAL_FIELDS: Json = {"a.b": 1, "it's": 2, 'say "x"': 3, "@d[0]$e%": 4, "ä ö": 5, "; DROP": 6}
CAMEL_FIELDS: Json = {"Id": 99, "updatedAt": "soon", "UPDATED_AT": "later"}
ARRAYS: Json = {"fruits": ["apple", "orange"], "nested": [[1], []], "empty": []}


@dataclass(frozen=True)
class Target:
    """A record, as it came, and its rows by id after changes of nothing were loaded into an empty
    database, after the first and after the second load."""

    record: Record
    sent: Json
    of_nothing: dict[int, Row]
    first: dict[int, Row]
    second: dict[int, Row]


@dataclass(frozen=True)
class Loads:
    """Three loads of each record: changes of nothing into an empty database, and two of rows."""

    of_nothing: Spool
    first: Spool
    second: Spool


@pytest.fixture(scope="module")
def targets(
    copied: Copy, answers: dict[str, Spool], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Target]:
    place = Copy(copied.sandbox, copied.client, tmp_path_factory.mktemp("target"))
    sent: dict[str, Json] = {}
    loads: list[Loads] = []
    for record in TARGETS:
        answer = answers[record.name]
        sent[record.name] = json.loads(answer.path.read_text("utf-8").splitlines()[0])
        loads.append(_loads(record, sent[record.name], answer, place.folder))
    rows: list[dict[str, dict[int, Row]]] = []
    for spools in zip(*((each.of_nothing, each.first, each.second) for each in loads), strict=True):
        place.store(spools)
        rows.append(_rows(place))
    return {
        record.name: Target(record, sent[record.name], *(each[record.name] for each in rows))
        for record in TARGETS
    }


@pytest.fixture(params=TARGETS, ids=lambda record: record.name)
def target(targets: dict[str, Target], request: pytest.FixtureRequest) -> Target:
    return targets[request.param.name]


def _loads(record: Record, sent: Json, like: Spool, folder: Path) -> Loads:
    """The cases, written down."""
    needed = _needed(record)
    optional = {column.path[0] for column in record.columns if column.path[0] not in needed}
    plain = {**sent, "id": PLAIN}
    kept = [
        {**plain, "id": SPECIAL, **SPECIAL_FIELDS},
        {**plain, "id": CAMEL, **CAMEL_FIELDS},
        {key: value for key, value in {**plain, "id": SPARSE}.items() if key not in optional},
        {**plain, "id": ARRAY, **ARRAYS},
    ]
    narrower = {key: value for key, value in plain.items() if key != "created_at"}
    second = [
        {**plain, "updated_at": "2030-01-01T00:00:00Z"},
        *kept,
        {**plain, "id": NEW_KEY},
        {**plain, "id": WIDER, "added": {"later": True}},
        {**narrower, "id": NARROWER},
    ]
    changes = replace(like.scope, filters=Filters(updated_since=datetime(2026, 1, 1, tzinfo=UTC)))
    return Loads(
        _spool(replace(like, scope=changes), folder / f"{record.name}-0", []),
        _spool(like, folder / f"{record.name}-1", [plain, *kept, {**plain, "id": OLD_KEY}]),
        _spool(like, folder / f"{record.name}-2", second),
    )


def _rows(place: Copy) -> dict[str, dict[int, Row]]:
    """What is in the tables, by record and id."""
    found: dict[str, dict[int, Row]] = {}
    with place.warehouse.reader() as connection:
        for record in TARGETS:
            cursor = connection.execute(f"SELECT * FROM {record.name}")
            names = [each[0] for each in cursor.description or ()]
            every = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            found[record.name] = {row["id"]: row for row in every}
    return found


def test_a_record_that_comes_again_is_one_row_with_its_latest_values(target: Target) -> None:
    """Singer target: duplicate_records; Fivetran: upsert, update."""
    latest = target.second[PLAIN]
    assert latest["updated_at"] == datetime(2030, 1, 1, tzinfo=UTC)
    assert len(target.second) == 8


def test_a_record_with_another_key_takes_the_place_of_the_old_one(target: Target) -> None:
    """Singer target: pk_updates; Fivetran: delete."""
    assert OLD_KEY in target.first
    assert OLD_KEY not in target.second
    assert _without(target.second[NEW_KEY]) == _without(target.first[OLD_KEY])


def test_a_field_that_is_new_is_kept_and_one_that_is_gone_is_empty(target: Target) -> None:
    """Singer target: schema_updates; Fivetran: the three schema migration files."""
    assert json.loads(target.second[WIDER]["_extra"]) == {"added": {"later": True}}
    assert target.second[NARROWER]["created_at"] is None
    assert target.second[PLAIN]["created_at"] == target.first[PLAIN]["created_at"] is not None


def test_names_with_special_characters_are_kept_as_they_came(target: Target) -> None:
    """Singer target: special_chars_in_attributes."""
    assert json.loads(target.second[SPECIAL]["_extra"]) == SPECIAL_FIELDS
    assert _without(target.second[SPECIAL]) == _without(target.first[PLAIN])


def test_names_that_differ_in_their_capitals_only_are_different_fields(target: Target) -> None:
    """Singer target: camelcase. DuckDB itself does not tell the names of columns apart by case."""
    assert json.loads(target.second[CAMEL]["_extra"]) == CAMEL_FIELDS
    assert _without(target.second[CAMEL]) == _without(target.first[PLAIN])


def test_fields_that_are_missing_are_empty_and_the_others_are_there(target: Target) -> None:
    """Singer target: record_missing_fields, optional_attributes."""
    needed = _needed(target.record)
    for column in target.record.columns:
        value = target.first[SPARSE][column.name]
        if column.path[0] in needed:
            expected = SPARSE if column.name == "id" else target.first[PLAIN][column.name]
            assert value == expected, column.name
        else:
            assert value is None, column.name


def test_lists_are_kept_whole(target: Target) -> None:
    """Singer target: array_data."""
    assert json.loads(target.second[ARRAY]["_extra"]) == ARRAYS
    for column in target.record.columns:
        if column.type == "JSON":
            assert json.loads(target.second[ARRAY][column.name]) == target.sent[column.path[0]]


def test_a_change_of_what_is_not_there_is_nothing(target: Target) -> None:
    """Fivetran: an operation on a record or table that does not exist is safely ignored."""
    assert target.of_nothing == {}


def _spool(like: Spool, path: Path, rows: list[Json]) -> Spool:
    """A spool of these records and of the scope of another one; whose parents are not looked at."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return replace(like, path=path, rows=len(rows), total_entries=len(rows), parents=())


def _needed(record: Record) -> set[str]:
    """The keys without which a record is not one: its id, its day, and what its parent gives."""
    parents = {column.path[0] for column in record.parent_columns}
    return {record.key, *([record.day] if record.day else []), *parents}


def _without(row: Row) -> Row:
    """What was sent in the columns."""
    return {name: row[name] for name in row if name not in ("id", "_loaded_at", "_extra")}
