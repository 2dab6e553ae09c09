"""A spool becomes rows: one transaction that replaces exactly what the scope owns, and the one gate
for every removal of a row."""

import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import RECORDS, records_inside
from harvest_pipeline.scope import Proof, Scope, Spool, Window
from harvest_pipeline.warehouse import (
    contract,
    copies,
    coverage,
    deleted,
    ledger,
    parents,
    rejected,
    scopes,
    tables,
)
from harvest_pipeline.warehouse.contract import Drift
from harvest_pipeline.warehouse.database import Warehouse, scratch, transaction
from harvest_pipeline.warehouse.errors import RecordsUnreadable, SeesLess, WarehouseError
from harvest_pipeline.warehouse.ledger import Load, LoadContext
from harvest_pipeline.warehouse.lines import UNKNOWN, Keys, Lines, keep_unknown, text_of
from harvest_pipeline.warehouse.sql import comma, identifier, literal
from harvest_pipeline.warehouse.values import exact_value_of

#: What can be told of DuckDB's errors.
_UNREADABLE = re.compile("duplicate key|maximum_object_size|too many fields|Malformed JSON")


def load_each(
    warehouse: Warehouse,
    spools: Iterable[Spool],
    context: LoadContext,
    log: Callable[[str], object],
) -> Generator[Load]:
    """Load spool after spool, each before the next is asked for, and remove its file.

    Raises what `load` and the making of the spools raise; what was loaded before stays.
    """
    for spool in spools:
        try:
            done = load(warehouse, spool, context)
        finally:
            spool.path.unlink(missing_ok=True)
        log(f"Loaded {spool.scope}: {spool.rows} rows.")
        yield done


def load_together(
    warehouse: Warehouse, spools: Sequence[Spool], folder: Path, context: LoadContext
) -> list[Load]:
    """Load spools that lie in `folder`, each in a transaction of its own, and remove their files.

    The database is opened once: that takes as long as loading a small record. Raises as `load`
    does; what was loaded before stays.
    """
    if not spools:
        return []
    with scratch(folder) as memory:
        examined = [_examined(memory, spool, context) for spool in spools]
        with warehouse.connect(folder) as connection:
            done = [_commit(connection, memory, *each) for each in examined]
    for spool in spools:
        spool.path.unlink()
    return done


def load(warehouse: Warehouse, spool: Spool, context: LoadContext) -> Load:
    """Replace what the spool's scope owns by the spool's records, and write it into the ledger.

    Deleted are the rows of the scope (none, if it reads changes only), and wherever they are the
    rows whose key is in the spool: an entry that was moved to another day appears once.
    Lists inside the records are replaced with them. Rows that did not come again are kept in the
    `_deleted` tables, but only where the person who read is known to see everything that the one
    who loaded them saw; the others stay, and the load says so (`Load.kept`, `refuse_narrower`).
    A record that does not fit is set aside in `_rejected`, and its older row stays. Copies of names
    in other tables follow. A spool of a module that is switched off deletes
    nothing, and of a read of changes only kept days are loaded. Whatever is raised, the tables are
    as they were: FieldRetyped, RecordsUnreadable, AnotherAccount, LoadNotCommitted, or
    WarehouseError of the database itself.
    """
    with scratch(spool.path) as memory:
        # The longest part of the work; the database need not be held for it.
        examined = _examined(memory, spool, context)
        with warehouse.connect(spool.path) as connection:
            return _commit(connection, memory, *examined)


_Examined = tuple[Spool, list[tuple[Lines, Drift]], Load]


def _examined(memory: duckdb.DuckDBPyConnection, spool: Spool, context: LoadContext) -> _Examined:
    """What the load of a spool will insert, and its row of the ledger."""
    record = RECORDS[spool.scope.record]
    rejected.refuse_many(spool)
    read = spool.proof is not Proof.MODULE_OFF
    lines = [Lines(each, spool.path) for each in (record, *records_inside(record))] if read else []
    drifts: list[Drift] = []
    for each in lines:
        with _explained(spool):
            drifts.append(contract.examine(memory, each))
        if misfits := drifts[-1].misfits:
            spool = rejected.set_aside(memory, spool, lines, misfits)
            return _examined(memory, spool, context)
    if any(drift.unknown for drift in drifts):
        if misfits := _inexact(memory, spool, lines):  # as long as their lines are as they came
            return _examined(memory, rejected.set_aside(memory, spool, lines, misfits), context)
        unknown = {
            each.record.name: drift.unknown for each, drift in zip(lines, drifts, strict=True)
        }
        keep_unknown(spool.path, record, unknown)
    done = Load.of(
        spool,
        context,
        _by_name(record, lines, [drift.unknown for drift in drifts]),
        _by_name(record, lines, [drift.missing for drift in drifts]),
    )
    return spool, list(zip(lines, drifts, strict=True)), done


