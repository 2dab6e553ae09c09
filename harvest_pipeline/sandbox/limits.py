"""The rate limits of an account (REFERENCE 5).

Belongs here: counting requests in a sliding window. Does not belong here: the 429 answer.
"""

import math
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class RateLimit:
    """At most `requests` in any `seconds`."""

    requests: int
    seconds: float


@dataclass(frozen=True)
class RateLimits:
    """The limits of one account."""

    general: RateLimit
    reports: RateLimit


HARVEST_LIMITS = RateLimits(general=RateLimit(100, 15), reports=RateLimit(100, 15 * 60))


class Throttle:
    """Counts the requests of one account against one limit."""

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._window = timedelta(seconds=limit.seconds)
        self._times: deque[datetime] = deque()

    def wait(self, now: datetime) -> int:
        """Count a request and answer 0, or the whole seconds after which one is let through.

        A request that is refused is not counted.
        """
        while self._times and self._times[0] <= now - self._window:
            self._times.popleft()
        if len(self._times) < self._limit.requests:
            self._times.append(now)
            return 0
        left = self._times[0] + self._window - now
        return max(1, math.ceil(left.total_seconds()))
