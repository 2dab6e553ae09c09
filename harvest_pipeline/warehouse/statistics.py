"""The statistics of tables: the few figures that a person looks at after a load."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb

from harvest_pipeline.catalogue.columns import TEXT, Record
from harvest_pipeline.safety.text import one_line
from harvest_pipeline.scope import Window
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.sql import comma, identifier, literal

_PREVIEW_ROWS = 5
_PREVIEW_COLUMNS = 7


@dataclass(slots=True)
class Statistics:
    """The figures of a day, or of a whole table.

    `totals` are the sums of the record's measure: under "hours", or under each currency; empty for
    a record without a measure. `preview` are the newest five rows of the table until that day, with
    the most useful columns, and `whole` the figures of the table; of several days, only the last
    one has them.
    """

    rows: int = 0
    totals: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    preview: list[dict[str, Any]] | None = None
    whole: "Statistics | None" = None


def of_days(
    connection: duckdb.DuckDBPyConnection, record: Record, window: Window, table: str | None = None
) -> dict[date, Statistics]:
    """The statistics of every day of the window, including days without rows; of the record's
    table, or of one with the same columns."""
    assert record.day is not None
    day, source = identifier(record.day), identifier(table or record.name)
    of_window = f"(SELECT {day} AS _day, * FROM {source} WHERE {day} BETWEEN ? AND ?)"
    found = _collect(connection, record, of_window, [window.first, window.last])
    last = found[window.last]
    last.preview = _newest(connection, record, f"{source} WHERE {day} <= ?", [window.last])
    last.whole = of_table(connection, record, table)
    return {each: found[each] for each in window.days()}


def of_table(
    connection: duckdb.DuckDBPyConnection, record: Record, table: str | None = None
) -> Statistics:
    """The statistics of a record's whole table, or of one with the same columns."""
    source = identifier(table or record.name)
    found = _collect(connection, record, f"(SELECT NULL::DATE AS _day, * FROM {source})", [])[None]
    found.preview = _newest(connection, record, source, [])
    return found


def row_counts(connection: duckdb.DuckDBPyConnection, names: Iterable[str]) -> dict[str, int]:
    """The number of rows of each table or view; those that do not exist yet are left out."""
    counts: dict[str, int] = {}
    for name in names:
        if tables.exists(connection, name):
            rows = connection.execute(f"SELECT count(*) FROM {identifier(name)}").fetchall()
            counts[name] = rows[0][0]
    return counts


def _collect(
    connection: duckdb.DuckDBPyConnection,
    record: Record,
    rows: str,
    parameters: list[date],
) -> defaultdict[Any, Statistics]:
    """The statistics of `rows`, a relation of the record's columns and `_day`, by `_day`."""
    statistics = defaultdict[Any, Statistics](Statistics)
    for day, unit, count, total in connection.execute(
        f"SELECT _day, {_unit(record)} AS unit, count(*), {_total(record)} FROM {rows}"
        " GROUP BY ALL ORDER BY ALL",
        parameters,
    ).fetchall():
        statistics[day].rows += count
        if total is not None:
            # Cleaned for display: Harvest sends the currency as text.
            currency = one_line(unit or "", longest=20) or "no currency"
            totals = statistics[day].totals
            totals[currency] = totals.get(currency, Decimal(0)) + total
    return statistics


def _newest(
    connection: duckdb.DuckDBPyConnection, record: Record, rows: str, parameters: list[date]
) -> list[dict[str, Any]]:
    """The newest of `rows`, by their day and then by their key."""
    shown = preview_columns(record)
    order = [identifier(each) for each in (record.day, record.key) if each]
    newest = connection.execute(
        f"SELECT {comma(map(identifier, shown))} FROM {rows}"
        f" ORDER BY {comma(f'{each} DESC' for each in order)} LIMIT {_PREVIEW_ROWS}",
        parameters,
    ).fetchall()
    return [dict(zip(shown, values, strict=True)) for values in newest]


def preview_columns(record: Record) -> list[str]:
    """The columns by which a person recognizes a row: key, day, names, then the measure."""
    names = [
        column.name
        for column in record.columns
        if column.type == TEXT and column.name.endswith(("name", "number", "state", "subject"))
    ]
    last = [name for name in (record.measure, record.measure_unit) if name and name != "hours"]
    last = ["hours"] if record.measure == "hours" else last
    keys = [record.key] if record.column(record.key).from_parent is None else []
    first = [*keys, *([record.day] if record.day else [])]
    names = [name for name in names if name not in last]
    return [*first, *names[: _PREVIEW_COLUMNS - len(first) - len(last)], *last]


def _total(record: Record) -> str:
    return f"sum({identifier(record.measure)})" if record.measure else "NULL"


def _unit(record: Record) -> str:
    if record.measure_unit in (None, "hours"):
        return literal(record.measure_unit or "")
    return identifier(record.measure_unit)
