"""The latest loads of the ledger, for those who want to know how fresh a table is, and whether
what they know of is still there.

Belongs here: these questions. Does not belong here: writing the ledger (ledger.py).
"""

from collections.abc import Collection
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


def last_load(connection: duckdb.DuckDBPyConnection) -> str | None:
    """The id of the load that was committed last; None before the first."""
    if not tables.exists(connection, LEDGER.name):
        return None
    # By place, not by time: clocks are set back.
    found = connection.execute(
        f"SELECT load_id FROM {identifier(LEDGER.name)} ORDER BY rowid DESC LIMIT 1"
    ).fetchall()
    return found[0][0] if found else None


def without_load(connection: duckdb.DuckDBPyConnection, ids: Collection[str]) -> set[str]:
    """Those of these ids of loads that the ledger does not have."""
    if not tables.exists(connection, LEDGER.name):
        return set(ids)
    found = connection.execute(
        f"SELECT load_id FROM {identifier(LEDGER.name)} WHERE list_contains(?, load_id)",
        [list(ids)],
    ).fetchall()
    return set(ids) - {row[0] for row in found}
