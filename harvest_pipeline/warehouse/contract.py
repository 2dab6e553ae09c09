"""Compares the records of a spool with the catalogue's declarations, before anything is deleted."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

import duckdb

from harvest_pipeline.catalogue.columns import DECIMAL, INTEGER, RATE, TEXT, Column, Record
from harvest_pipeline.catalogue.records import records_inside
from harvest_pipeline.safety.text import one_line
from harvest_pipeline.warehouse.errors import FieldRetyped
from harvest_pipeline.warehouse.json_lines import LINE, Keys, Lines, is_exact, pointer, text_of
from harvest_pipeline.warehouse.sql import comma, literal

#: More fields than this in one object, or in total without a column, or longer names, are not a new
#: version of Harvest.
_MOST_FIELDS, _LONGEST_NAME = 500, 200
_LONGEST_EXAMPLE = 100

#: A value whose number has 15 digits and a point, or more: JSON readers may round it to 64 bits.
_LONG_NUMBER = r'":\s*-?[0-9][0-9.]{15}'


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a record does not fit its table: the path to one of its fields, and what is wrong with
    it, as in "is declared as DATE, and 'soon' came"."""

    path: Keys
    reason: str


#: By the id of the record; if a line of an invoice does not fit, its invoice does not either.
Misfits = dict[int, Misfit]


@dataclass(frozen=True, slots=True)
class Drift:
    """The fields that differ from the catalogue, each with the number of records concerned; and the
    records that do not fit it."""

    unknown: Counter[Keys] = field(default_factory=Counter[Keys])
    missing: Counter[Keys] = field(default_factory=Counter[Keys])
    misfits: Misfits = field(default_factory=Misfits)


def examine(connection: duckdb.DuckDBPyConnection, lines: Lines) -> Drift:
    """Compare the keys of every record with the catalogue's; reads the spool once.

    A record does not fit if an object or a list is found where a single value is declared or vice
    versa, if a field occurs twice in an object, if it has more fields than any record, or if a
    number has too many digits to be read exactly. Raises FieldRetyped if there are more unknown
    fields than any version of Harvest has, or if an id is not a number.
    """
    record, drift, long_numbers = lines.record, Drift(), 0
    objects, kinds = _declared_keys(record), _declared_kinds(record)
    most = comma(f"len(keys[{number + 1}])" for number in range(len(objects)))
    read = (
        "(SELECT *, hash(keys, kinds) AS shape FROM (SELECT owner, kinds, long,"
        f" CASE WHEN greatest(0, {most}) <= {_MOST_FIELDS} THEN keys END AS keys FROM ("
        f"SELECT {LINE} ->> {literal(pointer(lines.owner.path))} AS owner,"
        f" json_keys({LINE}, [{_pointers(objects)}]) AS keys,"
        f" json_type({LINE}, [{_pointers(kinds)}]) AS kinds,"
        f" regexp_matches({LINE}, {literal(_LONG_NUMBER)}) AS long FROM {lines.whole})))"
    )
    shapes = connection.execute(
        # By hash: grouping by the lists themselves takes twice as long.
        "SELECT shape, any_value(keys), any_value(kinds), count(*), count(*) FILTER (long)"
        f" FROM {read} GROUP BY shape"
    )
    unfit: dict[int, Misfit] = {}
    while row := shapes.fetchone():  # one by one: there may be as many as records
        shape, keys, found, count, long = row
        kind_of = dict(zip(kinds, found, strict=True))
        if misfit := _misfit(objects, kinds, keys, kind_of):
            unfit[shape] = misfit
            continue
        for path, present in zip(objects, keys, strict=True):
            if kind_of[path] == "OBJECT":
                _compare(drift, path, objects[path], present, count)
        _refuse_flood(record, drift)
        long_numbers += long
    if unfit:
        owners = connection.execute(
            f"SELECT TRY_CAST(owner AS BIGINT), shape FROM {read}"
            f" WHERE shape IN ({comma(map(str, unfit))})"
        ).fetchall()
        drift.misfits.update(_by_owner(lines, ((owner, unfit[shape]) for owner, shape in owners)))
    if long_numbers and record.inside is None:  # lists inside a record are checked with it
        drift.misfits.update(_by_owner(lines, _rounded(connection, lines)))
    return drift


def inexact(connection: duckdb.DuckDBPyConnection, lines: Lines) -> Misfits:
    """The records with a value that its column cannot hold exactly. Raises FieldRetyped if that is
    an id.

    Only needed after a load has failed: the load itself checks every value.
    """
    columns: tuple[Column, ...] = (
        lines.record.columns
    )  # all columns: DuckDB reports no error for one that it does not read
    wrong = " ".join(
        f"WHEN {text_of(column)} IS NOT NULL AND NOT {exact} THEN {number}"
        for number, column in enumerate(columns)
        if (exact := is_exact(column))
    )
    examples = comma(f"left({text_of(column)}, {_LONGEST_EXAMPLE})" for column in columns)
    found = connection.execute(
        f"SELECT owner, number, example[number + 1] FROM (SELECT"
        f" TRY_CAST({text_of(lines.owner)} AS BIGINT) AS owner, CASE {wrong} END AS number,"
        f" [{examples}] AS example FROM {lines.texts(columns)} AS texts) WHERE number IS NOT NULL"
    ).fetchall()
    return _by_owner(
        lines,
        (
            (owner, _retyped(column.path, column.type, repr(example)))
            for owner, number, example in found
            for column in [columns[int(number)]]
        ),
    )


