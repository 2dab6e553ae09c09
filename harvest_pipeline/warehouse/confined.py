"""SQL of others on a lake, where DuckDB's settings do not confine everything: functions of
extensions reach the catalogue's server with the rights of its user, and delete files of the lake.
"""

import json
from collections.abc import Iterator
from typing import Any, cast

import duckdb

from harvest_pipeline.warehouse.errors import WarehouseError

#: Table functions that compute, or say what is there; all others are refused.
_HARMLESS = {"range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree"}
_TELLING = ("duckdb_", "pragma_")
#: The catalogue's own tables, with what is inlined of every account.
_CATALOGUE = "__ducklake_metadata"


def refuse_what_reaches_out(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Raise WarehouseError if one SELECT calls a function that reads anything but the tables and
    views of the lake, or names a table of its catalogue. Raises duckdb.Error for wrong syntax."""
    [(text,)] = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()
    parsed = json.loads(text)
    if parsed.get("error"):
        if parsed.get("error_type") == "parser":
            return  # running it says what is wrong
        raise WarehouseError("On a DuckLake, query takes SELECT, WITH, FROM and VALUES only.")
    for node in _nodes(parsed):
        if node.get("type") == "TABLE_FUNCTION":
            name = str(node["function"].get("function_name")).lower()
            if name not in _HARMLESS and not name.startswith(_TELLING):
                raise WarehouseError(
                    f"The function {name} may reach more than the warehouse; on a DuckLake, query "
                    "takes tables, views and functions that compute."
                )
        names = (node.get("catalog_name"), node.get("schema_name"))
        if any(str(name).lower().startswith(_CATALOGUE) for name in names):
            raise WarehouseError("The catalogue of a DuckLake is not part of the warehouse.")


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a value of JSON."""
    if isinstance(value, dict):
        node = cast("dict[str, Any]", value)
        yield node
        value = [*node.values()]
    for part in cast("list[Any]", value) if isinstance(value, list) else ():
        yield from _nodes(part)
