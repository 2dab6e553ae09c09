"""What a DuckLake needs every night: Parquet files of what small loads left in its catalogue, few
files instead of many, and no snapshots that nobody goes back to."""

import time
from collections.abc import Collection, Iterator

import duckdb

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.warehouse import ledger, parents, rejected, tables
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.place import RETRIES, is_conflict
from harvest_pipeline.warehouse.sql import literal

#: The share of a file's rows that are deleted, from which on it is written anew.
_DELETED = 0.2
#: Before a statement is run again: a commit of somebody else takes less.
_PAUSE_SECONDS = 0.1


def keep_up(warehouse: Warehouse, days: int) -> None:
    """Merge the files of the account's tables, and forget the snapshots of the lake that are older
    than `days`; nothing, if the place is no lake. The account is reserved by the caller.

    Raises WarehouseError.
    """
    place = warehouse.place
    if not place.is_lake:
        return
    with warehouse.connect() as connection:
        # A flush that DuckLake 1.0 commits again, because another account has committed meanwhile,
        # leaves the deleted rows in the catalogue too: rows are there twice, or files cannot be
        # read any more (test_lake.py).
        connection.execute("SET ducklake_max_retry_count = 0")
        try:
            for statement in _statements(warehouse, tables.names(connection), days):
                _run(connection, statement)
        finally:
            connection.execute(f"SET ducklake_max_retry_count = {RETRIES}")


def _statements(warehouse: Warehouse, there: Collection[str], days: int) -> Iterator[str]:
    lake, schema = literal(warehouse.place.alias), literal(warehouse.schema)
    # Only what loads write, and while none does: DuckLake 1.0 misses conflicts between a merge and
    # a delete (ducklake#1094), after which deleted rows are there again.
    for table in map(literal, sorted(_written_by_loads().intersection(there))):
        yield (
            f"CALL ducklake_flush_inlined_data({lake}, schema_name => {schema},"
            f" table_name => {table})"
        )
        yield (
            f"CALL ducklake_rewrite_data_files({lake}, {table}, schema => {schema},"
            f" delete_threshold => {_DELETED})"
        )
        yield f"CALL ducklake_merge_adjacent_files({lake}, {table}, schema => {schema})"
    yield f"CALL ducklake_expire_snapshots({lake}, older_than => now() - INTERVAL {days} DAY)"
    # A day later, for those who still read them.
    yield f"CALL ducklake_cleanup_old_files({lake}, older_than => now() - INTERVAL 1 DAY)"


def _run(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    """Run a statement, and again from its beginning if another account has committed meanwhile."""
    for further in reversed(range(RETRIES)):
        try:
            connection.execute(statement)
            return
        except duckdb.Error as error:
            if not is_conflict(error) or not further:
                raise
            time.sleep(_PAUSE_SECONDS)


def _written_by_loads() -> set[str]:
    own = {ledger.LEDGER.name, rejected.REJECTED.name, parents.PARENTS_READ.name}
    return own | {name for each in RECORDS for name in (each, f"{each}_deleted")}
