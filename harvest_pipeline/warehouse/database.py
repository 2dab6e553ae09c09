"""The database file: opened late, for seconds, always closed, with one sentence for each error."""

import os
import re
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from harvest_pipeline.safety.files import closed, disk_full, make_folder, private_files
from harvest_pipeline.safety.text import one_line
from harvest_pipeline.settings import Account
from harvest_pipeline.state import SharedState
from harvest_pipeline.warehouse import engine, turns
from harvest_pipeline.warehouse.errors import WarehouseError, WarehouseLocked
from harvest_pipeline.warehouse.sql import identifier

#: A load of millions of rows takes minutes; a process that holds the file for longer is stuck.
WAIT_SECONDS = 15 * 60.0
#: Far longer than any report takes to read from Harvest.
_LONGEST_READ = 4 * 3600.0
SECONDS_BETWEEN_LINES = 15.0
#: The first words of a log line that says why the program waits.
WAITING = "Waiting: "

#: DuckDB accepts both only when the file is attached, and never takes them back.
_CONFINED = "SET enable_external_access = false; SET lock_configuration = true"

_HOLDER = re.compile(r"Conflicting lock is held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")
_DAMAGED = re.compile("Corrupt|checksum|WAL|Could not read enough bytes")


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A DuckDB file and the schema in it; opened by `connect`, `transaction`, `reader` and `whole`.

    In their connections, tables without a schema are those of `schema`, and times are in UTC.
    `wait_seconds` is how long to wait for a program that holds the file; `log` gets a line when
    waiting begins, and every 15 seconds. `settings` are DuckDB's own. A file that everybody can
    read is made private when it is opened, unless it is `left` as it is. `state` is what machines
    share, if they do. Raises WarehouseError if
    the file and the schema have the same name. A process has writing or reading connections, not
    both.
    """

    path: Path
    schema: str
    wait_seconds: float = WAIT_SECONDS
    log: Callable[[str], object] = print
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    left: bool = False
    state: SharedState | None = None

    def __post_init__(self) -> None:
        if self.path.stem.lower() == self.schema.lower():
            raise WarehouseError(
                f"The database {self.path} has the same name as the schema {self.schema!r}, which "
                "DuckDB cannot tell apart; rename one of them."
            )

    @contextmanager
    def reserved(self) -> Generator[None]:
        """Only one step of the account at a time, among all programs of this machine and of those
        that share the `state`, reads Harvest and loads: otherwise an earlier read could replace a
        later one. Meanwhile the file can be read, and other accounts can be loaded.

        Waits for others with a line every 15 seconds. Raises WarehouseLocked after four hours, and
        TurnLost.
        """
        if (turn := self._turn()) is None:
            yield
            return
        waiting = _Waiting(self.log, f"another run of {self.schema} has to end first")
        while True:
            try:
                turn.acquire(waiting.pause())
                break
            except TimeoutError as error:
                if waiting.seconds() > _LONGEST_READ:
                    raise WarehouseLocked(
                        f"Another run of {self.schema} has been reading for more than four hours; "
                        f"look for it in the Dagster UI and among the processes of {turn.where}."
                    ) from error
                waiting.report()
            except OSError as error:
                raise WarehouseError(self._refusal(error)) from error
        try:
            yield
        finally:
            turn.release()

    def _turn(self) -> turns.Turn | None:
        """The lock of the account; None if there can be none, and opening the database says why."""
        if self.state:
            return turns.shared(self.state, self.schema)
        self._make_folder()
        return turns.on_disk(self.path.with_name(f"{self.path.name}.{self.schema}.lock"))

    @contextmanager
    def connect(self) -> Generator[duckdb.DuckDBPyConnection]:
        """A connection that may write; the file, its folder and the schema are created if missing.

        Raises WarehouseLocked after `wait_seconds`, and WarehouseError at once for an error that
        waiting does not fix.
        """
        self._make_folder()
        with self._opened(read_only=False) as connection:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(self.schema)}")
            connection.execute(f"USE {identifier(self.schema)}")
            yield connection

    @contextmanager
    def transaction(self) -> Generator[duckdb.DuckDBPyConnection]:
        """A connection whose statements are committed all together or not at all."""
        with self.connect() as connection, transaction(connection):
            yield connection

    @contextmanager
    def reader(self, *, confined: bool = False) -> Generator[duckdb.DuckDBPyConnection]:
        """A read-only connection.

        If the file or the schema does not exist yet, it reads an empty database. `confined`: SQL of
        others runs in it, which reaches no other file, no network and no extension, and changes no
        setting; no other connection of the process uses the file meanwhile. `COPY` could still
        overwrite the database file, which DuckDB has open: it is for SELECT only.
        """
        if self.path.exists():
            with self.whole(kept=not confined) as connection:
                if _has_schema(connection, self.schema):
                    connection.execute(f"USE {identifier(self.schema)}")
                    if confined:
                        connection.execute(_CONFINED)
                    yield connection
                    return
        with scratch() as connection:
            if confined:
                connection.execute(_CONFINED)
            yield connection

    @contextmanager
    def whole(self, *, kept: bool = True) -> Generator[duckdb.DuckDBPyConnection]:
        """A read-only connection to the file, which exists, and all of its schemas."""
        with self._opened(read_only=True, kept=kept) as connection:
            yield connection

    def holder(self) -> str | None:
        """The program that keeps all others from writing to the file, None if there is none.

        Opens the file, which must exist, for writing: a reader does not block other readers. Raises
        WarehouseError if it cannot be opened.
        """
        try:
            with private_files(), engine.connected(self.path, self.settings, read_only=False):
                pass
        except duckdb.Error as error:
            if holder := _holder(error):
                return holder
            raise WarehouseError(self._refusal(error)) from error
        return None

    @contextmanager
    def _opened(
        self, *, read_only: bool, kept: bool = True
    ) -> Generator[duckdb.DuckDBPyConnection]:
        # The file, its log and its temporary files contain personal data.
        for path in () if self.left else (self.path, self.path.with_name(f"{self.path.name}.wal")):
            if told := closed(path, group_may=True):
                self.log(f"{told}; `chmod 660` lets in a group.")
        with private_files(), _interruptible(), self._explained(), ExitStack() as stack:
            yield self._wait_for_connection(stack, read_only, kept)

    @contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except duckdb.Error as error:
            if sentence := disk_full(error, self.path.parent):
                raise WarehouseError(
                    f"The database {self.path} holds what it held before. {sentence}"
                ) from error
            if _DAMAGED.search(str(error)):
                raise WarehouseError(_damaged(self.path, str(error))) from error
            raise

    def _wait_for_connection(
        self, stack: ExitStack, read_only: bool, kept: bool
    ) -> duckdb.DuckDBPyConnection:
        waiting: _Waiting | None = None
        was_there = self.path.exists()
        while True:
            try:
                opened = engine.connected(self.path, self.settings, read_only=read_only, kept=kept)
                return stack.enter_context(opened)
            except duckdb.Error as error:
                holder = _holder(error)
                if holder is None:
                    if not was_there and disk_full(error):
                        self.path.unlink(missing_ok=True)  # the beginning of a file
                    raise WarehouseError(self._refusal(error)) from error
                waiting = waiting or _Waiting(self.log, "")
                if waiting.seconds() >= self.wait_seconds:
                    raise WarehouseLocked(
                        f"The database {self.path} is held by {holder} and was not free within "
                        f"{self.wait_seconds:g} s; close that program, or its connection."
                    ) from error
            waiting.reason = f"{self.path} is held by {holder}"
            waiting.report()
            time.sleep(0.1)

    def _make_folder(self) -> None:
        try:
            make_folder(self.path.parent)
        except OSError as error:
            raise WarehouseError(
                disk_full(error)
                or f"The folder of the database {self.path} cannot be made ({error.strerror}); "
                "name another path."
            ) from error

    def _refusal(self, error: duckdb.Error | OSError) -> str:
        """The sentence for an error of opening that waiting does not fix."""
        text = str(error)
        if sentence := disk_full(error, self.path.parent):
            return sentence
        if self.path.is_dir():
            return f"The database path {self.path} is a folder; name a file in it."
        if "not a valid DuckDB database file" in text:
            return f"{self.path} is not a DuckDB database; name another file, or move it away."
        if "version number" in text:
            return (
                f"The database {self.path} was written by a newer DuckDB than the installed "
                f"{duckdb.__version__}; install the newer one."
            )
        if "Permission denied" in text or "Read-only file system" in text:
            return (
                f"The database {self.path} cannot be written by this user; change the permissions "
                "or name another path."
            )
        if _DAMAGED.search(text):
            return _damaged(self.path, text)
        return f"The database {self.path} cannot be opened: {text.splitlines()[0]}"


def warehouse_of(account: Account, log: Callable[[str], object]) -> Warehouse:
    """The warehouse of an account, which waits for other programs as long as the project says."""
    project = account.project
    wait = float(project.duckdb_wait_seconds)
    return Warehouse(project.duckdb, account.name, wait, log, state=project.state)


@contextmanager
def scratch(folder: Path | None = None) -> Generator[duckdb.DuckDBPyConnection]:
    """An empty database in memory; what does not fit there goes into `folder`, if one is given."""
    config = {**engine.CONFIG, "temp_directory": f"{folder.absolute()}" if folder else ""}
    with private_files(), _interruptible(), duckdb.connect(config=config) as connection:
        connection.execute(engine.SESSION)
        yield connection


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Generator[None]:
    """BEGIN, then COMMIT; ROLLBACK if anything is raised, including an interrupt."""
    connection.begin()
    try:
        yield
        turns.confirm()
        # COMMIT of an aborted transaction reports success and rolls back. Every
        # other statement fails there, so one is run before it.
        connection.execute("SELECT 1")
        connection.commit()
    except BaseException:
        # A database invalidated by a full disk has nothing left to roll back.
        with suppress(duckdb.Error):
            connection.rollback()
        raise


@contextmanager
def _interruptible() -> Generator[None]:
    try:
        yield
    except RuntimeError as error:
        if str(error) == "Query interrupted":  # DuckDB's, whatever a signal handler raises
            raise KeyboardInterrupt from error
        raise


def _has_schema(connection: duckdb.DuckDBPyConnection, schema: str) -> bool:
    return bool(
        connection.execute(
            "SELECT 1 FROM duckdb_schemas()"
            " WHERE database_name = current_database() AND lower(schema_name) = lower(?)",
            [schema],
        ).fetchall()
    )


def _damaged(path: Path, text: str) -> str:
    return (
        f"The database {path} is damaged ({one_line(text)}); put a backup in its"
        " place, or move it away with its .wal and load everything again."
    )


class _Waiting:
    """Logs why the program waits: at once, and every 15 seconds."""

    def __init__(self, log: Callable[[str], object], reason: str) -> None:
        self.reason = reason
        self._log = log
        self._began = time.monotonic()
        self._reported = -SECONDS_BETWEEN_LINES

    def seconds(self) -> float:
        """How long the wait has lasted."""
        return time.monotonic() - self._began

    def pause(self) -> float:
        """The time until the next line."""
        return max(self._reported + SECONDS_BETWEEN_LINES - self.seconds(), 0.0)

    def report(self) -> None:
        """Log the line, unless that was just done."""
        if self.pause() == 0:
            self._reported = self.seconds()
            self._log(f"{WAITING}{self.reason}, {self._reported:.0f} s so far")


def _holder(error: duckdb.Error) -> str | None:
    """The process that holds the file, if that is what the error is about."""
    text = str(error)
    if match := _HOLDER.search(text):
        return f"{match['program']} (process {match['pid']})"
    if engine.IN_USE in text or "Unique file handle conflict" in text:
        return f"another connection of this process ({os.getpid()})"
    if "Could not set lock on file" in text or "being used by another process" in text:
        return "another program"
    return None
