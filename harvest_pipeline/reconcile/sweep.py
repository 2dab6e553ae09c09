"""Messages and payments of invoices that did not change.

Harvest does not promise that an edit of a message or payment moves its invoice (REFERENCE 8), so
they are read again slowly, those that were read longest ago first.

Belongs here: which invoices' turn it is. Does not belong here: reading (loads.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

#: Older invoices have been paid or written off.
_DAYS = 400
#: Every invoice of these days is read once in so many nights.
_NIGHTS = 7


@dataclass(frozen=True, slots=True)
class Sweep:
    """How much of the invoices' messages and payments a night reads again.

    `requests` is the budget for each of the two; None: as many as bring every invoice of the last
    400 days before `today` once a week.
    """

    today: date
    requests: int | None = None

    def chosen(self, day: str, parents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The parents whose turn it is: of the last 400 days by the column `day`, and not read in
        the last six days."""
        first = self.today - timedelta(days=_DAYS)
        every = [row for row in parents if row[day] >= first]
        # Six days, so that a night that begins a little earlier does not skip a turn.
        before = datetime.now(UTC) - timedelta(days=_NIGHTS - 1)
        due = [row for row in every if row["_read_at"] and row["_read_at"] < before]
        due.sort(key=lambda row: row["_read_at"])
        budget = -(-len(every) // _NIGHTS) if self.requests is None else self.requests
        return due[:budget]
