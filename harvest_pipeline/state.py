"""The Postgres database that machines share (HARVEST_STATE): short transactions, and locks that its
server frees when their holder dies.

psycopg is imported when the database is first used: without HARVEST_STATE nobody needs it.
"""

import os
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from harvest_pipeline.safety.text import one_line

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

T = TypeVar("T")

#: Seconds for which a server is waited for that has answered this process before: a restart takes
#: a few. One that has never answered may have a wrong address.
_PATIENCE = 60.0
_AT_FIRST = 5.0
_PAUSE = 0.25
#: How often the same thing is done, each time with a new connection.
_ATTEMPTS = 3

#: Either side notices within half a minute that the other is gone without a word. The time zone is
#: for pyrate-limiter, whose columns have none; libpq would take that of PGTZ.
_SESSION = """
SET TIME ZONE 'UTC'; SET search_path = harvest_state; SET lock_timeout = '60s';
SET idle_in_transaction_session_timeout = '60s';
SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3
"""
_OPTIONS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
#: The tables, of which the last one tells whether they are there.
_LAST = "harvest_state.turns"
_TABLES = """
CREATE SCHEMA IF NOT EXISTS harvest_state;
CREATE TABLE IF NOT EXISTS harvest_state.entries (key text PRIMARY KEY, content bytea NOT NULL);
CREATE TABLE IF NOT EXISTS harvest_state.pauses (account text PRIMARY KEY, until float8 NOT NULL);
CREATE TABLE IF NOT EXISTS harvest_state.turns (name text PRIMARY KEY, number bigint NOT NULL)
"""

#: What waiting does not mend, in the words of libpq and of the server.
_LASTING = re.compile(
    "authentication failed|no password supplied|does not exist|pg_hba|not permitted|certificate|SSL"
)
#: How SQLSTATEs begin that mean that the server has ended the session.
_ENDED = ("08", "57P", "25P03")

#: What a person can do about it.
REMEDY = "Start that server, or correct the address, PGPASSWORD or ~/.pgpass."

#: Open connections that are not in use, by process and address: what forks does not share them.
_idle: dict[tuple[int, str], "list[Connection]"] = {}
#: The addresses that have answered this process.
_known: set[str] = set()


class StateFailed(Exception):
    """The database cannot be used; the text is half a sentence. `passing`: it may mend itself."""

    def __init__(self, why: str, *, passing: bool) -> None:
        super().__init__(why)
        self.passing = passing


@dataclass(frozen=True, slots=True)
class SharedState:
    """The database at an address, which holds no password. Its methods raise StateFailed."""

    address: str

    def __str__(self) -> str:
        return f"{self.address} (HARVEST_STATE)"

    def transact(self, work: "Callable[[Connection], T]") -> T:
        """What `work` returns for a connection, once that is committed. All of it is done again if
        the connection breaks, even while it is committed."""

        def once() -> T:
            idle = _idle.setdefault((os.getpid(), self.address), [])
            connection = _taken(idle) or self.connect()
            try:
                with connection.transaction():
                    result = work(connection)
            except BaseException:
                while connection:  # the others are no better than this one
                    connection.close()
                    connection = _taken(idle)
                raise
            idle.append(connection)
            return result

        return _retried(once)

    def lock(self, name: str) -> "Lock":
        """The lock of that name."""
        return Lock(self, name)

    def connect(self) -> "Connection":
        """A new connection, which commits every statement. A server that is started again is waited
        for."""
        import psycopg

        began = time.monotonic()
        while True:
            try:
                connection = self._connection()
            except psycopg.Error as error:
                passing = _passes(error) and not _LASTING.search(str(error))
                patience = _PATIENCE if self.address in _known else _AT_FIRST
                if not passing or time.monotonic() - began > patience:
                    raise StateFailed(_why(error), passing=passing) from error
                time.sleep(_PAUSE)
            else:
                _known.add(self.address)
                return connection

    def _connection(self) -> "Connection":
        import psycopg

        name = f"harvest_pipeline {socket.gethostname()} {os.getpid()}"
        connection = psycopg.connect(
            self.address, autocommit=True, application_name=name, **_OPTIONS
        )
        try:
            connection.execute(_SESSION)
            if connection.execute("SELECT to_regclass(%s)", [_LAST]).fetchone() == (None,):
                with connection.transaction():
                    connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [_LAST])
                    connection.execute(_TABLES)
        except BaseException:
            connection.close()
            raise
        return connection


class Lock:
    """A lock that one process of all machines has; its server frees it when that process dies or
    its machine is gone."""

    def __init__(self, state: SharedState, name: str) -> None:
        self._state = state
        self._name = name
        self._key = int.from_bytes(sha256(name.encode()).digest()[:8], signed=True)
        self._connection: Connection | None = None
        self._turn = 0

    def acquire(self, timeout: float) -> None:
        """Wait for it. Raises TimeoutError after so many seconds, and StateFailed."""
        import psycopg

        milliseconds = str(max(round(timeout * 1000), 1))  # 0 would be for ever

        def once() -> None:
            connection = self._connection = self._connection or self._state.connect()
            try:
                connection.execute("SELECT set_config('lock_timeout', %s, false)", [milliseconds])
                connection.execute("SELECT pg_advisory_lock(%s)", [self._key])
                self._turn = _next_turn(connection, self._name)
            except BaseException as error:
                self.release()
                if isinstance(error, psycopg.errors.LockNotAvailable):
                    raise TimeoutError from None
                raise

        _retried(once)

    def is_unbroken(self) -> bool:
        """Whether nobody else can have had it since it was acquired; if the server was restarted,
        it is acquired again to know that. Raises StateFailed."""
        import psycopg

        if self._connection is None:
            return False
        turn = self._turn
        try:
            self._connection.execute("SELECT 1")
        except psycopg.OperationalError:
            self.release()
        else:
            return True
        try:
            self.acquire(1.0)
        except TimeoutError:
            return False
        return self._turn == turn + 1

    def release(self) -> None:
        """Free it, if it is acquired."""
        if self._connection:
            self._connection.close()
            self._connection = None


def _taken(idle: "list[Connection]") -> "Connection | None":
    try:
        return idle.pop()  # by one thread only
    except IndexError:
        return None


def _next_turn(connection: "Connection", name: str) -> int:
    """Count who gets a lock, and return the number."""
    row = connection.execute(
        "INSERT INTO turns VALUES (%s, 1)"
        " ON CONFLICT (name) DO UPDATE SET number = turns.number + 1 RETURNING number",
        [name],
    ).fetchone()
    assert row
    return row[0]


def _retried(once: Callable[[], T]) -> T:
    """What `once` returns, which is called again if its session has ended."""
    import psycopg

    attempt = 1
    while True:
        try:
            return once()
        except psycopg.Error as error:
            state = error.sqlstate  # None: there was no answer
            lost = state.startswith(_ENDED) if state else _passes(error)
            if not lost or attempt == _ATTEMPTS:
                raise StateFailed(_why(error), passing=_passes(error)) from error
            attempt += 1


def _passes(error: "psycopg.Error") -> bool:
    import psycopg

    return isinstance(error, psycopg.OperationalError)


def _why(error: "psycopg.Error") -> str:
    """The reason alone, of the last address that was tried."""
    lines = [line for line in str(error).splitlines() if line.strip() and line[0] != "\t"]
    said = lines[0 if error.sqlstate else -1] if lines else "it does not answer"
    reason = re.split(r"failed: |FATAL: ", said)[-1]
    return one_line(reason).rstrip(".")
