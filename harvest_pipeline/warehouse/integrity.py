"""The integrity of a table's rows: the queries of the asset checks."""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import duckdb

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.safety.text import one_line
from harvest_pipeline.scope import Proof, Scope, Window
from harvest_pipeline.warehouse import coverage, ledger, rejected, tables
from harvest_pipeline.warehouse.sql import identifier, literal

_EXAMPLES = 5

#: A day has dropped suddenly if it has less than a tenth of its weekday's usual rows; weekdays that
#: usually have fewer rows than this are not checked.
_USUALLY_ENOUGH = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """How many values are wrong, and up to five of them. `count` 0: nothing is wrong."""

    count: int
    examples: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldDrift:
    """Fields without a column in the last loads of a scope, and missing fields; each with the
    number of records."""

    unknown: Counter[str] = field(default_factory=Counter[str])
    missing: Counter[str] = field(default_factory=Counter[str])


def duplicated_keys(
    connection: duckdb.DuckDBPyConnection, record: Record, table: str | None = None
) -> Finding:
    """Keys that occur in more than one row of the record's table, or of one with its columns."""
    key, rows = identifier(record.key), identifier(table or record.name)
    return _finding(
        connection, f"SELECT {key} AS value FROM {rows} GROUP BY ALL HAVING count(*) > 1"
    )


def rows_outside_window(connection: duckdb.DuckDBPyConnection, record: Record) -> Finding:
    """Keys of rows whose day is not in the window of the load that brought them."""
    if record.day is None:
        return Finding(0)
    return _finding(
        connection,
        f"SELECT rows.{identifier(record.key)} AS value FROM {identifier(record.name)} AS rows"
        f" JOIN {identifier(ledger.LEDGER.name)} AS loads ON loads.record = {literal(record.name)}"
        # A read of changes contains known records wherever they moved to.
        f" AND loads.loaded_at = rows._loaded_at AND loads.proof <> '{Proof.CHANGES}'"
        f" WHERE rows.{identifier(record.day)} NOT BETWEEN window_first AND window_last"
        f" OR (rows.{identifier(record.day)} IS NULL AND window_first IS NOT NULL)",
    )


def set_aside(connection: duckdb.DuckDBPyConnection, record: Record) -> Finding:
    """The records from Harvest that do not fit into the record's table: which, and why."""
    if not tables.exists(connection, rejected.REJECTED.name):
        return Finding(0)
    return _finding(
        connection,
        "SELECT concat(id, ' of ' || day, ': ', nullif(field, '') || ' ', reason) AS value"
        f" FROM {identifier(rejected.REJECTED.name)} WHERE record = {literal(record.name)}",
    )


def unknown_references(connection: duckdb.DuckDBPyConnection, record: Record) -> dict[str, Finding]:
    """For each column that refers to a record: its values that the record's table does not have.

    Excluded are references to records that have never been loaded, and to records of other days
    (a time entry's invoice), which may not have been loaded yet.
    """
    findings: dict[str, Finding] = {}
    for column in record.columns:
        if column.references is None or not coverage.loaded(connection, column.references):
            continue
        known = RECORDS[column.references]
        if known.day is None or known.name == record.parent:
            name = identifier(column.name)
            findings[column.name] = _finding(
                connection,
                f"SELECT DISTINCT {name} AS value FROM {identifier(record.name)} WHERE {name}"
                f" NOT IN (SELECT {identifier(known.key)} FROM {identifier(known.name)})",
            )
    return findings


def sudden_drops(
    connection: duckdb.DuckDBPyConnection,
    record: Record,
    table: str,
    days: Window | None,
    today: date,
) -> Finding:
    """The days before `today` with less than a tenth of their usual rows: the median of the same
    weekday in the four weeks before.

    Days that have not been loaded count as empty, so that a first load is not suspected.
    """
    if record.day is None or days is None:
        return Finding(0)
    first, last = days.first, min(days.last, today - timedelta(days=1))
    day = identifier(record.day)
    return _finding(
        connection,
        f"""
        WITH counts AS (
            SELECT {day} AS day, count(*) AS rows FROM {identifier(table)}
            WHERE {day} BETWEEN DATE '{first}' - 28 AND DATE '{last}' GROUP BY ALL
        ), usual AS (
            SELECT now.day::DATE AS day, median(coalesce(counts.rows, 0)) AS rows
            FROM range(DATE '{first}', DATE '{last}' + 1, INTERVAL 1 DAY) AS now(day)
            CROSS JOIN (VALUES (7), (14), (21), (28)) AS before(days)
            LEFT JOIN counts ON counts.day = now.day::DATE - before.days GROUP BY ALL
        )
        SELECT concat(day, ': ', coalesce(counts.rows, 0), ', usually ', usual.rows::BIGINT)
            AS value
        FROM usual LEFT JOIN counts USING (day)
        WHERE usual.rows >= {_USUALLY_ENOUGH} AND coalesce(counts.rows, 0) < usual.rows / 10
        """,
    )


def field_drift(connection: duckdb.DuckDBPyConnection, scope: Scope) -> FieldDrift:
    """The unknown and missing fields in the last run that loaded anything of the scope.

    Their names are cleaned for display: Harvest may use any name.
    """
    drift = FieldDrift()
    if not tables.exists(connection, ledger.LEDGER.name):
        return drift
    overlapping = "record = ?"
    parameters: list[object] = [scope.record]
    if scope.window is not None:
        overlapping += " AND coalesce(window_last >= ? AND window_first <= ?, true)"
        parameters += [scope.window.first, scope.window.last]
    for unknown, missing in connection.execute(
        f"SELECT unknown_fields, missing_fields FROM {identifier(ledger.LEDGER.name)}"
        f" WHERE {overlapping}"
        " QUALIFY run_id = first_value(run_id) OVER (ORDER BY loaded_at DESC)",
        parameters,
    ).fetchall():
        for names, counts in ((drift.unknown, unknown), (drift.missing, missing)):
            for name, count in json.loads(counts).items():
                names[one_line(name)] += count
    return drift


def _finding(connection: duckdb.DuckDBPyConnection, values: str) -> Finding:
    """The finding of a query with one column `value`."""
    count, examples = connection.execute(
        f"SELECT count(*), coalesce(list(value ORDER BY value)[1:{_EXAMPLES}], []) FROM ({values})"
    ).fetchall()[0]
    return Finding(count, tuple(examples))
