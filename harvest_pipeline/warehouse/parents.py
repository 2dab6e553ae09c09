"""The parent records, e.g. the invoices whose payments are to be read."""

from datetime import datetime
from typing import Any

import duckdb

from harvest_pipeline.catalogue.columns import ID, INSTANT, ROW_KEY, TEXT, Column, Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.scope import Scope, Spool
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.scopes import condition
from harvest_pipeline.warehouse.sql import comma, identifier

PARENTS_READ = tables.Table(
    "_parents_read",
    "When what belongs to each invoice, estimate and person was last read.",
    "parent_id",
    (
        Column("record", TEXT, "What was read, e.g. invoice_messages or cost_rates.", ()),
        Column("parent_id", ID, "Id of the invoice, the estimate or the person.", ()),
        Column("updated_at", INSTANT, "When the parent had last changed then, in UTC.", ()),
        Column("run_id", TEXT, "Id of the Dagster run.", ()),
        Column("read_at", INSTANT, "Harvest's clock before they were read, in UTC.", ()),
        Column("loaded_at", INSTANT, "When they were loaded, in UTC.", ()),
    ),
)


def parents(
    connection: duckdb.DuckDBPyConnection, record: Record, scope: Scope
) -> list[dict[str, Any]]:
    """The parents of a child record (`Record.parent`), those in `scope`, in order of their
    day, if they have one.

    For invoices: dicts with id, issue_date, currency and updated_at, and also `_updated_at` (that
    of the parent), `_read_at`, `_run_id` and `_loaded_at` of the last read of their children, None
    if there was none. Empty if the parents have never been loaded.
    """
    assert record.parent is not None
    parent = RECORDS[record.parent]
    present = tables.names(connection)
    if parent.name not in present:
        return []
    day = parent.day or parent.key
    of_parent = [column.from_parent or "" for column in record.parent_columns]
    repeated = [name for name in of_parent if name != ROW_KEY]
    decisive = [record.parent_has[0]] if record.parent_has else []
    names = list(dict.fromkeys((parent.key, day, *repeated, *decisive, "updated_at")))
    last = ("updated_at", "read_at", "run_id", "loaded_at")
    reads = (
        f"(SELECT * FROM {identifier(PARENTS_READ.name)} WHERE record = ?)"
        if PARENTS_READ.name in present
        else f"(SELECT NULL AS parent_id, {comma(f'NULL AS {name}' for name in last)}"
        " WHERE ? IS NULL)"
    )
    rows = connection.execute(
        f"SELECT {comma(f'parent.{identifier(name)}' for name in names)},"
        f" {comma(f'reads.{name}' for name in last)}"
        f" FROM (FROM {identifier(parent.name)} WHERE {condition(parent, scope)}) AS parent"
        f" LEFT JOIN {reads} AS reads ON reads.parent_id = parent.{identifier(parent.key)}"
        f" ORDER BY parent.{identifier(day)}, parent.{identifier(parent.key)}",
        [record.name],
    ).fetchall()
    keys = [*names, *(f"_{name}" for name in last)]
    return [dict(zip(keys, row, strict=True)) for row in rows]


def write_read(
    connection: duckdb.DuckDBPyConnection, spool: Spool, run_id: str, loaded_at: datetime
) -> None:
    """Record, in an existing table, that the children of the spool's parents were read."""
    parent = RECORDS[RECORDS[spool.scope.record].parent or ""]
    name, key = identifier(PARENTS_READ.name), identifier(parent.key)
    ids = list(spool.parents)
    connection.execute(
        f"DELETE FROM {name} WHERE record = ? AND list_contains(?, parent_id)",
        [spool.scope.record, ids],
    )
    connection.execute(
        f"INSERT INTO {name} SELECT ?, {key}, updated_at, ?, ?::TIMESTAMPTZ, ?::TIMESTAMPTZ"
        f" FROM {identifier(parent.name)} WHERE list_contains(?, {key})",
        [spool.scope.record, run_id, spool.read_at, loaded_at, ids],
    )
