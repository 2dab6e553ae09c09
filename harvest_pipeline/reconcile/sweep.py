"""What is read again although nothing says that it changed, those that were read longest ago first.

Harvest does not promise that an edit of a message or payment moves its invoice, and some changes
leave no trace at all: another rounding rule, a cost rate that is applied to the past.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

#: Older invoices have been paid or written off.
_DAYS = 400
#: Every invoice of these days is read once in so many nights.
_NIGHTS = 7
#: Every day is read in full again within so many nights ...
_MONTH = 30
#: ... in at most so many of them.
_SHARES = 25


@dataclass(frozen=True, slots=True)
class Sweep:
    """How much a night reads again, at the instant `now` of Harvest's clock.

    `requests` is the budget for the messages and for the payments of invoices; None: as many as
    bring every invoice of the last 400 days once a week.
    """

    now: datetime
    requests: int | None = None

    def chosen(self, day: str, parents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The parents whose turn it is: of the last 400 days by the column `day`."""
        first = self.now.date() - timedelta(days=_DAYS)
        every = [row for row in parents if row[day] >= first]
        budget = -(-len(every) // _NIGHTS) if self.requests is None else self.requests
        read = sorted((row for row in every if row["_read_at"]), key=lambda row: row["_read_at"])
        if not read or not budget:
            return []
        nights = -(-len(every) // budget)
        return read[:budget] if self._begins(read[0]["_read_at"], nights, _NIGHTS) else []

    def is_due(self, read_at: datetime) -> bool:
        """Whether a list that is too long to be read every night is to be read whole again."""
        return read_at < self.now - timedelta(days=_MONTH - 1)

    def days(
        self, read_at: Mapping[date, datetime], rows: Mapping[date, int], page: int
    ) -> set[date]:
        """The days whose turn it is to be read in full again, so that all have been within a month:
        `read_at` is when each last was, `rows` how many rows it has.

        A night takes days of at least a `page` of rows, and begins as late as the nights will do.
        """
        every = sum(rows.get(day, 0) for day in read_at)
        budget = max(page, -(-every // _SHARES))
        nights = max(1, -(-every // budget))
        chosen: set[date] = set()
        if not read_at or not self._begins(min(read_at.values()), nights, _MONTH):
            return chosen
        taken = 0
        for day in sorted(read_at, key=lambda day: (read_at[day], day)):
            # Rather a day too many than a night too few.
            if taken >= budget:
                break
            taken += rows.get(day, 0)
            chosen.add(day)
        return chosen

    def _begins(self, oldest: datetime, nights: int, within: int) -> bool:
        """Whether so many nights, of which this is the first, must not begin later: those that were
        read together come round one share a night, and the last of them has to be in time.

        A day before that, since no night begins at the same minute as the one before.
        """
        return oldest < self.now - timedelta(days=within - 1 - nights)
