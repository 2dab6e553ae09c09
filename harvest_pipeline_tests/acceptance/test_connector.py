"""What Airbyte asks of a source, asked of each of the 18 reports.

The names in the docstrings are those of the connector acceptance tests (CAT) of Airbyte, and of the
tests that the Singer SDK generates for each stream of a tap. docs/acceptance.md has all of them.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from harvest_pipeline.catalogue.columns import LIST, Report
from harvest_pipeline.catalogue.records import records_inside
from harvest_pipeline.catalogue.reports import REPORTS, record_of
from harvest_pipeline.orchestration.metadata import definition_metadata
from harvest_pipeline.scope import Filters, Spool
from harvest_pipeline.settings.datasets import report_datasets
from harvest_pipeline.warehouse.tables import EXTRA, LOADED_AT
from harvest_pipeline_tests.acceptance.copy import ASKED, Copy, Query, columns
from harvest_pipeline_tests.equal import differences

#: No task of the sandbox has a rate of its own; and a history of weeks has no new rates, and few
#: estimates.
NEVER_SEEN = {
    ("tasks", "default_hourly_rate"),
    ("estimates", "tax2"),
    *(
        (f"{kind}_rates", f"{end}_date")
        for kind in ("billable", "cost")
        for end in ("start", "end")
    ),
}
#: Reports of what Harvest can be asked for since an instant; messages of estimates are read whole.
CHANGING = [
    each
    for each in REPORTS.values()
    if "updated_since" in record_of(each).filters and each.name != "estimate_messages"
]
PYTHON: dict[str, type] = {
    "BIGINT": int,
    "DECIMAL(38,18)": Decimal,
    "DECIMAL(38,6)": Decimal,
    "VARCHAR": str,
    "BOOLEAN": bool,
    "DATE": date,
    "TIMESTAMPTZ": datetime,
    "JSON": str,
}


@pytest.fixture(scope="module")
def compared(copied: Copy) -> list[str]:
    return differences(copied.database, copied.sandbox.account)


@pytest.fixture(scope="module")
def raw(answers: dict[str, Spool]) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [msgspec.json.decode(line) for line in spool.path.read_bytes().splitlines()]
        for name, spool in answers.items()
    }


@dataclass(frozen=True)
class ReadAgain:
    """Reads of each record from a state: how many rows came, and all that was there before and
    after the load of those from the end of time."""

    rows: Counter[tuple[str, str]]
    before: dict[str, list[tuple[Any, ...]]]
    after: dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def read_again(copied: Copy) -> ReadAgain:
    now = copied.sandbox.account.clock.now()
    states = {"now": now + timedelta(seconds=1), "far": datetime(9999, 12, 31, tzinfo=UTC)}
    before, rows, far = copied.content(), Counter[tuple[str, str]](), list[Spool]()
    for name, since in states.items():
        for record in dict.fromkeys(map(record_of, CHANGING)):
            for spool in copied.spools(record.name, filters=Filters(updated_since=since), run=name):
                # On the way to their children parents are read as well, and whole.
                if spool.scope.record == record.name:
                    rows[name, record.name] += spool.rows
                    far += [spool] if name == "far" else []
    copied.store(far, "far")
    return ReadAgain(rows, before, copied.content())


@pytest.fixture(scope="module")
def in_slices(
    copied: Copy, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[tuple[Any, ...]]]:
    """What the same account becomes if its days are read in two slices, the later one first."""
    sliced = Copy(copied.sandbox, copied.client, tmp_path_factory.mktemp("slices"))
    with_days = [record.name for record in ASKED if record.day]
    for window in reversed(copied.everything().halves()):
        sliced.load(*with_days, window=window)
    with sliced.reading() as query:
        return {
            name: query(f"SELECT * EXCLUDE (_loaded_at) FROM {name} ORDER BY ALL")
            for name in with_days
        }


def test_the_columns_that_dagster_shows_are_those_of_the_table(
    query: Query, report: Report
) -> None:
    """CAT TestDiscovery: discover, streams_have_valid_json_schemas; Singer: schema_is_valid."""
    (dataset,) = (each for each in report_datasets() if each.name == report.name)
    shown = definition_metadata(dataset, "harvest")["dagster/column_schema"]
    declared = {column.name: column.type for column in shown.columns}
    table = columns(query)[report.name]
    assert {**declared, LOADED_AT.name: LOADED_AT.type, EXTRA.name: EXTRA.type} == {
        name: {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}.get(type, type)
        for name, type in table.items()
    }


def test_its_key_day_and_time_of_change_are_columns(query: Query, report: Report) -> None:
    """CAT TestDiscovery: defined_cursors_exist_in_schema, primary_keys_exist_in_schema,
    primary_keys_data_type; TestConnectorAttributes: streams_define_primary_key."""
    record, types = record_of(report), columns(query)[report.name]
    assert types[record.key] == "BIGINT"
    if any(column.name == "updated_at" for column in record.columns):
        assert types["updated_at"] == "TIMESTAMP WITH TIME ZONE"
    if record.day:
        assert types[record.day] == "DATE"


def test_no_key_is_empty_or_there_twice(query: Query, report: Report) -> None:
    """CAT TestBasicRead: read (primary keys); Singer: primary_keys."""
    key = record_of(report).key
    counts = f"SELECT count(*), count({key}), count(DISTINCT {key}) FROM {report.name}"
    [(rows, keys, distinct)] = query(counts)
    assert rows == keys == distinct


def test_it_brings_every_record_and_every_value(
    query: Query, compared: list[str], report: Report
) -> None:
    """CAT TestBasicRead: read (no empty stream, expected records); Singer: returns_record."""
    record = record_of(report)
    names = {record.name, *(inner.name for inner in records_inside(record))}
    assert [each for each in compared if each.split()[0].rstrip(":") in names] == []
    [(rows,)] = query(f"SELECT count(*) FROM {report.name}")
    assert rows > 0


def test_every_column_is_seen_with_a_value(query: Query, report: Report) -> None:
    """CAT TestBasicRead: read (data points)."""
    columns = [column.name for column in record_of(report).columns]
    counts = ", ".join(f"count({name})" for name in columns)
    [values] = query(f"SELECT {counts} FROM {report.name}")
    empty = {(report.name, name) for name, count in zip(columns, values, strict=True) if not count}
    assert empty <= NEVER_SEEN


def test_every_key_that_harvest_sends_has_a_column(
    raw: dict[str, list[dict[str, Any]]], report: Report
) -> None:
    """Singer: transformed_catalog_schema_matches_record."""
    record = record_of(report)
    known = {column.path for column in record.columns}
    inside = {inner.envelope for inner in records_inside(record)}
    for row in raw[record.name]:
        sent = {path for path in _paths(row, known) if path[0] not in inside}
        assert sent - known == set()


def test_every_column_stands_in_what_harvest_sends(
    raw: dict[str, list[dict[str, Any]]], report: Report
) -> None:
    """Singer: record_schema_matches_transformed_catalog."""
    record = record_of(report)
    known = {column.path for column in record.columns}
    sent = {path for row in raw[record.name] for path in _paths(row, known)}
    assert known - sent == set()


def test_no_load_missed_a_field_or_met_an_unknown_one(query: Query, report: Report) -> None:
    """CAT TestBasicRead: read (schema); Singer: record_matches_stream_schema."""
    fields = "SELECT DISTINCT unknown_fields, missing_fields FROM _loads"
    assert query(f"{fields} WHERE record = '{report.record}'") == [("{}", "{}")]


def test_values_are_of_the_type_of_their_column(query: Query, report: Report) -> None:
    """Singer, for each attribute: is_datetime, is_boolean, is_integer, is_numeric, is_object."""
    record = record_of(report)
    names = ", ".join(column.name for column in record.columns)
    for row in query(f"SELECT {names} FROM {report.name}"):
        for column, value in zip(record.columns, row, strict=True):
            assert value is None or type(value) is PYTHON[column.type], column.name
            if column.type == LIST and value is not None:
                assert isinstance(msgspec.json.decode(value), list), column.name


def test_what_is_not_said_to_be_nullable_is_never_empty(query: Query, report: Report) -> None:
    """Singer, for each attribute: not_null."""
    required = [
        column.name
        for column in record_of(report).columns
        if not column.nullable and not column.optional
    ]
    empty = " + ".join(f"count(*) FILTER ({name} IS NULL)" for name in required)
    assert query(f"SELECT {empty} FROM {report.name}") == [(0,)]


def test_a_report_with_a_day_has_a_partition_for_each_day_and_the_others_none(
    report: Report,
) -> None:
    """CAT TestDiscovery: streams_has_sync_modes."""
    (dataset,) = (each for each in report_datasets() if each.name == report.name)
    record = record_of(report)
    assert dataset.has_partitions == (record.day is not None and not record.is_snapshot)
    assert ("window" in report.parameters) == dataset.has_partitions
    assert ("updated_since" in report.parameters) == (report in CHANGING)


@pytest.mark.parametrize("report", CHANGING, ids=lambda report: report.name)
def test_a_read_from_now_on_brings_nothing(read_again: ReadAgain, report: Report) -> None:
    """CAT TestIncremental: two_sequential_reads."""
    assert read_again.rows["now", report.record] == 0


@pytest.mark.parametrize("report", CHANGING, ids=lambda report: report.name)
def test_a_read_from_the_end_of_time_brings_nothing_and_takes_nothing_away(
    read_again: ReadAgain, report: Report
) -> None:
    """CAT TestIncremental: state_with_abnormally_large_values; tap-harvest: future_date."""
    assert read_again.rows["far", report.record] == 0
    assert read_again.after[report.record] == read_again.before[report.record]


@pytest.mark.parametrize(
    "report",
    [each for each in REPORTS.values() if "window" in each.parameters],
    ids=lambda report: report.name,
)
def test_slices_of_days_are_together_the_whole(
    read_again: ReadAgain, in_slices: dict[str, list[tuple[Any, ...]]], report: Report
) -> None:
    """CAT TestIncremental: read_sequential_slices."""
    assert in_slices[report.record] == read_again.before[report.record]


def _paths(row: dict[str, Any], known: set[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """The paths to the values of a record; into objects, unless a column holds them whole."""
    for key, value in row.items():
        if isinstance(value, dict):
            for inner in _paths(value, {path[1:] for path in known if path[0] == key}):
                yield (key, *inner)
        elif value is None and (key,) not in known:
            # The whole object is empty: so are its values.
            yield from (path for path in known if path[0] == key)
        else:
            yield (key,)
