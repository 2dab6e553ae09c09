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

from harvest_pipeline.safety.files import disk_full, make_folder, private_files
from harvest_pipeline.safety.text import one_line
from harvest_pipeline.settings.values import FILE_ENDINGS, VERSION
from harvest_pipeline.warehouse import models, tables
from harvest_pipeline.warehouse.database import Warehouse, scratch
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
    if not warehouse.place.may_exist():
        return False
    new = target.with_name(f"{target.name}.new")
    with private_files(), _explained(target):
        try:
            with warehouse.whole() as connection, _explained(target):
                # While it is open, nobody writes to it. What follows keeps nobody waiting.
                state = warehouse.place.state(connection)
                if state == _state_of_copy(connection, target):
                    return False
                make_folder(target.parent)
                _remove(new)  # of a process that was killed
                _copy(connection, new)
            with scratch(_spilled(new)) as connection:
                connection.execute(f"ATTACH {literal(str(new))} AS {_COPY}")
                _complete(connection, state)
                if target.suffix.lower() not in FILE_ENDINGS:
                    _replace_folder(connection, target)
                connection.execute(f"USE memory; CHECKPOINT {_COPY}; DETACH {_COPY}")
            if target.suffix.lower() in FILE_ENDINGS:
                _replace_file(new, target)
        finally:
            _remove(new)
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
        full = disk_full(error, target.parent)
        why = full or (isinstance(error, OSError) and error.strerror) or one_line(str(error))
        raise WarehouseError(
            f"The copy for readers {target} could not be published; an older one, if there is any, "
            f"stays, and nothing that was loaded is lost. {why.rstrip('.')}. The next run publishes"
            " it; HARVEST_PUBLISH may name another path."
        ) from error


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


def _copy(connection: duckdb.DuckDBPyConnection, new: Path) -> None:
    """Write everything that is in the database into a new one."""
    (name,) = connection.execute("SELECT current_database()").fetchall()[0]
    connection.execute(f"ATTACH {literal(str(new))} AS {_COPY}")
    connection.execute(f"COPY FROM DATABASE {identifier(name)} TO {_COPY}")
    connection.execute(f"DETACH {_COPY}")


def _complete(connection: duckdb.DuckDBPyConnection, state: str) -> None:
    """Let the models be tables, and the copy tell when it was made from what."""
    for schema in _schemas(connection):
        connection.execute(f"USE {_COPY}.{identifier(schema)}")
        models.become_tables(connection)
    connection.execute(
        f"CREATE OR REPLACE TABLE {_COPY}.main.{_MADE} AS"
        f" SELECT now() AS published_at, {literal(state)} AS state"
    )


def _replace_file(new: Path, target: Path) -> None:
    if target.exists():
        _let_equal(new, target, target.stat().st_mode & 0o777)
    _sync(new)
    # That of a program which has opened the former copy for writing does not fit to this one.
    _log_of(target).unlink(missing_ok=True)
    new.replace(target)
    _sync(target.parent)


def _replace_folder(connection: duckdb.DuckDBPyConnection, target: Path) -> None:
    """The folder is a link to one of two; the former one stays until the next time, for those who
    are reading in it."""
    one, other = (target.with_name(f"{target.name}{VERSION}{n}") for n in (1, 2))
    folder = other if target.is_symlink() and target.readlink().name == one.name else one
    shutil.rmtree(folder, ignore_errors=True)
    for schema in _schemas(connection):
        connection.execute(f"USE {_COPY}.{identifier(schema)}")
        make_folder(_parquet(folder, schema, "").parent)
        for table in tables.names(connection):
            file = literal(str(_parquet(folder, schema, table)))
            connection.execute(f"COPY (FROM {identifier(table)}) TO {file} (FORMAT parquet)")
    for each in (*folder.rglob("*"), folder):
        if target.exists():
            mode = target.stat().st_mode & 0o777
            _let_equal(each, target, mode if each.is_dir() else mode & 0o666)
        _sync(each)
    if target.is_dir() and not target.is_symlink():
        target.rmdir()  # an empty one; of another the error says so
    link = target.with_name(f"{target.name}.link")
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    link.replace(target)
    _sync(target.parent)


def _parquet(folder: Path, schema: str, table: str) -> Path:
    """The file of a table, whose name may hold what no file's name can."""
    parts = [re.sub(r"[/\\\0.%]", lambda m: f"%{ord(m[0]):02X}", name) for name in (schema, table)]
    return folder / parts[0] / f"{parts[1]}.parquet"


def _schemas(connection: duckdb.DuckDBPyConnection) -> list[str]:
    found = connection.execute(
        "SELECT schema_name FROM duckdb_schemas()"
        f" WHERE database_name = '{_COPY}' AND (NOT internal OR schema_name = 'main')"
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


def _spilled(file: Path) -> Path:
    """The folder for what does not fit into memory."""
    return file.with_name(f"{file.name}.tmp")


def _remove(file: Path) -> None:
    for each in (file, _log_of(file)):
        each.unlink(missing_ok=True)
    shutil.rmtree(_spilled(file), ignore_errors=True)
