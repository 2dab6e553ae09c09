"""The latest loads of the ledger, for those who want to know how fresh a table is."""

from dataclasses import dataclass
from datetime import datetime

import duckdb

from harvest_pipeline.scope import Proof
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.ledger import LEDGER
from harvest_pipeline.warehouse.sql import identifier


@dataclass(frozen=True, slots=True)
class LastLoad:
    """What a run has loaded of a record for a report: `rows` in all, the last of them at
    `loaded_at` (UTC)."""

    record: str
    report: str
    run_id: str
    rows: int
    loaded_at: datetime


def last_loads(connection: duckdb.DuckDBPyConnection) -> list[LastLoad]:
    """The last run of every record and report that asked for it, the latest first."""
    if not tables.exists(connection, LEDGER.name):
        return []
    found = connection.execute(
        "SELECT record, report, run_id, sum(rows)::BIGINT, max(loaded_at) AS latest"
        f" FROM {identifier(LEDGER.name)} WHERE proof <> ? GROUP BY record, report, run_id"
        " QUALIFY row_number() OVER (PARTITION BY record, report ORDER BY latest DESC) = 1"
        " ORDER BY latest DESC",
        [str(Proof.MODULE_OFF)],
    ).fetchall()
    return [LastLoad(*row) for row in found]


def last_loaded_at(connection: duckdb.DuckDBPyConnection) -> datetime | None:
    """When the latest load was committed, in UTC; None if there was none."""
    if not tables.exists(connection, LEDGER.name):
        return None
    # The one committed last, not the one with the latest time: clocks are set back.
    found = connection.execute(
        f"SELECT loaded_at FROM {identifier(LEDGER.name)} ORDER BY rowid DESC LIMIT 1"
    ).fetchall()
    return found[0][0] if found else None