def _inexact(
    memory: duckdb.DuckDBPyConnection, spool: Spool, lines: Sequence[Lines]
) -> contract.Misfits:
    """The records with a value that its column cannot hold."""
    misfits = contract.Misfits()
    for each in lines:
        with _explained(spool):
            misfits |= contract.inexact(memory, each)
    return misfits


def _commit(
    connection: duckdb.DuckDBPyConnection,
    memory: duckdb.DuckDBPyConnection,
    spool: Spool,
    lines: Sequence[tuple[Lines, Drift]],
    load: Load,
) -> Load:
    record = RECORDS[spool.scope.record]
    try:
        with transaction(connection):
            others = [ledger.LEDGER, rejected.REJECTED]
            others += [parents.PARENTS_READ] if spool.parents else []
            present = tables.prepare(connection, record, *others)
            ledger.prepare_views(connection)
            kept = _on_kept_days(connection, record, spool)
            for each, drift in lines:
                rows = _insert(connection, each, drift, load)
                if each.record is record and rows + len(spool.rejected) != spool.rows:
                    raise WarehouseError(
                        f"The spool of {spool.scope} has {rows + len(spool.rejected)} records"
                        f" instead of {spool.rows}; nothing was loaded."
                    )
            if lines:
                rejected.write(connection, kept, load)
                load = _replaced(connection, record, spool.scope, load)
                deleted.restore(connection, [each.record for each, _ in lines], load.loaded_at)
                copies.follow(connection, record, load.loaded_at, present)
            if spool.parents:
                parents.write_read(connection, spool, load.context.run_id, load.loaded_at)
            ledger.write(connection, load)
        ledger.confirm(connection, load)
    except duckdb.Error:
        only_lines = [each for each, _ in lines]
        misfits = _inexact(memory, spool, only_lines)
        if not misfits:
            raise
        spool = rejected.set_aside(memory, spool, only_lines, misfits)
        return _commit(connection, memory, *_examined(memory, spool, load.context))
    return load


@contextmanager
def _explained(spool: Spool) -> Generator[None]:
    """Around work on a connection that knows nothing but the spool, so that every error is the
    spool's. Raises RecordsUnreadable for it.
    """
    try:
        yield
    except (duckdb.Error, RecursionError) as error:
        # The text of the error would show what stands in the records.
        reason = _UNREADABLE.search(str(error))
        raise RecordsUnreadable(
            f"The records of {spool.scope} cannot be read"
            f"{f' ({reason[0]})' if reason else ''}; nothing was loaded. Look at HARVEST_API_URL,"
            " and for a proxy in between: Harvest sends no such thing."
        ) from error


def _replaced(
    connection: duckdb.DuckDBPyConnection, record: Record, scope: Scope, load: Load
) -> Load:
    """Remove the older rows that the load's rows stand for now, and those of lists inside them; the
    load with the numbers of the rows that did not come again."""
    # Literals, since the conditions are nested in each other's queries.
    loaded_at = f"TIMESTAMPTZ {literal(load.loaded_at.isoformat())}"
    key = identifier(record.key)
    older = f"{identifier(tables.LOADED_AT.name)} IS DISTINCT FROM {loaded_at}"
    if load.proof is Proof.CHANGES and record.day and scope.window:
        _leave_out_other_days(connection, record, scope.window, older)
    fuller = _fuller_copies(connection, record, older, load)
    # The new rows are in the table already: cheaper than to read their keys from the spool.
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
    replaced = connection.execute(
        f"DELETE FROM {identifier(record.name)} WHERE {older} AND {came}"
        + (f" RETURNING {key}" if inside else "")
    ).fetchall()
    keys = f"[{comma(str(row[0]) for row in replaced)}]::BIGINT[]"
    for inner in inside if replaced else ():
        theirs = f"{older} AND list_contains({keys}, {_link(inner, record)})"
        inner_key, name = identifier(inner.key), identifier(inner.name)
        again = (
            f"{inner_key} IN (SELECT {inner_key} FROM {name}"
            f" WHERE {identifier(tables.LOADED_AT.name)} = {loaded_at})"
        )
        # They are part of their parent, which has come.
        lines = _keys(connection, inner, f"{theirs} AND NOT {again}")
        deleted.archive(connection, inner, list(lines), load.loaded_at)
        connection.execute(f"DELETE FROM {name} WHERE {theirs}")
    return load


