"""The coverage of a record, from the ledger: which days are kept, until when each is known, who
loaded it, and what a run need not request again."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import duckdb

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.scope import Proof, Reader, Scope, Window
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.ledger import LEDGER, filters_of
from harvest_pipeline.warehouse.sql import comma, identifier, literal

#: The day of a record without days: the whole record.
Day = date | None
#: A complete read: its position in the order of commits, and its `read_at`.
_Read = tuple[int, datetime]


def loaded(connection: duckdb.DuckDBPyConnection, record: str) -> bool:
    """Whether any day of the record has ever been read in full."""
    return bool(_rows(connection, "_read_in_full", "1", record, "true LIMIT 1"))


def kept_days(connection: duckdb.DuckDBPyConnection, record: Record, window: Window) -> set[date]:
    """The days of a record that the warehouse keeps equal to Harvest.

    Those of the project's `window`, every day that was ever read in full, and every day that has a
    row: an entry that is moved to next week takes that day with it. So no row is ever on a day that
    is not checked, and a start date that is moved later removes nothing.
    """
    days = set(window.days()) | {day for day in _reads(connection, record.name) if day}
    if record.day and tables.exists(connection, record.name):
        days |= {
            row[0]
            for row in connection.execute(
                f"SELECT DISTINCT {identifier(record.day)} FROM {identifier(record.name)}"
                f" WHERE {identifier(record.day)} IS NOT NULL"
            ).fetchall()
        }
    return days


def on_kept_days(record: Record, window: Window, older: str) -> str:
    """The condition for rows of a record that are on kept days, as in `kept_days`; `older` is the
    condition for the rows that existed before."""
    day, name = identifier(record.day or ""), identifier(record.name)
    return (
        f"({day} BETWEEN DATE '{window.first}' AND DATE '{window.last}'"
        f" OR {day} IN (SELECT {day} FROM {name} WHERE {older})"
        f" OR EXISTS (FROM _read_in_full WHERE record = {literal(record.name)}"
        f" AND {day} BETWEEN window_first AND window_last))"
    )


def known_until(
    connection: duckdb.DuckDBPyConnection, record: str, reader: Reader | None = None
) -> dict[Day, datetime]:
    """The days that were read in full, and until when, by Harvest's clock, all changes on each of
    them are in the warehouse. For a record without days, the key is None.

    With a `reader`, only reads by people who see at least as much as that one count.
    """
    reads = _reads(connection, record, reader)
    known = _followed(connection, record, set(reads.values()), reader)
    return {day: known[read] for day, read in reads.items()}


def read_at(
    connection: duckdb.DuckDBPyConnection, record: str, reader: Reader | None = None
) -> dict[Day, datetime]:
    """When each day was last read in full, by Harvest's clock."""
    return {day: read_at for day, (_, read_at) in _reads(connection, record, reader).items()}


def known_of_day(
    connection: duckdb.DuckDBPyConnection, day: date, records: Collection[str]
) -> dict[str, datetime]:
    """Until when each record is known on that day; records that were never read in full on it are
    left out. If the account's module is off, that is when it was last requested."""
    found: dict[str, datetime] = {}
    for record in records:
        known = known_until(connection, record)
        off = [row[0] for row in _rows(connection, "_module_off", "max(read_at)", record)]
        until = [at for at in (known.get(day), known.get(None), *off) if at]
        if until:
            found[record] = max(until)
    return found


def rows_known_until(
    connection: duckdb.DuckDBPyConnection, record: str, loaded_at: Collection[datetime]
) -> datetime | None:
    """Until when all changes of the rows of these loads are in the warehouse; None if the ledger
    has none of the loads."""
    if not tables.exists(connection, "_changes_read"):
        return None
    found: list[_Read] = connection.execute(
        f"SELECT rowid, read_at FROM {identifier(LEDGER.name)}"
        " WHERE record = ? AND list_contains(?, loaded_at)",
        [record, list(loaded_at)],
    ).fetchall()
    return min(_followed(connection, record, found, None).values(), default=None)


