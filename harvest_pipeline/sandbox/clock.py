"""The sandbox's clock, and the rate limits that use it."""

import math
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day

#: The time of day (UTC) at which a sandbox with a given `today` begins.
START = time_of_day(17, 0)


class Clock:
    """Begins at `start` and runs in real time; `advance` moves it forward."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._monotonic = time.monotonic()
        self._advanced = timedelta()

    @classmethod
    def at(cls, today: date | None) -> "Clock":
        """A clock of that day at 17:00 UTC, which makes it all repeatable; real time if None."""
        return cls(datetime.now(UTC) if today is None else datetime.combine(today, START, UTC))

    def precise(self) -> datetime:
        """Now, in UTC, with fractions of a second."""
        elapsed = timedelta(seconds=time.monotonic() - self._monotonic)
        return self._start + elapsed + self._advanced

    def now(self) -> datetime:
        """Now, in UTC and whole seconds, as Harvest writes instants."""
        return self.precise().replace(microsecond=0)

    def today(self) -> date:
        """The day of `now()`."""
        return self.now().date()

    def advance(self, seconds: float) -> None:
        """Move the clock forward; raises ValueError for a negative number."""
        if seconds < 0:
            raise ValueError(f"the clock cannot go back by {-seconds} seconds")
        self._advanced += timedelta(seconds=seconds)


@dataclass(frozen=True)
class RateLimit:
    """At most `requests` in any `seconds`."""

    requests: int
    seconds: float


@dataclass(frozen=True)
class RateLimits:
    """The limits of one account: those of Harvest, unless others are given."""

    general: RateLimit = RateLimit(100, 15)
    reports: RateLimit = RateLimit(100, 15 * 60)


HARVEST_LIMITS = RateLimits()


class Throttle:
    """Counts the requests of one account against one limit."""

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._window = timedelta(seconds=limit.seconds)
        self._times: deque[datetime] = deque()

    def wait(self, now: datetime) -> int:
        """Count a request and return 0, or the whole seconds after which one is let through.

        A rejected request is not counted.
        """
        while self._times and self._times[0] <= now - self._window:
            self._times.popleft()
        if len(self._times) < self._limit.requests:
            self._times.append(now)
            return 0
        left = self._times[0] + self._window - now
        return max(1, math.ceil(left.total_seconds()))
