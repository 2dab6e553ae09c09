"""Where requests are counted and pauses kept: in files of this machine, or in the database that
machines share."""

import os
import re
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from pyrate_limiter import Rate, RateItem, SQLiteBucket

from harvest_pipeline.harvest.errors import StateUnusable
from harvest_pipeline.harvest.shared import explained
from harvest_pipeline.safety.files import disk_full, make_folder
from harvest_pipeline.state import SharedState

if TYPE_CHECKING:
    from harvest_pipeline.state import Connection

T = TypeVar("T")

#: Postgres cuts a name after 63 letters, and pyrate-limiter puts up to 15 before it.
_LONGEST_NAME = 48


class Bucket(Protocol):
    """What is used of a bucket of pyrate-limiter; times are in milliseconds since 1970."""

    def put(self, item: RateItem, /) -> bool:
        """Count a request, if the limit allows it."""
        ...

    def waiting(self, item: RateItem, /) -> Any:
        """How long to wait after a request that was not counted."""
        ...

    def leak(self, current_timestamp: int, /) -> int:
        """Forget requests that have left the window."""
        ...

    def peek(self, index: int, /) -> RateItem | None:
        """The newest request but `index`."""
        ...

    def count(self) -> int:
        """How many requests are known."""
        ...

    def flush(self) -> None:
        """Forget all requests."""
        ...


class Count(Protocol):
    """One limit of an account, which nobody else can change meanwhile.

    `now` is the time in milliseconds since 1970, by the clock that all who share the count go by.
    """

    @property
    def bucket(self) -> Bucket:
        """The requests."""
        ...

    @property
    def now(self) -> int:
        """The time since the count was locked."""
        ...

    @property
    def paused_until(self) -> float:
        """The end of the last pause of the account, in seconds since 1970; 0 without one."""
        ...

    def pause_until(self, seconds: float) -> None:
        """Set that end."""
        ...


class Counts(Protocol):
    """The counts of all accounts; raises StateUnusable and StateUnreachable."""

    def locked(self, account: str, kind: str, rate: Rate, work: Callable[[Count], T]) -> T:
        """What `work` returns for a count that is locked for everyone else."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


@dataclass(slots=True)
class _OnDisk:
    bucket: SQLiteBucket
    now: int
    pause: Path

    @property
    def paused_until(self) -> float:
        try:
            return self.pause.stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def pause_until(self, seconds: float) -> None:
        self.pause.touch(0o600)
        os.utime(self.pause, (seconds, seconds))


class CountsOnDisk:
    """The counts of this machine: one SQLite file behind a file lock; a pause is the modification
    time of an empty file. The clock is the wall clock, the only one that processes share and that
    survives a restart."""

    def __init__(self, folder: Path) -> None:
        """Keep them in `folder` (created if missing, 0700), readable by the owner only."""
        self._folder = folder
        self._path = folder / "requests.sqlite"
        self._buckets: dict[str, SQLiteBucket] = {}
        with self._usable():
            make_folder(folder)
            for path in (self._path, folder / "requests.sqlite.lock"):
                # One that is there is not opened: the system would take away the locks of SQLite's
                # other connections of this process when it is closed, and the file would break.
                path.touch(0o600)

    def locked(self, account: str, kind: str, rate: Rate, work: Callable[[Count], T]) -> T:
        """What `work` returns."""
        name = _name(f"{kind} {account}")
        with self._usable():
            if (bucket := self._buckets.get(name)) is None:
                bucket = self._buckets[name] = SQLiteBucket.init_from_file(
                    [rate], name, f"{self._path}", use_file_lock=True
                )
            with bucket.lock:
                pause = self._folder / f"pause_{_name(account)}"
                return work(_OnDisk(bucket, bucket.now(), pause))

    def close(self) -> None:
        """Close the file."""
        for bucket in self._buckets.values():
            bucket.close()
        self._buckets.clear()

    @contextmanager
    def _usable(self) -> Generator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise StateUnusable(
                disk_full(error, self._folder)
                or f"{self._path}, where the requests to Harvest are counted, cannot be used: "
                f"{why}. Make its folder writable, or delete the file; it is made again."
            ) from error


@dataclass(slots=True)
class _Shared:
    bucket: Bucket
    connection: "Connection"
    account: str
    now: int
    paused_until: float

    def pause_until(self, seconds: float) -> None:
        self.connection.execute(
            "INSERT INTO pauses VALUES (%s, %s)"
            " ON CONFLICT (account) DO UPDATE SET until = excluded.until",
            [self.account, seconds],
        )


class _OneConnection:
    """In place of a pool: all that a bucket does happens in the transaction that has the lock."""

    def __init__(self) -> None:
        self.current: Connection | None = None

    @contextmanager
    def connection(self) -> "Generator[Connection]":
        assert self.current
        yield self.current


class SharedCounts:
    """The counts of all machines: a table for each limit of each account, and one of pauses. The
    clock is that of the database's server."""

    def __init__(self, state: SharedState) -> None:
        self._state = state
        self._connection = _OneConnection()
        self._buckets: dict[str, Bucket] = {}

    def locked(self, account: str, kind: str, rate: Rate, work: Callable[[Count], T]) -> T:
        """What `work` returns; it is called again if the connection breaks."""
        name = _name(f"{kind} {account}").lower()
        if len(name) > _LONGEST_NAME:
            name = f"{name[:31]}_{sha256(name.encode()).hexdigest()[:16]}"

        def done(connection: "Connection") -> T:
            self._connection.current = connection
            # The bucket itself would not wait for this lock, and take it for a full window.
            connection.execute(f'LOCK TABLE "ratelimit___{name}" IN EXCLUSIVE MODE'.encode())
            now, until = connection.execute(_NOW, [account]).fetchall()[0]
            return work(_Shared(self._buckets[name], connection, account, now, until))

        with explained(self._state, "the requests to Harvest are counted"):
            try:
                if name not in self._buckets:
                    self._buckets[name] = self._state.transact(lambda c: self._made(c, name, rate))
                return self._state.transact(done)
            except BaseException:
                self._buckets.clear()  # the tables may be gone
                raise

    def close(self) -> None:
        """Nothing: connections are those of the process."""

    def _made(self, connection: "Connection", name: str, rate: Rate) -> Bucket:
        """The bucket; its table is made if missing."""
        from pyrate_limiter import PostgresBucket

        self._connection.current = connection
        return cast("Bucket", PostgresBucket(cast("Any", self._connection), name, [rate]))


_NOW = """
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
       coalesce((SELECT until FROM pauses WHERE account = %s), 0)
"""


def _name(text: str) -> str:
    """`text` as a valid name of a table or a file."""
    return re.sub(r"\W+", "_", text)