def module_off_days(
    connection: duckdb.DuckDBPyConnection, record: str, within: Window
) -> set[date]:
    """The days on which there was nothing to read because the account's module was off."""
    rows = _rows(connection, "_module_off", "window_first, window_last", record)
    windows = [Window(first or within.first, last or within.last) for first, last in rows]
    return {day for day in within.days() if any(w.covers(Window(day, day)) for w in windows)}


def readers_of(connection: duckdb.DuckDBPyConnection, record: str) -> set[Reader]:
    """The people who loaded the current rows of a record."""
    if not tables.exists(connection, record):
        return set()
    loads = f"SELECT DISTINCT {identifier(tables.LOADED_AT.name)} FROM {identifier(record)}"
    return set(readers_of_loads(connection, record, f"loaded_at IN ({loads})").values())


def readers_of_loads(
    connection: duckdb.DuckDBPyConnection, record: str, condition: str
) -> dict[datetime, Reader]:
    """Who read each of the record's loads that meet a condition, by `loaded_at`."""
    rows = connection.execute(
        f"SELECT loaded_at, role, user_id, user_name FROM {identifier(LEDGER.name)}"
        f" WHERE record = ? AND ({condition})",
        [record],
    ).fetchall()
    return {loaded_at: Reader(*person) for loaded_at, *person in rows}


def not_covered(
    connection: duckdb.DuckDBPyConnection,
    scope: Scope,
    run_ids: Collection[str],
    since: datetime,
) -> Scope | None:
    """The rest of the scope after the windows that these runs loaded: all of it from the first day
    on that is in none of them; None if there is no such day.

    Only loads since that instant, by our own clock, count.
    """
    if not run_ids or not tables.exists(connection, LEDGER.name):
        return scope
    rows: list[tuple[Day, Day, str | None]] = connection.execute(
        f"SELECT window_first, window_last, filters FROM {identifier(LEDGER.name)}"
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


def _reads(
    connection: duckdb.DuckDBPyConnection, record: str, reader: Reader | None = None
) -> dict[Day, _Read]:
    """The last full read of each day, among those that `reader` can rely on."""
    wide = _as_wide_as(reader)
    columns = "window_first, window_last, position, read_at"
    rows = _rows(connection, "_read_in_full", columns, record, f"{wide} ORDER BY position")
    reads: dict[Day, _Read] = {}
    for first, last, position, read_at in rows:
        for day in Window(first, last).days() if first else [None]:
            reads[day] = position, read_at
    return reads


def _followed(
    connection: duckdb.DuckDBPyConnection,
    record: str,
    reads: Iterable[_Read],
    reader: Reader | None,
) -> dict[_Read, datetime]:
    """Until when the changes of these reads are known.

    A later read of all changes that begins by then extends it to its own beginning. One that was
    committed before the full read does not: it left out records on days that were not kept yet.
    """
    changes = _rows(
        connection,
        "_changes_read",
        "position, since, read_at",
        record,
        f"{_as_wide_as(reader)} ORDER BY position",
    )
    # In the order of their commits, full reads first on a tie. Reads that are known until the same
    # instant stay together from then on.
    known: dict[datetime, list[_Read]] = {}
    events = [(position, None, at) for position, at in reads] + [*changes]
    for position, since, at in sorted(events, key=lambda event: event[0]):
        if since is None:
            known.setdefault(at, []).append((position, at))
            continue
        for until in [each for each in known if since <= each < at]:
            known.setdefault(at, []).extend(known.pop(until))
    return {read: until for until, together in known.items() for read in together}


def _as_wide_as(reader: Reader | None) -> str:
    """The condition for loads by people who see everything that `reader` sees."""
    if reader is None:
        return "true"
    roles = comma(map(literal, reader.wider_roles()))
    return f"(role = 'administrator' OR user_id = {reader.user_id} AND role IN ({roles}))"


def _rows(
    connection: duckdb.DuckDBPyConnection,
    view: str,
    columns: str,
    record: str,
    condition: str = "true",
) -> list[tuple[Any, ...]]:
    """Rows of a view on the ledger about a record; none if nothing was ever loaded."""
    if not tables.exists(connection, view):
        return []
    return connection.execute(
        f"SELECT {columns} FROM {view} WHERE record = ? AND {condition}", [record]
    ).fetchall()
