"""DataFrames of users' own assets: stored so that no value and no old row is lost."""

from collections.abc import Iterable
from typing import Any

import duckdb
import pandas as pd

from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.sql import comma, identifier
from harvest_pipeline.warehouse.tables import column_types

_FRAME = "_frame"
#: Wide enough for later frames: DuckDB declares a column just wide enough for the first one.
_ANY_DECIMAL = "DECIMAL(38,10)"


def store(connection: duckdb.DuckDBPyConnection, table: str, frame: pd.DataFrame) -> None:
    """Add the rows of a frame to a table, by column name; runs in the caller's transaction.

    The table, and missing columns, are created as needed; a frame without rows creates the table
    too. Raises WarehouseError if a column of the table cannot hold the frame's values exactly, or
    if DuckDB cannot name columns as the frame does.
    """
    connection.register(_FRAME, frame)
    try:
        types = column_types(connection, _FRAME)
        _refuse_renamed(table, frame, types)
        declared = {name: _declared_type(type, frame[name]) for name, type in types.items()}
        definitions = {name: f"{identifier(name)} {type}" for name, type in declared.items()}
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {identifier(table)} ({comma(definitions.values())})"
        )
        present = column_types(connection, table)
        for name, definition in definitions.items():
            if name not in present:
                connection.execute(f"ALTER TABLE {identifier(table)} ADD COLUMN {definition}")
        for name, type in types.items():
            _refuse_lossy(connection, table, name, type, {**declared, **present}[name])
        connection.execute(f"INSERT INTO {identifier(table)} BY NAME SELECT * FROM {_FRAME}")
    finally:
        connection.unregister(_FRAME)


def _refuse_renamed(table: str, frame: pd.DataFrame, names: Iterable[str]) -> None:
    """Raise WarehouseError unless the columns have these names: DuckDB renames others silently."""
    if list(frame.columns) != [*names]:
        raise WarehouseError(
            f"The frame for {table} has columns that DuckDB cannot name so; nothing was changed."
            " Names must be texts, not empty, and differ in more than capital letters."
        )


def _declared_type(type: str, values: "pd.Series[Any]") -> str:
    """The column type for a frame's values of a type that DuckDB inferred from them."""
    if values.dtype == object and values.isna().all():
        return "VARCHAR"
    return _ANY_DECIMAL if type.startswith("DECIMAL") else type


def _refuse_lossy(
    connection: duckdb.DuckDBPyConnection, table: str, name: str, type: str, target: str
) -> None:
    """Raise WarehouseError if values of the frame change when converted to the column's type."""
    if type == target:
        return
    column = identifier(name)
    changed = connection.execute(
        f"SELECT count(*), min({column}::VARCHAR) FROM {_FRAME} WHERE"
        f" TRY_CAST(TRY_CAST({column} AS {target}) AS {type}) IS DISTINCT FROM {column}"
    ).fetchall()
    count, example = changed[0]
    if count:
        raise WarehouseError(
            f"The column {name} of {table} is {target} and cannot hold {count} of the new values"
            f" ({type}, such as {example!r}); nothing was changed. Convert them in the asset, or"
            " drop the table."
        )
