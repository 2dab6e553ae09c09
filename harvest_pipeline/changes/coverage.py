"""How far a record was loaded in full, by the ledger.

Belongs here: these questions to the table `_loads`.
Does not belong here: what the tables hold (outstanding.py).
"""

from dataclasses import dataclass
from datetime import date, datetime

import duckdb

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.scope import Proof, Window
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.ledger import LEDGER
from harvest_pipeline.warehouse.sql import comma, identifier, literal

_TABLE = identifier(LEDGER.name)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Every change of a record before `since` (Harvest's clock) is in the warehouse, on all days
    that were ever loaded in full. `newest` is the last of those days, None for a record without a
    day; `complete`: there is no other day."""

    since: datetime
    newest: date | None
    complete: bool


def full_loads(connection: duckdb.DuckDBPyConnection) -> str | None:
    """A relation of the loads that brought all of their window; None if there is no ledger."""
    if not tables.exists(connection, LEDGER.name):
        return None
    partial = comma(literal(proof) for proof in (Proof.MODULE_OFF, Proof.FOLLOWED))
    # A ledger of an older version has no filters.
    whole = "filters" in tables.column_types(connection, LEDGER.name)
    return (
        f"(SELECT * FROM {_TABLE} WHERE proof NOT IN ({partial})"
        f"{' AND filters IS NULL' if whole else ''})"
    )


def coverage(
    connection: duckdb.DuckDBPyConnection, loads: str, record: Record, every: Window
) -> Coverage | None:
    """The coverage of a record over `every` day, by these `loads`; None if there is none.

    A day is as fresh as its latest load, whether or not that brought rows.
    """
    if record.day is None:
        query = f"SELECT max(read_at) FROM {loads} WHERE record = ? AND window_first IS NULL"
        since = connection.execute(query, [record.name]).fetchall()[0][0]
        return since and Coverage(since, None, complete=True)
    ((since, newest, complete),) = connection.execute(
        f"""
        WITH loads AS (
            SELECT coalesce(window_first, $first) AS first, coalesce(window_last, $last) AS last,
                read_at FROM {loads} WHERE record = $record
        ),
        days AS (SELECT unnest(range($first::DATE, $last::DATE + 1, INTERVAL 1 DAY))::DATE AS day),
        fresh AS (
            SELECT day, max(read_at) AS since
            FROM days LEFT JOIN loads ON day >= first AND day <= last GROUP BY day
        )
        SELECT min(since), max(day) FILTER (since IS NOT NULL), bool_and(since IS NOT NULL)
        FROM fresh
        """,
        {"record": record.name, "first": every.first, "last": every.last},
    ).fetchall()
    return since and Coverage(since, newest, complete)


def latest_load(connection: duckdb.DuckDBPyConnection) -> str:
    """The id of the latest load. There is a ledger."""
    query = f"SELECT load_id FROM {_TABLE} ORDER BY loaded_at DESC, load_id LIMIT 1"
    return connection.execute(query).fetchall()[0][0]


def has_load(connection: duckdb.DuckDBPyConnection, load_id: str) -> bool:
    """Whether the ledger, which is there, holds that load."""
    query = f"SELECT 1 FROM {_TABLE} WHERE load_id = ?"
    return bool(connection.execute(query, [load_id]).fetchall())
