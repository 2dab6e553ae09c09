"""What Harvest has deleted: the tables `<record>_deleted`.

Harvest deletes without a trace. A row that was not in a complete read of its scope any more leaves
its table, and is kept here with when that was noticed; should it come again, it leaves here.
"""

from collections.abc import Sequence
from datetime import datetime

import duckdb

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.sql import comma, identifier


def archive(
    connection: duckdb.DuckDBPyConnection,
    record: Record,
    keys: Sequence[int],
    noticed_at: datetime,
) -> None:
    """Move the rows with these keys from the table of `record` to its `_deleted` table, and with
    them the rows that belong to them: payments of an invoice, its lines.

    `noticed_at` is the instant of the load that noticed it: what that has brought stays, also a
    line that has the id of one of an invoice that is gone.
    """
    if not keys:
        return
    present = tables.names(connection)
    older = f"{identifier(tables.LOADED_AT.name)} IS DISTINCT FROM ?::TIMESTAMPTZ"
    for child in RECORDS.values():
        link = next((c for c in child.parent_columns if c.from_parent == record.key), None)
        if child.parent == record.name and link and child.name in present:
            theirs = connection.execute(
                f"SELECT {identifier(child.key)} FROM {identifier(child.name)}"
                f" WHERE list_contains(?, {identifier(link.name)}) AND {older}",
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
    """Take from the `_deleted` tables what a load at that instant has brought again."""
    for record in records:
        table, key = tables.deleted_table(record).name, identifier(record.key)
        connection.execute(
            f"DELETE FROM {identifier(table)} WHERE {key} IN (SELECT {key} FROM"
            f" {identifier(record.name)} WHERE {identifier(tables.LOADED_AT.name)} = ?)",
            [loaded_at],
        )
