"""The table `_comparisons`: what each night found when it compared with Harvest's own reports."""

from dataclasses import dataclass
from datetime import date, datetime

import duckdb

from harvest_pipeline.catalogue.columns import DAY, INSTANT, TEXT, Column
from harvest_pipeline.warehouse import tables

TABLE = tables.Table(
    "_comparisons",
    "What each night found when it compared the tables with Harvest's own reports.",
    "compared_at",
    (
        Column("compared_at", INSTANT, "When Harvest was asked, in UTC.", ()),
        Column("first_day", DAY, "The first day that was compared.", ()),
        Column("last_day", DAY, "The last day that was compared.", ()),
        Column("verdict", TEXT, "equal, different or not proven.", ()),
        Column("differences", "BIGINT", "Figures of a month that differ.", ()),
        Column(
            "left_out",
            TEXT,
            "What Harvest has from before the first day, in a sentence; null: nothing.",
            (),
            nullable=True,
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One night's comparison of the days from `first_day` to `last_day`."""

    compared_at: datetime
    first_day: date
    last_day: date
    verdict: str
    differences: int
    left_out: str | None = None


def write(connection: duckdb.DuckDBPyConnection, comparison: Comparison) -> None:
    """Add a comparison. Runs in the caller's transaction. Raises duckdb.Error."""
    tables.prepare_tables(connection, TABLE)
    values = [getattr(comparison, column.name) for column in TABLE.columns]
    connection.execute(f"INSERT INTO {TABLE.name} VALUES (?, ?, ?, ?, ?, ?)", values)


def latest(connection: duckdb.DuckDBPyConnection) -> Comparison | None:
    """The last comparison; None if there was none."""
    if not tables.exists(connection, TABLE.name):
        return None
    rows = connection.execute(f"FROM {TABLE.name} ORDER BY compared_at DESC LIMIT 1").fetchall()
    return Comparison(*rows[0]) if rows else None
