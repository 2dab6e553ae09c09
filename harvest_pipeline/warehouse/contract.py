"""What arrived against what the catalogue declares, before anything is deleted.

Belongs here: fields that are new, missing, or not of their column's type.
Does not belong here: how a text becomes a value (values.py).
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

import duckdb

from harvest_pipeline.catalogue.columns import DECIMAL, TEXT, Record
from harvest_pipeline.catalogue.records import records_inside
from harvest_pipeline.warehouse.errors import FieldRetyped, RecordsUnreadable
from harvest_pipeline.warehouse.lines import LINE, Keys, Lines, pointer, text_of
from harvest_pipeline.warehouse.sql import comma, literal
from harvest_pipeline.warehouse.values import is_exact

#: More fields that no column knows, or longer names, are no new version of Harvest.
_MOST_UNKNOWN, _LONGEST_NAME = 500, 200
#: Nor are more fields than this in one object.
_MOST_FIELDS = 1000
_LONGEST_EXAMPLE = 100

#: A member whose number has 15 digits and a point, or more: JSON readers may round it to 64 bits.
_LONG_NUMBER = r'":\s*-?[0-9][0-9.]{15}'


@dataclass(frozen=True, slots=True)
class Drift:
    """The fields that differ from the catalogue, each with the number of records concerned."""

    unknown: Counter[Keys] = field(default_factory=Counter[Keys])
    missing: Counter[Keys] = field(default_factory=Counter[Keys])


def examine(connection: duckdb.DuckDBPyConnection, lines: Lines) -> Drift:
    """Compare the keys of every record with the catalogue's; reads the spool once.

    Raises FieldRetyped if an object or a list stands where a single value is declared or the other
    way round, if a record has no key, if a number has too many digits to be read exactly, or if
    there are more unknown fields than any version of Harvest has. Raises RecordsUnreadable if a
    field comes twice in an object.
    """
    record, drift, long_numbers = lines.record, Drift(), 0
    objects, kinds = _declared_keys(record), _declared_kinds(record)
    most = comma(f"len(keys[{number + 1}])" for number in range(len(objects)))
    shapes = connection.execute(
        # By hash: grouping by the lists themselves takes twice as long.
        "SELECT any_value(keys), any_value(kinds), count(*), count(*) FILTER (long) FROM ("
        f"SELECT CASE WHEN greatest(0, {most}) > {_MOST_FIELDS}"
        " THEN error('a record has too many fields') ELSE keys END AS keys, kinds, long FROM ("
        f"SELECT json_keys({LINE}, [{_pointers(objects)}]) AS keys,"
        f" json_type({LINE}, [{_pointers(kinds)}]) AS kinds,"
        f" regexp_matches({LINE}, {literal(_LONG_NUMBER)}) AS long FROM {lines.whole}"
        ")) GROUP BY hash(keys), hash(kinds)"
    )
    while row := shapes.fetchone():  # one by one: there may be as many as records
        keys, found, count, long = row
        kind_of = dict(zip(kinds, found, strict=True))
        for path, kind in kind_of.items():
            if not _fits(kind, kinds[path]):
                raise _retyped(record, path, kinds[path], kind or "nothing", count)
        for path, present in zip(objects, keys, strict=True):
            if kind_of[path] == "OBJECT":
                _compare(drift, path, objects[path], present, count)
        _refuse_flood(record, drift)
        long_numbers += long
    if long_numbers:
        _refuse_rounded(connection, lines)
    return drift


def refuse_inexact(connection: duckdb.DuckDBPyConnection, lines: Lines) -> None:
    """Raise FieldRetyped for the first column that cannot hold exactly what came.

    Only for the message, after a load has failed: the load itself checks every value.
    """
    columns = lines.record.columns  # all: what DuckDB does not look at, it cannot complain of
    wrong = [
        f"{text_of(column)} IS NOT NULL AND NOT {is_exact(column) or 'true'}" for column in columns
    ]
    counts = comma(f"count(*) FILTER ({condition})" for condition in wrong)
    examples = comma(
        f"min(left({text_of(column)}, {_LONGEST_EXAMPLE})) FILTER ({condition})"
        for column, condition in zip(columns, wrong, strict=True)
    )
    found = connection.execute(
        f"SELECT [{counts}], [{examples}] FROM {lines.texts(columns)} AS texts"
    ).fetchall()[0]
    for column, count, example in zip(columns, *found, strict=True):
        if count:
            raise _retyped(lines.record, column.path, column.type, repr(example), count)


def _declared_keys(record: Record) -> dict[Keys, dict[str, bool]]:
    """The keys of the record (the empty path) and of each object in it; True if required."""
    objects: defaultdict[Keys, dict[str, bool]] = defaultdict(dict)
    for column in record.columns:
        for depth, key in enumerate(column.path):
            keys = objects[column.path[:depth]]
            keys[key] = keys.get(key, False) or not column.optional
    for inner in records_inside(record):
        objects[()][inner.envelope] = True
    return dict(objects)


def _declared_kinds(record: Record) -> dict[Keys, str]:
    """The paths for which it matters whether an object, a list or a single value stands there."""
    kinds: dict[Keys, str] = dict.fromkeys(_declared_keys(record), "an object")
    kinds |= {(inner.envelope,): "a list" for inner in records_inside(record)}
    # A nested value has no number or day in it, so only text would swallow one.
    kinds |= {column.path: "text" for column in record.columns if column.type == TEXT}
    kinds[record.column(record.key).path] = "a key"
    return kinds


def _fits(kind: str | None, expected: str) -> bool:
    """Whether a kind of JSON value may stand where something is expected; None: no such key."""
    if expected == "a key":
        return kind not in (None, "NULL", "OBJECT", "ARRAY")
    if expected == "text":
        return kind not in ("OBJECT", "ARRAY")
    return kind in (None, "NULL", "OBJECT" if expected == "an object" else "ARRAY")


def _compare(
    drift: Drift, path: Keys, declared: dict[str, bool], present: Sequence[str], count: int
) -> None:
    if len(set(present)) < len(present):
        raise RecordsUnreadable(
            f"A field of {'.'.join(path) or 'the records'} came twice in {count} of the records, "
            "which can be read in two ways; nothing was loaded. Harvest sends no such thing: look "
            "at HARVEST_API_URL, and for a proxy in between."
        )
    for key in set(present) - declared.keys():
        drift.unknown[*path, key] += count
    for key, required in declared.items():
        if required and key not in present:
            drift.missing[*path, key] += count


def _refuse_flood(record: Record, drift: Drift) -> None:
    """Raise FieldRetyped if the unknown fields are too many, or have too long names, to be kept."""
    long = any(len(key) > _LONGEST_NAME for path in drift.unknown for key in path)
    if long or len(drift.unknown) > _MOST_UNKNOWN:
        raise FieldRetyped(
            f"The records of {record.name} came with hundreds of unknown fields, or with one whose"
            " name is very long, which no version of Harvest's API has; nothing was loaded. Look at"
            " HARVEST_API_URL, and for a proxy in between."
        )


def _refuse_rounded(connection: duckdb.DuckDBPyConnection, lines: Lines) -> None:
    """Raise FieldRetyped if a decimal of a suspicious line does not survive 64-bit reading."""
    suspects = connection.execute(
        f"SELECT {LINE}::VARCHAR FROM {lines.whole}"
        f" WHERE regexp_matches({LINE}, {literal(_LONG_NUMBER)})"
    )
    rounded: defaultdict[Keys, list[Decimal]] = defaultdict(list)
    while row := suspects.fetchone():
        # Whole numbers are read exactly, and may have more digits than `int` takes.
        line = json.loads(row[0], parse_float=Decimal, parse_int=str)
        for path, number in _decimals(lines.record, line):
            if Decimal(repr(float(number))) != number:
                rounded[path].append(number)
    for path, numbers in rounded.items():
        example = str(numbers[0])[:_LONGEST_EXAMPLE]
        raise _retyped(lines.record, path, DECIMAL, example, len(numbers))


def _decimals(record: Record, line: dict[str, Any]) -> Iterator[tuple[Keys, Decimal]]:
    """The values of decimal columns that have a point, in a line and the lists inside it."""
    for column in record.columns:
        value: Any = line
        for key in column.path:
            value = cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None
        if column.type == DECIMAL and isinstance(value, Decimal):
            yield column.path, value
    for inner in records_inside(record):
        for element in line.get(inner.envelope) or ():
            for path, value in _decimals(inner, element):
                yield (inner.envelope, *path), value


def _retyped(record: Record, path: Keys, expected: str, came: str, count: int) -> FieldRetyped:
    return FieldRetyped(
        f"The field {'.'.join(path)} of {record.name} is declared as {expected}, and {came} came in"
        f" {count} of the records; nothing was loaded. Harvest has changed: a newer version of this"
        " project may know the new form."
    )


def _pointers(paths: Iterable[Keys]) -> str:
    return comma(literal(pointer(path)) for path in paths)