def _fuller_copies(
    connection: duckdb.DuckDBPyConnection, record: Record, older: str, load: Load
) -> list[int]:
    """Take out again the rows that came unchanged to a person who sees less than the one who loaded
    them; their keys. Harvest leaves rates out for such a person: the older copy is the fuller one.
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


def _on_kept_days(connection: duckdb.DuckDBPyConnection, record: Record, spool: Spool) -> Spool:
    """The spool, of a read of all changes without the unusable records of days that are not kept;
    before its rows are there."""
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
    links = [(inner.name, _link(inner, record)) for inner in records_inside(record)]
    for name, column in [(record.name, identifier(record.key)), *links] if keys else ():
        connection.execute(
            f"DELETE FROM {identifier(name)} WHERE NOT ({older}) AND list_contains(?, {column})",
            [list(keys)],
        )


def _removed(
    connection: duckdb.DuckDBPyConnection, record: Record, vanished: str, load: Load
) -> Load:
    """The gate: of the rows of a condition, which did not come again, remove those that the reader
    of this load can speak for. The load says how many there were, and how many stay."""
    # Their keys are read first: the condition may ask the lines of an invoice, which go before it.
    rows = _keys(connection, record, vanished)
    if not rows:
        return load
    reader = load.context.reader
    loads = comma(f"TIMESTAMPTZ {literal(each.isoformat())}" for each in set(rows.values()))
    readers = coverage.readers_of_loads(connection, record.name, f"loaded_at IN ({loads})")
    wider = {at: other for at, other in readers.items() if not reader.sees_all_of(other)}
    gone = [key for key, loaded_at in rows.items() if loaded_at not in wider]
    deleted.archive(connection, record, gone, load.loaded_at)
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
    """Raise SeesLess if rows stayed in any of these loads for want of a person who sees as much as
    the one who loaded them."""
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
    """The keys of the rows of a condition, with when each was loaded."""
    return dict(
        connection.execute(
            f"SELECT {identifier(record.key)}, {identifier(tables.LOADED_AT.name)}"
            f" FROM {identifier(record.name)} WHERE {condition}"
        ).fetchall()
    )


def _leave_out_other_days(
    connection: duckdb.DuckDBPyConnection, record: Record, window: Window, older: str
) -> None:
    """Of a read of all changes take out again the rows on days that are not kept, but for those of
    records that are known: a row that moves takes its new day with it."""
    key, name = identifier(record.key), identifier(record.name)
    known = f"{key} IN (SELECT {key} FROM {name} WHERE {older})"
    kept = coverage.on_kept_days(record, window, older)
    left_out = _keys(connection, record, f"NOT ({older}) AND NOT ({known}) AND NOT {kept}")
    _take_out(connection, record, older, list(left_out))


def _link(inner: Record, record: Record) -> str:
    """The column of a list inside a record that holds the record's key."""
    column = next(each for each in inner.parent_columns if each.from_parent == record.key)
    return identifier(column.name)


def _insert(connection: duckdb.DuckDBPyConnection, lines: Lines, drift: Drift, load: Load) -> int:
    """Insert the lines by name and return their number."""
    columns = lines.record.columns
    values = {column.name: exact_value_of(column) for column in columns}
    values[tables.LOADED_AT.name] = "?::TIMESTAMPTZ"
    values[tables.EXTRA.name] = text_of(UNKNOWN) if drift.unknown else "NULL"
    selected = comma(f"{value} AS {identifier(name)}" for name, value in values.items())
    inserted = connection.execute(
        f"INSERT INTO {identifier(lines.record.name)} BY NAME SELECT {selected}"
        f" FROM {lines.texts([*columns, UNKNOWN] if drift.unknown else columns)} AS texts",
        [load.loaded_at],
    ).fetchall()
    return inserted[0][0]


def _by_name(
    record: Record, lines: Sequence[Lines], fields: Sequence[Mapping[Keys, int]]
) -> dict[str, int]:
    """The fields under the dotted names that the ledger has, e.g. `line_items.kind`."""
    return {
        ".".join(path if each.record is record else (each.record.envelope, *path)): count
        for each, paths in zip(lines, fields, strict=True)
        for path, count in sorted(paths.items())
    }
