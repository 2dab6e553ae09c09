"""What the loads of the ledger cover, so that Harvest need not be asked again.

Belongs here: these questions. Does not belong here: writing the ledger (ledger.py).
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import date, datetime, timedelta

import duckdb

from harvest_pipeline.scope import Proof, Scope, Window
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.ledger import LEDGER, filters_of
from harvest_pipeline.warehouse.sql import identifier


def loaded(connection: duckdb.DuckDBPyConnection, record: str) -> bool:
    """Whether the record has ever been loaded without filters; what was only a part, or belongs to
    a module that is switched off, does not count."""
    return tables.exists(connection, LEDGER.name) and bool(
        connection.execute(
            f"SELECT 1 FROM {identifier(LEDGER.name)} WHERE record = ? AND proof <> ?"
            f" AND {_column_or_null(connection, 'filters')} IS NULL LIMIT 1",
            [record, str(Proof.MODULE_OFF)],
        ).fetchall()
    )


def roles(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """The roles of the people whose tokens have loaded anything."""
    if not tables.exists(connection, LEDGER.name):
        return set()
    rows = connection.execute(f"SELECT DISTINCT role FROM {identifier(LEDGER.name)}").fetchall()
    return {row[0] for row in rows}


def not_covered(
    connection: duckdb.DuckDBPyConnection,
    scope: Scope,
    run_ids: Collection[str],
    since: datetime,
) -> Scope | None:
    """What is left of the scope after the windows that these runs loaded: all of it from the first
    day on that is in none of them; None if there is no such day.

    Only loads since that instant, by our own clock, count.
    """
    if not tables.exists(connection, LEDGER.name):
        return scope
    rows: list[tuple[date | None, date | None, str | None]] = connection.execute(
        f"SELECT window_first, window_last, {_column_or_null(connection, 'filters')}"
        f" FROM {identifier(LEDGER.name)}"
        " WHERE record = ? AND list_contains(?, run_id) AND loaded_at >= ?"
        " AND proof NOT IN (?, ?)"
        " ORDER BY window_first",
        [scope.record, list(run_ids), since, str(Proof.FOLLOWED), str(Proof.CHANGES)],
    ).fetchall()
    windows = [
        (first, last) for first, last, filters in rows if filters_of(filters).covers(scope.filters)
    ]
    if any(first is None for first, _ in windows):
        return None
    if scope.window is None:
        return scope
    missing = scope.window.first
    for first, last in windows:
        if first is not None and last is not None and first <= missing <= last:
            missing = last + timedelta(days=1)
    if missing > scope.window.last:
        return None
    return replace(scope, window=Window(missing, scope.window.last))


def changes_known_until(
    connection: duckdb.DuckDBPyConnection,
    record: str,
    loaded_at: Collection[datetime] | None = None,
) -> datetime | None:
    """Until when, by Harvest's clock, all changes of the record's rows have been loaded.

    `loaded_at` are the loads of the rows that are meant; all rows of the record without it. From
    the earliest of these reads on, each read of all changes that begins by then carries the answer
    on to its own. None if nothing is loaded.
    """
    if not tables.exists(connection, LEDGER.name) or not tables.exists(connection, record):
        return None
    name, rows = identifier(LEDGER.name), "list_contains(?, loaded_at)"
    if loaded_at is None:
        rows = (
            f"(loaded_at IN (SELECT {identifier(tables.LOADED_AT.name)} FROM {identifier(record)})"
            " OR len(?) > 0)"
        )
    known: datetime | None = connection.execute(
        f"SELECT min(read_at) FROM {name} WHERE record = ? AND {rows}",
        [record, list(loaded_at or ())],
    ).fetchall()[0][0]
    for filters, read_at in connection.execute(
        f"SELECT {_column_or_null(connection, 'filters')}, read_at FROM {name}"
        " WHERE record = ? AND proof = ? ORDER BY read_at",
        [record, str(Proof.CHANGES)],
    ).fetchall():
        since = filters_of(filters).updated_since
        if known and since and since <= known:
            known = max(known, read_at)
    return known


def _column_or_null(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """A column, or NULL where the ledger is of an older version and nothing was loaded since."""
    return identifier(name) if name in tables.column_types(connection, LEDGER.name) else "NULL"
