"""What a DuckLake needs every night: Parquet files of what small loads left in its catalogue, few
files instead of many, and no snapshots that nobody goes back to."""

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.warehouse import ledger, parents, rejected, tables
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.sql import literal

#: The share of a file's rows that are deleted, from which on it is written anew.
_DELETED = 0.2


def keep_up(warehouse: Warehouse, days: int) -> None:
    """Merge the files of the account's tables, and forget the snapshots of the lake that are older
    than `days`; nothing, if the place is no lake. The account is reserved by the caller.

    Raises WarehouseError.
    """
    place = warehouse.place
    if not place.is_lake:
        return
    lake, schema = literal(place.alias), literal(warehouse.schema)
    with warehouse.connect() as connection:
        # Only what loads write, and while none does: DuckLake 1.0 misses conflicts between a merge
        # and a delete (ducklake#1094), after which deleted rows are there again.
        for name in sorted(tables.names(connection).keys() & _written_by_loads()):
            table = literal(name)
            connection.execute(
                f"CALL ducklake_flush_inlined_data({lake}, schema_name => {schema},"
                f" table_name => {table})"
            )
            connection.execute(
                f"CALL ducklake_rewrite_data_files({lake}, {table}, schema => {schema},"
                f" delete_threshold => {_DELETED})"
            )
            connection.execute(
                f"CALL ducklake_merge_adjacent_files({lake}, {table}, schema => {schema})"
            )
        old = f"older_than => now() - INTERVAL {days} DAY"
        connection.execute(f"CALL ducklake_expire_snapshots({lake}, {old})")
        # A day later, for those who still read them.
        connection.execute(
            f"CALL ducklake_cleanup_old_files({lake}, older_than => now() - INTERVAL 1 DAY)"
        )


def _written_by_loads() -> set[str]:
    own = {ledger.LEDGER.name, rejected.REJECTED.name, parents.PARENTS_READ.name}
    return own | {name for each in RECORDS for name in (each, f"{each}_deleted")}
