"""Updates the table or view of a dataset from the table of its record.

A read always goes into the record's table first, so that every load serves every report; a
dataset's own table then takes from there what its update mode keeps.
"""

import duckdb

from harvest_pipeline.scope import Scope
from harvest_pipeline.settings.datasets import Dataset, Update
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.scopes import condition
from harvest_pipeline.warehouse.sql import comma, identifier


def bring_up_to_date(
    connection: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    scope: Scope,
    *,
    full_refresh: bool = False,
) -> None:
    """Update the dataset after a read of `scope`; runs in the caller's transaction.

    `full_refresh`: the content of a table with `update: merge` is dropped first; a history never
    is. Nothing is done for a report, whose table or view `tables.prepare` creates. Raises
    WarehouseError if a table with rows exists in place of a view.
    """
    if dataset.has_own_table:
        _follow(connection, dataset, scope, full_refresh)
    elif not dataset.is_report:
        _replace_view(connection, dataset, scope)


def _follow(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, scope: Scope, full_refresh: bool
) -> None:
    record, name = dataset.record, identifier(dataset.name)
    if tables.kind(connection, dataset.name) == "VIEW":  # its update mode was partition before
        connection.execute(f"DROP VIEW {name}")
    columns = tables.table_of(record).columns
    tables.prepare_tables(
        connection, tables.Table(dataset.name, dataset.description, record.key, columns)
    )
    key, loaded_at = identifier(record.key), identifier(tables.LOADED_AT.name)
    came = f"FROM {identifier(record.name)} AS read WHERE {condition(record, scope)}"
    if dataset.update is Update.REPLACE or (full_refresh and dataset.update is Update.MERGE):
        connection.execute(f"DELETE FROM {name}")
    elif dataset.update is Update.MERGE:
        connection.execute(f"DELETE FROM {name} WHERE {key} IN (SELECT {key} {came})")
    elif dataset.update is Update.APPEND:
        # A repeated run finds the read that it has made before: the same read is kept once.
        came += (
            f" AND NOT EXISTS (SELECT 1 FROM {name} AS kept WHERE kept.{key} = read.{key}"
            f" AND kept.{loaded_at} = read.{loaded_at})"
        )
    connection.execute(
        f"INSERT INTO {name} BY NAME SELECT"
        f" {comma(identifier(column.name) for column in columns)} {came}"
    )


def _replace_view(connection: duckdb.DuckDBPyConnection, dataset: Dataset, scope: Scope) -> None:
    record = dataset.record
    if tables.kind(connection, dataset.name) == "BASE TABLE":
        raise WarehouseError(
            f"{dataset.name} is a table, from when its update mode was another one, and update: "
            "partition needs a view of that name; nothing was deleted. Rename or drop the table, "
            "or name the dataset differently."
        )
    # Without the days of this run: a view shows all days that have ever been read.
    part = Scope(record.name, None, dataset.part)
    columns = comma(identifier(column.name) for column in tables.table_of(record).columns)
    select = f"SELECT {columns} FROM {identifier(record.name)} WHERE {condition(record, part)}"
    tables.replace_view(connection, dataset.name, select, dataset.description)
