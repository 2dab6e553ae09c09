"""Loads a spool: one transaction that replaces exactly the rows that the scope owns."""

import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import RECORDS, records_inside
from harvest_pipeline.safety.files import disk_full
from harvest_pipeline.scope import Proof, Spool
from harvest_pipeline.warehouse import (
    contract,
    copies,
    ledger,
    parents,
    rejected,
    tables,
)
from harvest_pipeline.warehouse.contract import Drift
from harvest_pipeline.warehouse.database import Warehouse, scratch, transaction
from harvest_pipeline.warehouse.errors import RecordsUnreadable, WarehouseError
from harvest_pipeline.warehouse.gate import on_kept_days, remove_replaced, restore
from harvest_pipeline.warehouse.json_lines import (
    UNKNOWN,
    Keys,
    Lines,
    exact_value_of,
    keep_unknown,
    text_of,
)
from harvest_pipeline.warehouse.ledger import Load, LoadContext
from harvest_pipeline.warehouse.sql import comma, identifier

#: The recognized DuckDB errors.
_UNREADABLE = re.compile("duplicate key|maximum_object_size|too many fields|Malformed JSON")


def load_each(
    warehouse: Warehouse,
    spools: Iterable[Spool],
    context: LoadContext,
    log: Callable[[str], object],
) -> Generator[Load]:
    """Load spool after spool, each before the next one is requested, and remove its file.

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
    """Load the spools in `folder`, each in its own transaction, and remove their files.

    The database is opened once, which takes as long as loading a small record. Raises the same
    exceptions as `load`; what was loaded before stays.
    """
    if not spools:
        return []
    with scratch(folder) as memory:
        examined = [_examined(memory, spool, context) for spool in spools]
        with warehouse.connect() as connection:
            done = [_commit(connection, memory, *each) for each in examined]
    for spool in spools:
        spool.path.unlink()
    return done


def load(warehouse: Warehouse, spool: Spool, context: LoadContext) -> Load:
    """Replace the rows that the spool's scope owns by its records, and add the load to the ledger.

    Deleted are the rows of the scope (none, if it reads only changes), and, on any day, the rows
    whose key is in the spool: an entry that was moved to another day appears once.
    Lists inside the records are replaced with them. Rows that are missing from the load are moved
    to the `_deleted` tables, but only if the person who read is known to see everything that the
    one who loaded them saw; the others stay, and the load says so (`Load.kept`).
    A record that does not fit is set aside in `_rejected`, and its older row stays. Copies of names
    in other tables are updated. A spool of a module that is switched off deletes nothing, and of a
    read of changes only kept days are loaded. If anything is raised, the tables are unchanged:
    FieldRetyped, RecordsUnreadable, AnotherAccount, LoadNotCommitted, or WarehouseError of the
    database itself.
    """
    with scratch(spool.path.parent) as memory:
        # The longest part of the work; the database need not be held for it.
        examined = _examined(memory, spool, context)
        with warehouse.connect() as connection:
            return _commit(connection, memory, *examined)


_Examined = tuple[Spool, list[tuple[Lines, Drift]], Load]


def _examined(memory: duckdb.DuckDBPyConnection, spool: Spool, context: LoadContext) -> _Examined:
    """The rows that the load of a spool will insert, and its row of the ledger."""
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
        if misfits := _inexact(memory, spool, lines):  # while their lines are unchanged
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
    """The records with a value that its column cannot hold exactly."""
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
            kept = on_kept_days(connection, record, spool)
            for each, drift in lines:
                rows = _insert(connection, each, drift, load)
                if each.record is record and rows + len(spool.rejected) != spool.rows:
                    raise WarehouseError(
                        f"The spool of {spool.scope} has {rows + len(spool.rejected)} records"
                        f" instead of {spool.rows}; nothing was loaded."
                    )
            if lines:
                rejected.write(connection, kept, load)
                # First: an entry of a kept day may repeat the number of an invoice that is on none.
                copies.follow(connection, record, load.loaded_at, present)
                load = remove_replaced(connection, record, spool.scope, load)
                restore(connection, [each.record for each, _ in lines], load.loaded_at)
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
    """Around work on a connection that knows only the spool, so that every error is about the
    spool. Raises RecordsUnreadable for it, and WarehouseError if its disk is full.
    """
    try:
        yield
    except (duckdb.Error, RecursionError) as error:
        if sentence := disk_full(error, spool.path.parent):
            raise WarehouseError(sentence) from error
        # The text of the error would show values of the records.
        reason = _UNREADABLE.search(str(error))
        raise RecordsUnreadable(
            f"The records of {spool.scope} cannot be read"
            f"{f' ({reason[0]})' if reason else ''}; nothing was loaded. Look at HARVEST_API_URL,"
            " and for a proxy in between: Harvest sends no such thing."
        ) from error


def _insert(connection: duckdb.DuckDBPyConnection, lines: Lines, drift: Drift, load: Load) -> int:
    """Insert the lines by column name and return their number."""
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
    """The fields under the dotted names of the ledger, e.g. `line_items.kind`."""
    return {
        ".".join(path if each.record is record else (each.record.envelope, *path)): count
        for each, paths in zip(lines, fields, strict=True)
        for path, count in sorted(paths.items())
    }
