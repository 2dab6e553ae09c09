"""Whether a day has come: what the ledger knows of complete reads of it.

Belongs here: that question. Does not belong here: writing the ledger (ledger.py), who is told
(alerts/).
"""

from collections.abc import Collection
from datetime import date, datetime

import duckdb

from harvest_pipeline.scope import Proof
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.ledger import LEDGER
from harvest_pipeline.warehouse.sql import identifier


def last_reads(
    connection: duckdb.DuckDBPyConnection, day: date, records: Collection[str]
) -> dict[str, datetime]:
    """When each record was last read over the whole of that day and loaded: Harvest's clock before
    the read, in UTC. Records that never were are not in it."""
    needed = {"record", "window_first", "window_last", "filters", "proof", "read_at"}
    if not tables.exists(connection, LEDGER.name):
        return {}
    if not needed <= set(tables.column_types(connection, LEDGER.name)):
        return {}  # a ledger of an older version, and nothing was loaded since
    found = connection.execute(
        f"SELECT record, max(read_at) FROM {identifier(LEDGER.name)}"
        " WHERE list_contains(?, record) AND filters IS NULL AND proof <> ?"
        " AND coalesce(window_first <= ? AND ? <= window_last, true) GROUP BY record",
        [list(records), str(Proof.FOLLOWED), day, day],
    ).fetchall()
    return {record: read_at for record, read_at in found if read_at is not None}