def ids_with(connection: duckdb.DuckDBPyConnection, lines: Lines, path: Keys) -> int:
    """How many records have a value under a path."""
    return connection.execute(
        f"SELECT count(DISTINCT {LINE} ->> {literal(pointer(lines.owner.path))}) FROM {lines.whole}"
        f" WHERE coalesce(json_type({LINE}, {literal(pointer(path))}), 'NULL') <> 'NULL'"
    ).fetchall()[0][0]


def _by_owner(lines: Lines, found: Iterable[tuple[int | None, Misfit]]) -> Misfits:
    """Misfits by the id of the record that contains them. Raises FieldRetyped if it has none."""
    record, misfits = lines.record, Misfits()
    for owner, misfit in found:
        if owner is None or (misfit.path == lines.owner.path and record.inside is None):
            raise FieldRetyped(
                f"The field {'.'.join(misfit.path)} of {record.name} {misfit.reason} in a record"
                " whose id cannot be told then; nothing was loaded. Look at HARVEST_API_URL, and"
                " for a proxy in between: Harvest sends no such thing."
            )
        inside = () if record.inside is None else (record.envelope,)
        misfits.setdefault(owner, Misfit((*inside, *misfit.path), misfit.reason))
    return misfits


def _misfit(
    objects: dict[Keys, dict[str, bool]],
    kinds: dict[Keys, str],
    keys: Sequence[Sequence[str]] | None,
    kind_of: dict[Keys, str | None],
) -> Misfit | None:
    """What is wrong with records of one shape, if anything."""
    for path, kind in kind_of.items():
        if not _fits(kind, kinds[path]):
            return _retyped(path, kinds[path], kind or "nothing")
    if keys is None:
        return Misfit((), f"has more than {_MOST_FIELDS} fields in an object")
    for path, present in zip(objects, keys, strict=True):
        for key, count in Counter(present).items():
            if count > 1:
                return Misfit((*path, one_line(key)), "came twice, which can be read in two ways")
            if len(key) > _LONGEST_NAME:
                return Misfit((*path, one_line(key, 20)), f"has a name of {len(key)} letters")
    return None


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
    """The paths whose value must be of the declared kind: object, list or single value."""
    kinds: dict[Keys, str] = dict.fromkeys(_declared_keys(record), "an object")
    kinds |= {(inner.envelope,): "a list" for inner in records_inside(record)}
    # A nested value contains no number or day, so only a text column would accept one.
    kinds |= {column.path: "text" for column in record.columns if column.type == TEXT}
    kinds[record.column(record.key).path] = "a key"
    return kinds


def _fits(kind: str | None, expected: str) -> bool:
    """Whether a kind of JSON value fits the expected one; None: no such key."""
    if expected == "a key":
        return kind not in (None, "NULL", "OBJECT", "ARRAY")
    if expected == "text":
        return kind not in ("OBJECT", "ARRAY")
    return kind in (None, "NULL", "OBJECT" if expected == "an object" else "ARRAY")


def _compare(
    drift: Drift, path: Keys, declared: dict[str, bool], present: Sequence[str], count: int
) -> None:
    for key in set(present) - declared.keys():
        drift.unknown[*path, key] += count
    for key, required in declared.items():
        if required and key not in present:
            drift.missing[*path, key] += count


def _refuse_flood(record: Record, drift: Drift) -> None:
    """Raise FieldRetyped if there are too many unknown fields to keep."""
    if len(drift.unknown) > _MOST_FIELDS:
        raise FieldRetyped(
            f"The records of {record.name} came with hundreds of unknown fields, which no version"
            " of Harvest's API has; nothing was loaded. Look at HARVEST_API_URL, and for a proxy in"
            " between."
        )


def _rounded(
    connection: duckdb.DuckDBPyConnection, lines: Lines
) -> Iterator[tuple[int | None, Misfit]]:
    """The suspicious lines with a number that changes when it is read as 64 bits."""
    suspects = connection.execute(
        f"SELECT TRY_CAST({LINE} ->> {literal(pointer(lines.owner.path))} AS BIGINT),"
        f" {LINE}::VARCHAR FROM {lines.whole}"
        f" WHERE regexp_matches({LINE}, {literal(_LONG_NUMBER)})"
    )
    while row := suspects.fetchone():
        # Integers are read exactly, and may have more digits than `int` accepts.
        line = json.loads(row[1], parse_float=Decimal, parse_int=str)
        for path, column, number in _decimals(lines.record, line):
            if Decimal(repr(float(number))) != number:
                yield row[0], _retyped(path, column.type, str(number)[:_LONGEST_EXAMPLE])


def _decimals(record: Record, line: dict[str, Any]) -> Iterator[tuple[Keys, Column, Decimal]]:
    """The decimal numbers that have a column, in a line and the lists inside it."""
    for column in record.columns:
        value: Any = line
        for key in column.path:
            value = cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None
        if column.type in (DECIMAL, RATE, INTEGER) and isinstance(value, Decimal):
            yield column.path, column, value
    for inner in records_inside(record):
        elements: Any = line.get(inner.envelope)
        for element in cast("list[Any]", elements) if isinstance(elements, list) else ():
            if isinstance(element, dict):
                for path, column, value in _decimals(inner, cast("dict[str, Any]", element)):
                    yield (inner.envelope, *path), column, value


def _retyped(path: Keys, expected: str, came: str) -> Misfit:
    return Misfit(path, f"is declared as {expected}, and {came} came")


def _pointers(paths: Iterable[Keys]) -> str:
    return comma(literal(pointer(path)) for path in paths)
