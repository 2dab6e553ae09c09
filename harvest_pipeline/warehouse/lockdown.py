"""What DuckDB may touch: its own database, and the one file that a load reads.

Belongs here: the options that shut off everything else, for good.
Does not belong here: opening and closing databases (database.py).

By itself DuckDB reads and writes every file that the process can, opens other databases and loads
code from the network, all of that by SQL. Here no SQL should ever come from outside; if some
does, it finds nothing but the tables.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.sql import comma, file_pattern, literal

_NO_EXTENSIONS = {
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "allow_community_extensions": False,
}
#: What `lock_down` sets once the database is open: DuckDB takes none of it before.
_SET_LATER: dict[str, Any] = {
    "allowed_paths": None,
    "allowed_directories": None,
    "enable_external_access": False,
    "lock_configuration": True,
}
_OURS = _NO_EXTENSIONS | _SET_LATER


def options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The options to open a database with: `settings`, and no extensions.

    Raises WarehouseError if the settings would open what is shut here.
    """
    undone = [
        name
        for name, value in settings.items()
        if name.lower() in _OURS and str(value).lower() != str(_OURS[name.lower()]).lower()
    ]
    if undone:
        raise WarehouseError(
            f"The setting {comma(sorted(undone))} of the database would let SQL read or change "
            "what is outside of it; remove it from connection_config."
        )
    others = {name: value for name, value in settings.items() if name.lower() not in _OURS}
    return {**others, **_NO_EXTENSIONS}


def lock_down(connection: duckdb.DuckDBPyConnection, reading: Path | None) -> None:
    """Let SQL reach nothing but the database and `reading`, a file or a folder, and change no
    option.

    It holds for every connection to the same database in this process.
    """
    if reading is not None and reading.is_dir():
        allowed = f"allowed_directories = [{literal(str(reading.absolute()))}]"
    else:
        # The path as it stands, and as it is written where DuckDB takes a pattern.
        paths = (str(reading.absolute()), file_pattern(reading)) if reading else ()
        allowed = f"allowed_paths = [{comma(map(literal, paths))}]"
    connection.execute(
        f"SET {allowed}; SET enable_external_access = false; SET lock_configuration = true"
    )


def is_locked_down(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether another connection of this process has locked this database down already."""
    rows = connection.execute("SELECT current_setting('lock_configuration')").fetchall()
    return bool(rows[0][0])
