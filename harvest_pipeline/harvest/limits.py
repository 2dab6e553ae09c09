"""Harvest's request limits, kept by ourselves, for all threads and processes of this machine.

Belongs here: the limits (REFERENCE 5), the small file in which all who share an account write
their requests down, and what a 429 says about waiting.
Does not belong here: sending requests, and waiting itself (calls.py).
"""

import os
import sqlite3
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import time

from harvest_pipeline.harvest.errors import StateUnusable
from harvest_pipeline.harvest.patience import Patience
from harvest_pipeline.private import make_folder

#: Harvest may ask for any pause; a longer one than this, in seconds, is not written down.
_LONGEST_PAUSE = 20 * 60.0

_TABLES = (
    "CREATE TABLE IF NOT EXISTS slots (id INTEGER PRIMARY KEY, account TEXT NOT NULL,"
    " kind TEXT NOT NULL, free_at REAL NOT NULL)",
    "CREATE INDEX IF NOT EXISTS slots_of_account ON slots (account, kind, free_at)",
    "CREATE TABLE IF NOT EXISTS pauses (account TEXT PRIMARY KEY, until REAL NOT NULL)",
)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `requests` in any `seconds`, and how long a 429 without `Retry-After` lasts."""

    requests: int
    seconds: float
    fallback_pause: float


@dataclass(frozen=True, slots=True)
class Limits:
    """The two limits of an account (REFERENCE 5)."""

    general: Limit = Limit(100, 15.0, fallback_pause=15.0)
    reports: Limit = Limit(100, 15 * 60.0, fallback_pause=60.0)


@dataclass(frozen=True, slots=True)
class Turn:
    """The answer to "may I?": a slot to give back, or seconds to wait and why."""

    slot: int | None
    wait: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """What may still be sent to an account now: requests of either kind, and after which pause.

    `pause` is in seconds, 0 unless Harvest has asked for one.
    """

    general: int
    reports: int
    pause: float


class Limiter:
    """Hands out the slots of all accounts; one SQLite file for the whole machine.

    A slot is taken before a request is sent and is free again a window's length after the answer
    came. Harvest counts a request somewhere in between, so it cannot count more than the limit in
    any window, however unevenly the network delays requests. The slot of a process that died is
    free after the deadline of an exchange and a window. The clock is the wall clock, the only one
    that processes share and that survives a restart.
    """

    def __init__(self, folder: Path, limits: Limits, patience: Patience) -> None:
        """Open `requests.sqlite` in `folder` (made, 0700, if needed), readable by the owner only.

        Raises StateUnusable.
        """
        self.limits = limits
        self._patience = patience
        self._lock = threading.Lock()
        self._path = folder / "requests.sqlite"
        try:
            make_folder(folder)
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise self._unusable(error.strerror or "not writable") from error
        with self._sound():
            self._database = sqlite3.connect(
                self._path, timeout=30.0, isolation_level=None, check_same_thread=False
            )
            self._database.execute("PRAGMA synchronous = OFF")  # a power cut may cost the file
        with self._transaction():
            for statement in _TABLES:
                self._database.execute(statement)

    def enter(self, account: str, *, reports: bool) -> Turn:
        """A slot for one request to `account`, or how long to wait before asking again."""
        limit = self.limits.reports if reports else self.limits.general
        kind = "reports" if reports else "general"
        with self._transaction() as now:
            if (paused := self._paused(account, now)) > 0:
                return Turn(None, paused, "Harvest has asked for a pause")
            # Slots that are free, and those from before the clock was set back.
            self._database.execute(
                "DELETE FROM slots WHERE kind = ? AND (free_at <= ? OR free_at > ?)",
                (kind, now, now + limit.seconds + self._patience.deadline),
            )
            taken, first_free = self._database.execute(
                "SELECT count(*), min(free_at) FROM slots WHERE account = ? AND kind = ?",
                (account, kind),
            ).fetchone()
            if taken >= limit.requests:
                allowed = f"Harvest allows {limit.requests} requests in {limit.seconds:g} seconds"
                return Turn(None, first_free - now, allowed)
            slot = self._database.execute(
                "INSERT INTO slots (account, kind, free_at) VALUES (?, ?, ?)",
                (account, kind, now + limit.seconds + self._patience.deadline),
            ).lastrowid
        return Turn(slot)

    def leave(self, slot: int, *, reports: bool) -> None:
        """The answer is there: the slot is free again when a window has passed from now."""
        limit = self.limits.reports if reports else self.limits.general
        with self._transaction() as now:
            self._database.execute(
                "UPDATE slots SET free_at = ? WHERE id = ?", (now + limit.seconds, slot)
            )

    def pause(self, account: str, seconds: float) -> None:
        """Let nobody send anything to `account` for that long; never shortens a pause."""
        with self._transaction() as now:
            longest = max(min(seconds, _LONGEST_PAUSE), self._paused(account, now))
            self._database.execute(
                "INSERT OR REPLACE INTO pauses (account, until) VALUES (?, ?)",
                (account, now + longest),
            )

    def left(self, account: str) -> Left:
        """What is left of the limits of `account`; takes nothing."""
        with self._transaction() as now:
            return Left(
                general=self._free(account, "general", self.limits.general, now),
                reports=self._free(account, "reports", self.limits.reports, now),
                pause=max(self._paused(account, now), 0.0),
            )

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _free(self, account: str, kind: str, limit: Limit, now: float) -> int:
        # Slots from before the clock was set back do not count; `enter` removes them.
        taken = self._database.execute(
            "SELECT count(*) FROM slots WHERE account = ? AND kind = ?"
            " AND free_at > ? AND free_at <= ?",
            (account, kind, now, now + limit.seconds + self._patience.deadline),
        ).fetchone()[0]
        return max(limit.requests - taken, 0)

    def _paused(self, account: str, now: float) -> float:
        row = self._database.execute(
            "SELECT until FROM pauses WHERE account = ?", (account,)
        ).fetchone()
        seconds = row[0] - now if row else 0.0
        # No pause is longer: this one is from before the clock was set back.
        return seconds if seconds <= _LONGEST_PAUSE else 0.0

    @contextmanager
    def _transaction(self) -> Generator[float]:
        """One change of the file that no thread and no process can come between; gives the time."""
        with self._sound(), self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            yield time()

    @contextmanager
    def _sound(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._unusable(str(error)) from error

    def _unusable(self, why: str) -> StateUnusable:
        return StateUnusable(
            f"{self._path}, where the requests to Harvest are counted, cannot be used: {why}. "
            "Make its folder writable, or delete the file; it is made anew."
        )


def retry_after_seconds(headers: Mapping[str, str], answered: datetime) -> float | None:
    """The `Retry-After` of an answer in seconds, None if it is missing or makes no sense.

    A date is taken relative to `answered`, Harvest's own clock, so that ours may be wrong.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    seconds = (until.replace(tzinfo=until.tzinfo or UTC) - answered).total_seconds()
    return seconds if seconds >= 0 else None
