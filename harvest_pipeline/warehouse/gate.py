"""The one gate for every removal of a row: which older rows a load replaces, and which of those
that are missing from it may count as deleted."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

import duckdb

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import RECORDS, records_inside
from harvest_pipeline.scope import Proof, Scope, Spool, Window
from harvest_pipeline.warehouse import coverage, rejected, scopes, tables
from harvest_pipeline.warehouse.errors import SeesLess
from harvest_pipeline.warehouse.ledger import Load
from harvest_pipeline.warehouse.sql import comma, identifier, literal


def remove_replaced(
    connection: duckdb.DuckDBPyConnection, record: Record, scope: Scope, load: Load
) -> Load:
    """Remove the older rows that the load's rows replace, and those of lists inside them; returns
    the load with the numbers of rows that are missing from it."""
    # Literals, since the conditions are nested in each other's queries.
    loaded_at = f"TIMESTAMPTZ {literal(load.loaded_at.isoformat())}"
    key = identifier(record.key)
    older = f"{identifier(tables.LOADED_AT.name)} IS DISTINCT FROM {loaded_at}"
    if load.proof is Proof.CHANGES and record.day and scope.window:
        _leave_out_other_days(connection, record, scope.window, older)
    fuller = _fuller_copies(connection, record, older, load)
    # The new rows are in the table already: cheaper than reading their keys from the spool.
    came = (
        f"{key} IN (SELECT {key} FROM {identifier(record.name)}"
        f" WHERE {identifier(tables.LOADED_AT.name)} = {loaded_at})"
    )
    vanished = (
        f"{older} AND {scopes.owned(record, scope)} AND NOT {came}"
        f" AND {key} NOT IN ({rejected.of_load(load)})"
    )
    if fuller:
        vanished += f" AND {key} NOT IN ({comma(map(str, fuller))})"
    load = _removed(connection, record, vanished, load)
    inside = records_inside(record)
    # A lake knows no RETURNING.
    replaced = _keys(connection, record, f"{older} AND {came}") if inside else {}
    connection.execute(f"DELETE FROM {identifier(record.name)} WHERE {older} AND {came}")
    keys = f"[{comma(map(str, replaced))}]::BIGINT[]"
    for inner in inside if replaced else ():
        theirs = f"{older} AND list_contains({keys}, {identifier(inner.link.name)})"
        inner_key, name = identifier(inner.key), identifier(inner.name)
        again = (
            f"{inner_key} IN (SELECT {inner_key} FROM {name}"
            f" WHERE {identifier(tables.LOADED_AT.name)} = {loaded_at})"
        )
        # They are part of their parent, which is in the load.
        lines = _keys(connection, inner, f"{theirs} AND NOT {again}")
        archive(connection, inner, list(lines), load.loaded_at)
        connection.execute(f"DELETE FROM {name} WHERE {theirs}")
    return load


def _fuller_copies(
    connection: duckdb.DuckDBPyConnection, record: Record, older: str, load: Load
) -> list[int]:
    """Remove the rows that are unchanged but read by a person who sees less than the one who loaded
    them; returns their keys. Harvest leaves rates out for such a person: the older copy is fuller.
    """
    reader, key, name = load.context.reader, identifier(record.key), identifier(record.name)
    if reader.role == "administrator" or not any(c.name == "updated_at" for c in record.columns):
        return []
    loaded_at = identifier(tables.LOADED_AT.name)
    rows: dict[int, datetime] = dict(
        connection.execute(
            f"SELECT {key}, {loaded_at} FROM {name} AS had WHERE {older} AND EXISTS (FROM {name} AS"
            f" came WHERE came.{key} = had.{key} AND came.updated_at = had.updated_at"
            f" AND came.{loaded_at} = ?)",
            [load.loaded_at],
        ).fetchall()
    )
    readers = coverage.readers_of_loads(connection, record.name, "true")
    fuller = [
        key for key, at in rows.items() if at in readers and not reader.sees_all_of(readers[at])
    ]
    _take_out(connection, record, older, fuller)
    return fuller


def on_kept_days(connection: duckdb.DuckDBPyConnection, record: Record, spool: Spool) -> Spool:
    """The spool; for a read of all changes, without the unusable records of days that are not kept.
    Called before its rows are inserted."""
    window = spool.scope.window
    if spool.proof is not Proof.CHANGES or not spool.rejected or not record.day or not window:
        return spool
    days = coverage.kept_days(connection, record, window)
    known = _keys(connection, record, "true")
    kept = (e for e in spool.rejected if e.day is None or e.day in days or e.id in known)
    return replace(spool, rejected=tuple(kept))


def _take_out(
    connection: duckdb.DuckDBPyConnection, record: Record, older: str, keys: Sequence[int]
) -> None:
    """Delete rows that this load has just inserted, and the lists inside them."""
    links = [(inner.name, identifier(inner.link.name)) for inner in records_inside(record)]
    for name, column in [(record.name, identifier(record.key)), *links] if keys else ():
        connection.execute(
            f"DELETE FROM {identifier(name)} WHERE NOT ({older}) AND list_contains(?, {column})",
            [list(keys)],
        )


def _removed(
    connection: duckdb.DuckDBPyConnection, record: Record, vanished: str, load: Load
) -> Load:
    """The gate: of the rows of a condition, which are missing from the load, remove those that its
    reader is known to see. The load says how many there were, and how many stay."""
    # Their keys are read first: the condition may use the lines of an invoice, which go before it.
    rows = _keys(connection, record, vanished)
    if not rows:
        return load
    reader = load.context.reader
    loads = comma(f"TIMESTAMPTZ {literal(each.isoformat())}" for each in set(rows.values()))
    readers = coverage.readers_of_loads(connection, record.name, f"loaded_at IN ({loads})")
    wider = {at: other for at, other in readers.items() if not reader.sees_all_of(other)}
    gone = [key for key, loaded_at in rows.items() if loaded_at not in wider]
    archive(connection, record, gone, load.loaded_at)
    if len(gone) == len(rows):
        return replace(load, deleted=len(gone))
    return replace(
        load,
        proof=Proof.NARROWER,
        deleted=len(gone),
        kept=len(rows) - len(gone),
        kept_from=tuple(sorted({wider[at] for at in rows.values() if at in wider}, key=str)),
    )


def refuse_narrower(loads: Iterable[Load]) -> None:
    """Raise SeesLess if rows stayed in any of these loads because its reader sees less than the one
    who loaded them."""
    kept = [load for load in loads if load.kept]
    if kept:
        others = sorted({str(reader) for load in kept for reader in load.kept_from})
        raise SeesLess.of(
            kept[0].context.reader,
            others,
            f"{sum(load.kept for load in kept)} rows of "
            f"{', '.join(dict.fromkeys(load.scope.record for load in kept))} did not come and "
            "stay, since nobody can tell whether Harvest still has them",
        )


def _keys(
    connection: duckdb.DuckDBPyConnection, record: Record, condition: str
) -> dict[int, datetime]:
    """The keys of the rows of a condition, with the time each was loaded."""
    return dict(
        connection.execute(
            f"SELECT {identifier(record.key)}, {identifier(tables.LOADED_AT.name)}"
            f" FROM {identifier(record.name)} WHERE {condition}"
        ).fetchall()
    )


def _leave_out_other_days(
    connection: duckdb.DuckDBPyConnection, record: Record, window: Window, older: str
) -> None:
    """For a read of all changes, remove the rows on days that are not kept, except those of known
    records: a row that moves takes its new day with it."""
    key, name = identifier(record.key), identifier(record.name)
    known = f"{key} IN (SELECT {key} FROM {name} WHERE {older})"
    kept = coverage.on_kept_days(record, window, older)
    left_out = _keys(connection, record, f"NOT ({older}) AND NOT ({known}) AND NOT {kept}")
    _take_out(connection, record, older, list(left_out))


def archive(
    connection: duckdb.DuckDBPyConnection,
    record: Record,
    keys: Sequence[int],
    noticed_at: datetime,
) -> None:
    """Move the rows with these keys from the table of `record` to its `_deleted` table, and with
    them the rows that belong to them: payments of an invoice, its lines.

    `noticed_at` is the instant of the load that noticed it: rows of that load stay, including a
    line with the id of a line of a deleted invoice.
    """
    if not keys:
        return
    present = tables.names(connection)
    older = f"{identifier(tables.LOADED_AT.name)} IS DISTINCT FROM ?::TIMESTAMPTZ"
    for child in RECORDS.values():
        if child.parent == record.name and child.name in present:
            theirs = connection.execute(
                f"SELECT {identifier(child.key)} FROM {identifier(child.name)}"
                f" WHERE list_contains(?, {identifier(child.link.name)}) AND {older}",
                [keys, noticed_at],
            ).fetchall()
            archive(connection, child, [row[0] for row in theirs], noticed_at)
    name, table = identifier(record.name), tables.deleted_table(record)
    rows = f"list_contains(?, {identifier(record.key)}) AND {older}"
    columns = comma(identifier(column.name) for column in tables.table_of(record).columns)
    connection.execute(
        f"INSERT INTO {identifier(table.name)} BY NAME SELECT {columns},"
        f" ?::TIMESTAMPTZ AS {identifier(tables.NOTICED_AT.name)} FROM {name} WHERE {rows}",
        [noticed_at, keys, noticed_at],
    )
    connection.execute(f"DELETE FROM {name} WHERE {rows}", [keys, noticed_at])


def restore(
    connection: duckdb.DuckDBPyConnection, records: Sequence[Record], loaded_at: datetime
) -> None:
    """Remove from the `_deleted` tables the rows that a load at that instant has loaded again."""
    for record in records:
        table, key = tables.deleted_table(record).name, identifier(record.key)
        connection.execute(
            f"DELETE FROM {identifier(table)} WHERE {key} IN (SELECT {key} FROM"
            f" {identifier(record.name)} WHERE {identifier(tables.LOADED_AT.name)} = ?)",
            [loaded_at],
        )
