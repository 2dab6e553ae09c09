"""The rows of a scope: the SQL condition for what a load requested, and their keys."""

from dataclasses import replace
from datetime import date, datetime

import duckdb

from harvest_pipeline.catalogue.columns import FILTER_COLUMNS, Record
from harvest_pipeline.catalogue.records import RECORDS, records_inside
from harvest_pipeline.scope import Filters, Scope, Spool
from harvest_pipeline.warehouse import rejected, tables
from harvest_pipeline.warehouse.json_lines import Lines, text_of
from harvest_pipeline.warehouse.sql import comma, identifier, literal


def condition(record: Record, scope: Scope) -> str:
    """The condition for the rows of `scope` in the table of `record`; "true" for all rows.

    Values are days, instants, numbers and quoted texts, so it can be used in a view as well. Raises
    ValueError for a filter that does not apply to the record.
    """
    window, filters = scope.window, scope.filters
    parts: list[str] = []
    if window and record.day:
        parts.append(
            f"{identifier(record.day)} BETWEEN DATE '{window.first}' AND DATE '{window.last}'"
        )
    if filters.updated_since:
        parts.append(f"updated_at >= TIMESTAMPTZ '{filters.updated_since.isoformat()}'")
    if filters.updated_before:
        parts.append(f"updated_at < TIMESTAMPTZ '{filters.updated_before.isoformat()}'")
    if filters.parent_ids and record.parent:
        ids = comma(map(str, filters.parent_ids))
        parts.append(f"{identifier(record.link.name)} IN ({ids})")
    for parameter, values in (
        ("invoice_status", [literal(filters.invoice_status)] if filters.invoice_status else []),
        ("project_ids", list(map(str, filters.project_ids))),
        ("user_ids", list(map(str, filters.user_ids))),
    ):
        if values:
            parts.append(_is_one_of(record, FILTER_COLUMNS[parameter], comma(values)))
    return " AND ".join(parts) or "true"


def owned(record: Record, scope: Scope) -> str:
    """The condition for the rows that a load of `scope` replaces whether or not they are in it.

    "false" for a read of changes: what is not in it has not changed. With a part of the parents go
    the rows whose parent is gone: its former state is no longer known.
    """
    if scope.filters.changes_only:
        return "false"
    if scope.filters.parent_ids:
        # On whatever day their parent was when they were loaded.
        return condition(
            record, Scope(record.name, None, Filters(parent_ids=scope.filters.parent_ids))
        )
    rows = condition(record, scope)
    if record.parent and scope.filters:
        parent = RECORDS[record.parent]
        link = identifier(record.link.name)
        rows = (
            f"({rows} OR {condition(record, replace(scope, filters=Filters()))}"
            f" AND {link} NOT IN (SELECT {identifier(parent.key)} FROM {identifier(parent.name)}))"
        )
    return rows


def rows_in(connection: duckdb.DuckDBPyConnection, record: Record, scope: Scope) -> int:
    """The number of rows of a scope, plus its records that are set aside and have no row, because
    Harvest counts them too; 0 if there is no table."""
    if not tables.exists(connection, record.name):
        return 0
    rows = connection.execute(
        f"SELECT count(*) FROM {identifier(record.name)} WHERE {condition(record, scope)}"
    ).fetchall()[0][0]
    return rows + rejected.without_row(connection, record, scope)


def rows_by_day(connection: duckdb.DuckDBPyConnection, record: Record) -> dict[date, int]:
    """The number of rows of every day that has any; empty if there is no table."""
    assert record.day is not None
    if not tables.exists(connection, record.name):
        return {}
    rows = connection.execute(
        f"SELECT {identifier(record.day)}, count(*) FROM {identifier(record.name)} GROUP BY ALL"
    ).fetchall()
    return dict(rows)


def days_loaded_at(
    connection: duckdb.DuckDBPyConnection, record: Record, loaded_at: datetime
) -> set[date]:
    """The days of the rows that were loaded at that instant; none for a record without a day."""
    if record.day is None:
        return set()
    rows = connection.execute(
        f"SELECT DISTINCT {identifier(record.day)} FROM {identifier(record.name)}"
        f" WHERE {identifier(tables.LOADED_AT.name)} = ?",
        [loaded_at],
    ).fetchall()
    return {row[0] for row in rows}


def vanished(
    connection: duckdb.DuckDBPyConnection, record: Record, spool: Spool
) -> dict[int, datetime]:
    """The keys of the rows that a load of the spool would delete without replacing them, with the
    time each was loaded. `connection` can read the spool."""
    if not tables.exists(connection, record.name):
        return {}
    column = record.column(record.key)
    lines = Lines(record, spool.path).texts([column])
    came = f"SELECT {text_of(column)}::BIGINT FROM {lines} AS texts"
    came += "".join(f" UNION ALL SELECT {each.id}" for each in spool.rejected)
    return dict(
        connection.execute(
            f"SELECT {identifier(record.key)}, {identifier(tables.LOADED_AT.name)}"
            f" FROM {identifier(record.name)} WHERE {owned(record, spool.scope)}"
            f" AND {identifier(record.key)} NOT IN ({came})"
        ).fetchall()
    )


def _is_one_of(record: Record, column: str, values: str) -> str:
    """That a record has one of the values: itself, in a list inside it, or in its parent."""
    condition = f"{identifier(column)} IN ({values})"
    if _has(record, column):
        return condition
    for inner in records_inside(record):
        if _has(inner, column):
            return (
                f"{identifier(record.key)} IN (SELECT {identifier(inner.link.name)}"
                f" FROM {identifier(inner.name)} WHERE {condition})"
            )
    if record.parent and _has(parent := RECORDS[record.parent], column):
        return (
            f"{identifier(record.link.name)} IN (SELECT {identifier(parent.key)}"
            f" FROM {identifier(parent.name)} WHERE {condition})"
        )
    raise ValueError(f"{record.name} has no {column}")


def _has(record: Record, column: str) -> bool:
    return any(each.name == column for each in record.columns)
