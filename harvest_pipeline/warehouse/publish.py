"""The copy of the database for readers: one DuckDB file, or a folder of Parquet files, always
replaced as a whole."""

import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from harvest_pipeline.safety import make_folder, one_line
from harvest_pipeline.settings.values import FILE_ENDINGS, VERSION
from harvest_pipeline.warehouse import models, tables
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.sql import file_pattern, identifier, literal

#: The database of the copy within the instance; no schema has this name.
_COPY = "_published_copy"
#: The table, in the schema `main` of the copy, that says when it was made from what.
_MADE = "_published"


def publish(warehouse: Warehouse, target: Path) -> bool:
    """Let `target` be a copy of the whole database; returns False if it was one already.

    Only one process may publish there at a time. Readers of the former copy go on reading it.
    Waits for a program that writes to the database. Raises WarehouseError; the former copy is then
    still there.
    """
    if not warehouse.path.exists():
        return False
    with _explained(target), warehouse.whole() as connection:
        # While it is open, nobody writes to it.
        state = _state(warehouse.path)
        replace = _replace_file if target.suffix.lower() in FILE_ENDINGS else _replace_folder
        if state == _state_of_copy(connection, target):
            return False
        make_folder(target.parent)
        replace(connection, target, state)
    return True


def published_at(target: Path) -> datetime | None:
    """When the copy was made, in UTC; None if there is none."""
    try:
        return datetime.fromtimestamp(target.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None


@contextmanager
def _explained(target: Path) -> Generator[None]:
    try:
        yield
    except (OSError, duckdb.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else one_line(str(error))
        raise WarehouseError(
            f"The copy for readers {target} could not be published ({reason}): an older one, if "
            "there is any, stays, and nothing that was loaded is lost. Mend that, or set "
            "HARVEST_PUBLISH to another path; the next run publishes it."
        ) from error


def _state(path: Path) -> str:
    """Changes with every write to the database, whoever writes."""
    files = [each for each in (path, path.with_name(f"{path.name}.wal")) if each.exists()]
    return " ".join(f"{each.stat().st_size}@{each.stat().st_mtime_ns}" for each in files)


def _state_of_copy(connection: duckdb.DuckDBPyConnection, target: Path) -> str | None:
    """The state of the database that the copy was made from; None if it cannot be told."""
    if not target.exists():
        return None
    made = f"{_COPY}.main.{_MADE}"
    try:
        if target.is_dir():
            made = f"read_parquet({literal(file_pattern(_parquet(target, 'main', _MADE)))})"
        else:
            connection.execute(f"ATTACH {literal(str(target))} AS {_COPY} (READ_ONLY)")
        found = connection.execute(f"SELECT state FROM {made}").fetchall()
        return found[0][0] if found else None
    except duckdb.Error:  # it is no copy, or somebody writes to it
        return None
    finally:
        connection.execute(f"DETACH DATABASE IF EXISTS {_COPY}")


def _made(state: str) -> str:
    """The content of the table `_published`, as a SELECT."""
    return f"SELECT now() AS published_at, {literal(state)} AS state"


def _replace_file(connection: duckdb.DuckDBPyConnection, target: Path, state: str) -> None:
    new = target.with_name(f"{target.name}.new")
    _remove(new)  # of a process that was killed
    try:
        name = identifier(_database(connection))
        connection.execute(f"ATTACH {literal(str(new))} AS {_COPY}")
        connection.execute(f"COPY FROM DATABASE {name} TO {_COPY}")
        connection.execute(f"CREATE OR REPLACE TABLE {_COPY}.main.{_MADE} AS {_made(state)}")
        for schema in _schemas(connection, _COPY):
            connection.execute(f"USE {_COPY}.{identifier(schema)}")
            models.become_tables(connection)
        connection.execute(f"USE {name}")
        connection.execute(f"CHECKPOINT {_COPY}")
        connection.execute(f"DETACH {_COPY}")
        if target.exists():
            _let_equal(new, target, target.stat().st_mode & 0o777)
        _sync(new)
        # That of a program which has opened the former copy for writing does not fit to this one.
        _log_of(target).unlink(missing_ok=True)
        os.replace(new, target)
        _sync(target.parent)
    finally:
        _remove(new)


def _replace_folder(connection: duckdb.DuckDBPyConnection, target: Path, state: str) -> None:
    """The folder is a link to one of two; the former one stays until the next time, for those who
    are reading in it."""
    one, other = (target.with_name(f"{target.name}{VERSION}{n}") for n in (1, 2))
    new = other if target.is_symlink() and target.readlink().name == one.name else one
    shutil.rmtree(new, ignore_errors=True)
    database = _database(connection)
    for schema in _schemas(connection, database):
        connection.execute(f"USE {identifier(database)}.{identifier(schema)}")
        make_folder(_parquet(new, schema, "").parent)
        for table in (*tables.names(connection), *models.views(connection)):
            _write(connection, f"FROM {identifier(table)}", _parquet(new, schema, table))
    _write(connection, _made(state), _parquet(new, "main", _MADE))
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o700
    for each in sorted(new.rglob("*")) + [new]:
        if target.exists():
            _let_equal(each, target, mode if each.is_dir() else mode & 0o666)
        _sync(each)
    if target.is_dir() and not target.is_symlink():
        target.rmdir()  # an empty one; of another the error says so
    link = target.with_name(f"{target.name}.new")
    link.unlink(missing_ok=True)
    link.symlink_to(new.name)
    os.replace(link, target)
    _sync(target.parent)


def _write(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    connection.execute(f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet)")


def _parquet(folder: Path, schema: str, table: str) -> Path:
    """The file of a table, whose name may hold what no file's name can."""
    parts = [re.sub(r"[/\\\0.%]", lambda m: f"%{ord(m[0]):02X}", name) for name in (schema, table)]
    return folder / parts[0] / f"{parts[1]}.parquet"


def _database(connection: duckdb.DuckDBPyConnection) -> str:
    return connection.execute("SELECT current_database()").fetchall()[0][0]


def _schemas(connection: duckdb.DuckDBPyConnection, database: str) -> list[str]:
    found = connection.execute(
        "SELECT schema_name FROM duckdb_schemas()"
        " WHERE database_name = ? AND (NOT internal OR schema_name = 'main')",
        [database],
    ).fetchall()
    return [name for (name,) in found]


def _let_equal(new: Path, former: Path, mode: int) -> None:
    """Let the group of the former copy have the new one too, and others as `mode` says."""
    os.chown(new, -1, former.stat().st_gid)
    new.chmod(mode)


def _sync(path: Path) -> None:
    """Let a file or folder be on the disk before it takes the place of the former one."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _log_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.wal")


def _remove(file: Path) -> None:
    for each in (file, _log_of(file)):
        each.unlink(missing_ok=True)
