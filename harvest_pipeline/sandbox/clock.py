"""The sandbox's clock: what time it is for Harvest.

Belongs here: one clock for records, tokens, limits and the `Date` header, which tests may put
forward. Does not belong here: waiting.
"""

import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day

#: The time of day (UTC) at which a sandbox that is given its `today` begins.
START = time_of_day(17, 0)


class Clock:
    """Begins at `start` and runs with real time; `advance` puts it forward."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._monotonic = time.monotonic()
        self._advanced = timedelta()

    @classmethod
    def at(cls, today: date | None) -> "Clock":
        """A clock of that day at 17:00 UTC, which makes all repeatable; real time if None."""
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
        """Put the clock forward; raises ValueError for a negative number."""
        if seconds < 0:
            raise ValueError(f"the clock cannot go back by {-seconds} seconds")
        self._advanced += timedelta(seconds=seconds)
