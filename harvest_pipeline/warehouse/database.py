"""The database: opened late, for seconds, always closed, with one sentence for each error."""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from harvest_pipeline.safety.files import closed, disk_full, private_files
from harvest_pipeline.safety.text import one_line
from harvest_pipeline.settings import Account
from harvest_pipeline.state import SharedState
from harvest_pipeline.warehouse import engine, turns
from harvest_pipeline.warehouse.errors import (
    WarehouseAway,
    WarehouseConflict,
    WarehouseError,
    WarehouseLocked,
)
from harvest_pipeline.warehouse.place import Place, is_conflict, place_of
from harvest_pipeline.warehouse.sql import identifier

#: A load of millions of rows takes minutes; a process that holds the file for longer is stuck.
WAIT_SECONDS = 15 * 60.0
#: Far longer than any report takes to read from Harvest.
_LONGEST_READ = 4 * 3600.0
SECONDS_BETWEEN_LINES = 15.0
#: The first words of a log line that says why the program waits.
WAITING = "Waiting: "


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A place and the schema in it; opened by `connect`, `transaction`, `reader` and `whole`.

    In their connections, tables without a schema are those of `schema`, and times are in UTC.
    `wait_seconds` is how long to wait for a program that holds the file; `log` gets a line when
    waiting begins, and every 15 seconds. `settings` are DuckDB's own. A file that everybody can
    read is made private when it is opened, unless it is `left` as it is. `state` is what machines
    share, if they do. Raises WarehouseError if the file and the schema have the same name. A
    process has writing or reading connections, not both.
    """

    place: Place
    schema: str
    wait_seconds: float = WAIT_SECONDS
    log: Callable[[str], object] = print
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    left: bool = False
    state: SharedState | None = None

    def __post_init__(self) -> None:
        if self.place.schema_of_same_name == self.schema.lower():
            raise WarehouseError(
                f"The database {self.place.address} has the same name as the schema"
                f" {self.schema!r}, which DuckDB cannot tell apart; rename one of them."
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
                raise WarehouseError(self.place.refusal(error)) from error
        try:
            yield
        finally:
            turn.release()

    def _turn(self) -> turns.Turn | None:
        """The lock of the account; None if there can be none, and opening the database says why."""
        if self.state:
            return turns.shared(self.state, self.schema)
        self._prepare()
        return turns.on_disk(self.place.beside(f".{self.schema}.lock"))

    @contextmanager
    def connect(self) -> Generator[duckdb.DuckDBPyConnection]:
        """A connection that may write; the place and the schema are created if missing.

        Raises WarehouseLocked after `wait_seconds`, and WarehouseError at once for an error that
        waiting does not fix.
        """
        self._prepare()
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
        overwrite the database file, which DuckDB has open: it is for SELECT only. On a lake that
        is not enough: ask `confined.refuse_what_reaches_out` before.
        """
        with ExitStack() as stack:
            connection = self._with_schema(stack, kept=not confined)
            if connection is None:
                connection = stack.enter_context(scratch())
            if confined:
                for statement in self.place.confine():
                    connection.execute(statement)
            yield connection

    def _with_schema(self, stack: ExitStack, *, kept: bool) -> duckdb.DuckDBPyConnection | None:
        """A read-only connection that uses the schema; None if there is none."""
        if not self.place.may_exist():
            return None
        with ExitStack() as opened:
            try:
                connection = opened.enter_context(self.whole(kept=kept))
            except _NotMade:
                return None
            if not _has_schema(connection, self.schema):
                return None
            connection.execute(f"USE {identifier(self.schema)}")
            stack.push(opened.pop_all())
            return connection

    @contextmanager
    def whole(self, *, kept: bool = True) -> Generator[duckdb.DuckDBPyConnection]:
        """A read-only connection to the place, which exists, and all of its schemas."""
        with self._opened(read_only=True, kept=kept) as connection:
            yield connection

    def obstacle(self) -> str | None:
        """Why nobody else can write now, as half a sentence: the program that holds the file, or
        the server that does not answer; None if the place is free.

        Opens a file, which must exist, for writing: a reader does not block other readers. Raises
        WarehouseError if the place cannot be opened.
        """
        # Whoever opens a lake for writing makes it, and nobody holds one in Postgres.
        reads = self.place.is_shared
        try:
            with private_files(), engine.connected(self.place, self.settings, read_only=reads):
                pass
        except duckdb.Error as error:
            if self.place.is_missing(error):
                return None
            if obstacle := self.place.obstacle(error):
                return obstacle
            raise WarehouseError(self.place.refusal(error)) from error
        return None

    @contextmanager
    def _opened(
        self, *, read_only: bool, kept: bool = True
    ) -> Generator[duckdb.DuckDBPyConnection]:
        for path in () if self.left else self.place.files:
            if told := closed(path, group_may=True):
                self.log(f"{told}; `chmod 660` lets in a group.")
        with private_files(), _interruptible(), self._explained(), ExitStack() as stack:
            yield self._wait_for_connection(stack, read_only, kept)

    @contextmanager
    def _explained(self) -> Generator[None]:
        place = self.place
        try:
            yield
        except duckdb.Error as error:
            if sentence := place.explained(error):
                raise WarehouseError(sentence) from error
            if place.is_away(error):
                raise WarehouseAway(
                    f"The database {place.address} does not answer any more ({one_line(str(error))}"
                    "); what was not committed is not there. Run again when its server is back."
                ) from error
            if is_conflict(error):
                raise WarehouseConflict(
                    f"Another program changed the same tables of {place.address} at the same time "
                    f"({one_line(str(error), 200)}); nothing of this was stored. Run again."
                ) from error
            raise

    def _wait_for_connection(
        self, stack: ExitStack, read_only: bool, kept: bool
    ) -> duckdb.DuckDBPyConnection:
        waiting: _Waiting | None = None
        place, was_there = self.place, self.place.may_exist()
        while True:
            try:
                opened = engine.connected(place, self.settings, read_only=read_only, kept=kept)
                return stack.enter_context(opened)
            except duckdb.Error as error:
                if read_only and place.is_missing(error):
                    raise _NotMade from error
                obstacle = place.obstacle(error)
                if obstacle is None:
                    if place.path and not was_there and disk_full(error):
                        place.path.unlink(missing_ok=True)  # the beginning of a file
                    raise WarehouseError(place.refusal(error)) from error
                waiting = waiting or _Waiting(self.log, "")
                if waiting.seconds() >= self.wait_seconds:
                    if place.is_away(error):
                        raise WarehouseAway(
                            f"The database {place.address} {obstacle}, and did not within "
                            f"{self.wait_seconds:g} s; look for its server."
                        ) from error
                    raise WarehouseLocked(
                        f"The database {place.address} {obstacle} and was not free within "
                        f"{self.wait_seconds:g} s; close that program, or its connection."
                    ) from error
            waiting.reason = f"{place.address} {obstacle}"
            waiting.report()
            time.sleep(0.1)

    def _prepare(self) -> None:
        try:
            self.place.prepare()
        except OSError as error:
            raise WarehouseError(
                disk_full(error)
                or f"The folder of the database {self.place.address} cannot be made "
                f"({error.strerror}); name another path."
            ) from error


class _NotMade(Exception):
    """A lake was to be read that nobody has made yet."""


def warehouse_of(
    account: Account,
    log: Callable[[str], object],
    *,
    wait_seconds: float | None = None,
    left: bool = False,
) -> Warehouse:
    """The warehouse of an account, which waits for other programs as long as the project says,
    unless `wait_seconds` are given."""
    project = account.project
    wait = float(project.duckdb_wait_seconds if wait_seconds is None else wait_seconds)
    place = place_of(project)
    return Warehouse(place, account.name, wait, log, left=left, state=project.state)


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
