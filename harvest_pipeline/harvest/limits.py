"""Harvest's request limits, shared by all threads and processes of this machine.

The facts about Harvest that it relies on are in docs/harvest-api.md.
"""

import os
import re
import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import time

from pyrate_limiter import Rate, RateItem, SQLiteBucket

from harvest_pipeline.harvest.errors import StateUnusable
from harvest_pipeline.safety.files import disk_full, make_folder

#: Harvest may ask for any pause; one longer than this, in seconds, is ignored.
_LONGEST_PAUSE = 20 * 60.0
#: Milliseconds that a request may seem to lie in the future before the clock counts as set back.
_SET_BACK = 1000


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `requests` in any `seconds`, and how long a 429 without `Retry-After` lasts.

    Requests are counted here when they are sent, but at Harvest when they arrive: one may take up
    to `margin` seconds longer than another, for example the first one with its TLS handshake.
    """

    requests: int
    seconds: float
    fallback_pause: float
    margin: float = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """The two limits of an account."""

    general: Limit = Limit(100, 15.0, fallback_pause=15.0)
    reports: Limit = Limit(100, 15 * 60.0, fallback_pause=60.0)

    def of(self, *, reports: bool) -> Limit:
        """The limit for Harvest's own reports, or the one for everything else."""
        return self.reports if reports else self.general


@dataclass(frozen=True, slots=True)
class Wait:
    """How many seconds no request may be sent, and why, as half a sentence."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Left:
    """What may still be sent to an account now: requests of each kind, and after which pause.

    `pause` is in seconds, 0 unless Harvest asked for one.
    """

    general: int
    reports: int
    pause: float


class Limiter:
    """Counts the requests to all accounts in one SQLite file, behind a file lock.

    Each limit of each account is a bucket of pyrate-limiter. It uses the wall clock, the only one
    that processes share and that survives a restart. A pause that Harvest asked for is the
    modification time of an empty file. Requests counted by a killed process expire with the window.
    All methods raise StateUnusable.
    """

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        """Keep the count in `folder` (created if missing, 0700), readable by the owner only."""
        self.limits = limits or Limits()
        self._folder = folder
        self._path = folder / "requests.sqlite"
        self._buckets: dict[str, SQLiteBucket] = {}
        self._lock = threading.Lock()
        with self._usable():
            make_folder(folder)
            for path in (self._path, folder / "requests.sqlite.lock"):
                # One that is there is not opened: the system would take away the locks of SQLite's
                # other connections of this process when it is closed, and the file would break.
                path.touch(0o600)

    def acquire(self, account: str, *, reports: bool) -> Wait | None:
        """Count one request to `account` that is sent now; otherwise how long to wait before trying
        again."""
        limit = self.limits.of(reports=reports)
        with self._locked(account, reports) as bucket:
            if (pause := self._pause(account)) > 0:
                return Wait(pause, "Harvest has asked for a pause")
            request = RateItem("request", bucket.now())
            if bucket.put(request):
                return None
            allowed = f"Harvest allows {limit.requests} requests in {limit.seconds:g} seconds"
            milliseconds = bucket.waiting(request)
            assert isinstance(milliseconds, int)  # awaitable only for other buckets
            return Wait(milliseconds / 1000, allowed)

    def pause(self, account: str, seconds: float) -> None:
        """Block all requests to `account` for that long; never shortens a pause."""
        with self._locked(account, reports=False):
            until = time() + max(min(seconds, _LONGEST_PAUSE), self._pause(account))
            path = self._pause_file(account)
            path.touch(0o600)
            os.utime(path, (until, until))

    def left(self, account: str) -> Left:
        """What is left of the limits of `account`; counts nothing."""
        free: list[int] = []
        for reports in (False, True):
            with self._locked(account, reports) as bucket:
                free.append(max(self.limits.of(reports=reports).requests - bucket.count(), 0))
        return Left(*free, pause=self._pause(account))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            for bucket in self._buckets.values():
                bucket.close()
            self._buckets.clear()

    @contextmanager
    def _locked(self, account: str, reports: bool) -> Generator[SQLiteBucket]:
        """The bucket, without requests that have left its window, locked for everyone else."""
        name = _name(f"{'reports' if reports else 'general'} {account}")
        # The thread lock first: waiting for a file lock means polling.
        with self._usable(), self._lock:
            if (bucket := self._buckets.get(name)) is None:
                limit = self.limits.of(reports=reports)
                rate = Rate(limit.requests, round((limit.seconds + limit.margin) * 1000))
                bucket = self._buckets[name] = SQLiteBucket.init_from_file(
                    [rate], name, f"{self._path}", use_file_lock=True
                )
            with bucket.lock:
                now = bucket.now()
                bucket.leak(now)
                newest = bucket.peek(0)
                # After the clock is set back by an hour, pyrate-limiter would wait for that hour.
                if newest and newest.timestamp > now + _SET_BACK:
                    bucket.flush()
                yield bucket

    def _pause_file(self, account: str) -> Path:
        return self._folder / f"pause_{_name(account)}"

    def _pause(self, account: str) -> float:
        try:
            seconds = self._pause_file(account).stat().st_mtime - time()
        except FileNotFoundError:
            return 0.0
        # No pause is longer: this one is from before the clock was set back.
        return max(seconds, 0.0) if seconds <= _LONGEST_PAUSE else 0.0

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


def _name(text: str) -> str:
    """`text` as a valid name of a table or a file."""
    return re.sub(r"\W+", "_", text)
