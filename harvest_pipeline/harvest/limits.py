"""Harvest's request limits, shared by all threads and processes of this machine, or of several.

The facts about Harvest that it relies on are in docs/harvest-api.md.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pyrate_limiter import Rate, RateItem

from harvest_pipeline.harvest.counts import Count, Counts, CountsOnDisk, SharedCounts
from harvest_pipeline.state import SharedState

T = TypeVar("T")

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
    """Counts the requests to all accounts, in files of this machine or in a database that machines
    share.

    Each limit of each account is a bucket of pyrate-limiter. Requests counted by a killed process
    expire with the window. All methods raise StateUnusable and StateUnreachable.
    """

    def __init__(
        self, folder: Path, limits: Limits | None = None, state: SharedState | None = None
    ) -> None:
        """Count in `folder` (created if missing, 0700), or in `state` if there is one."""
        self.limits = limits or Limits()
        self._counts: Counts = SharedCounts(state) if state else CountsOnDisk(folder)
        self._lock = threading.Lock()

    def acquire(self, account: str, *, reports: bool) -> Wait | None:
        """Count one request to `account` that is sent now; otherwise how long to wait before trying
        again."""
        limit = self.limits.of(reports=reports)

        def take(count: Count) -> Wait | None:
            if (pause := _pause(count)) > 0:
                return Wait(pause, "Harvest has asked for a pause")
            request = RateItem("request", count.now)
            if count.bucket.put(request):
                return None
            allowed = f"Harvest allows {limit.requests} requests in {limit.seconds:g} seconds"
            return Wait(count.bucket.waiting(request) / 1000, allowed)

        return self._locked(account, reports, take)

    def pause(self, account: str, seconds: float) -> None:
        """Block all requests to `account` for that long; never shortens a pause."""

        def lengthen(count: Count) -> None:
            longest = max(min(seconds, _LONGEST_PAUSE), _pause(count))
            count.pause_until(count.now / 1000 + longest)

        self._locked(account, False, lengthen)

    def left(self, account: str) -> Left:
        """What is left of the limits of `account`; counts nothing."""

        def look(count: Count) -> tuple[int, float]:
            return count.bucket.count(), _pause(count)

        (general, pause), (of_reports, _) = (
            self._locked(account, reports, look) for reports in (False, True)
        )
        return Left(
            max(self.limits.general.requests - general, 0),
            max(self.limits.reports.requests - of_reports, 0),
            pause,
        )

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            self._counts.close()

    def _locked(self, account: str, reports: bool, work: Callable[[Count], T]) -> T:
        """What `work` returns for a count without requests that have left its window."""

        def current(count: Count) -> T:
            count.bucket.leak(count.now)
            newest = count.bucket.peek(0)
            # After the clock is set back by an hour, pyrate-limiter would wait for that hour.
            if newest and newest.timestamp > count.now + _SET_BACK:
                count.bucket.flush()
            return work(count)

        limit = self.limits.of(reports=reports)
        rate = Rate(limit.requests, round((limit.seconds + limit.margin) * 1000))
        # The thread lock first: waiting for a file lock means polling.
        with self._lock:
            return self._counts.locked(account, "reports" if reports else "general", rate, current)


def _pause(count: Count) -> float:
    """The seconds for which Harvest wants no request."""
    seconds = count.paused_until - count.now / 1000
    # No pause is longer: this one is from before the clock was set back.
    return max(seconds, 0.0) if seconds <= _LONGEST_PAUSE else 0.0
