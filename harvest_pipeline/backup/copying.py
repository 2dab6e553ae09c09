"""A database copied whole into a new file, and the mark by which a backup is known.

Belongs here: the copies in both directions.
Does not belong here: words for a person (command.py), opening and locks (warehouse/database.py).
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from harvest_pipeline.private import make_folder
from harvest_pipeline.warehouse.database import STORAGE_VERSION, Warehouse
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.ledger import LEDGER
from harvest_pipeline.warehouse.sql import identifier, literal

#: The schema that every database has, for the table that makes a file a backup.
_MAIN = "main"
_MARK = "_backup"
_COPY = "copy_of_it"


@dataclass(frozen=True, slots=True)
class Contents:
    """What the ledgers of a database tell, all schemas together; `last` is in UTC, None if nothing
    was ever loaded."""

    loads: int
    last: datetime | None


def back_up(database: Path, file: Path, wait_seconds: float) -> Contents:
    """Copy the database into `file`, which appears whole or not at all, for its owner only.

    Other readers are not disturbed; a program that writes is waited for. What `file` held before
    is replaced. Raises WarehouseError, WarehouseLocked, OSError.
    """
    with (
        _beside(file) as new,
        Warehouse(database, _MAIN, wait_seconds).reader(new.parent) as connection,
        _copied(connection, new),
    ):
        contents = _contents(connection, _COPY)
        connection.execute(
            f"CREATE TABLE {_COPY}.{_MAIN}.{_MARK} AS SELECT ?::TIMESTAMPTZ AS made_at,"
            " ?::BIGINT AS loads",
            [datetime.now(UTC), contents.loads],
        )
    return contents


def restore(file: Path, database: Path) -> Contents:
    """Copy a backup into `database`, in the place of what is there. Raises WarehouseError, OSError.

    Nobody may have `database` open: who does keeps the old file.
    """
    if _log_of(file).exists():
        raise WarehouseError(
            f"{file} was written to after it was made ({_log_of(file)} lies beside it); take "
            "another backup, or remove that file if it belongs to something else."
        )
    with (
        _beside(database) as new,
        Warehouse(file, _MAIN, wait_seconds=0.0).reader(new.parent) as connection,
    ):
        _refuse_what_is_no_backup(connection, file)
        with _copied(connection, new):
            connection.execute(f"DROP TABLE {_COPY}.{_MAIN}.{_MARK}")
            contents = _contents(connection, _COPY)
        # The log of the old file has nothing to do with the new one.
        _log_of(database).unlink(missing_ok=True)
    return contents


def _refuse_what_is_no_backup(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Raise WarehouseError for a file that may not be all of what it is a copy of."""
    marked = connection.execute(
        "SELECT 1 FROM duckdb_tables() WHERE schema_name = ? AND table_name = ?", [_MAIN, _MARK]
    ).fetchall()
    if not marked:
        raise WarehouseError(
            f"{file} is a database, but no backup that `harvest-pipeline backup` has made: a plain "
            "copy may lack the last loads. Put such a file in place by hand, with its .wal."
        )
    [(loads,)] = connection.execute(f"SELECT loads FROM {_MARK}").fetchall()
    found = _contents(connection, _current(connection)).loads
    if found != loads:
        raise WarehouseError(
            f"{file} holds {found} loads, and held {loads} when it was made; take another backup."
        )


@contextmanager
def _beside(file: Path) -> Generator[Path]:
    """A path for a new database that takes the place of `file` at the end, unless that fails."""
    make_folder(file.parent)
    with TemporaryDirectory(prefix=f".{file.name}-", dir=file.parent) as folder:
        new = Path(folder) / "new.duckdb"
        yield new
        new.replace(file)


@contextmanager
def _copied(connection: duckdb.DuckDBPyConnection, new: Path) -> Generator[None]:
    """Everything of the connection's database in the new one, which is open during the block.

    Reading all of it, DuckDB finds every damage.
    """
    connection.execute(
        f"ATTACH {literal(str(new.absolute()))} AS {_COPY}"
        f" (READ_WRITE, STORAGE_VERSION {literal(STORAGE_VERSION)})"
    )
    connection.execute(f"COPY FROM DATABASE {identifier(_current(connection))} TO {_COPY}")
    yield
    connection.execute(f"DETACH {_COPY}")


def _contents(connection: duckdb.DuckDBPyConnection, database: str) -> Contents:
    loads, last = 0, None
    for schema in _schemas_with_ledger(connection, database):
        ledger = ".".join(map(identifier, (database, schema, LEDGER.name)))
        [(count, latest)] = connection.execute(
            f"SELECT count(*), max(loaded_at) FROM {ledger}"
        ).fetchall()
        loads += count
        last = max(filter(None, (last, latest)), default=None)
    return Contents(loads, last)


def _schemas_with_ledger(connection: duckdb.DuckDBPyConnection, database: str) -> Iterator[str]:
    found = connection.execute(
        "SELECT schema_name FROM duckdb_tables() WHERE database_name = ? AND table_name = ?",
        [database, LEDGER.name],
    ).fetchall()
    return (row[0] for row in found)


def _current(connection: duckdb.DuckDBPyConnection) -> str:
    return connection.execute("SELECT current_database()").fetchall()[0][0]


def _log_of(database: Path) -> Path:
    return database.with_name(f"{database.name}.wal")
