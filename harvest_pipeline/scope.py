"""What one load asks for and what it brought: Window, Scope, Spool.

Belongs here: the plain values that `harvest` (which reads Harvest) hands to `warehouse` (which
writes DuckDB), so that neither has to know the other.
Does not belong here: HTTP, SQL, Dagster.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A closed range of calendar days, `first` to `last`. Raises ValueError if upside down."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ValueError(f"the window {self.first} to {self.last} ends before it begins")

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"

    def covers(self, other: "Window") -> bool:
        """Whether every day of `other` is a day of this window."""
        return self.first <= other.first and other.last <= self.last

    def halves(self) -> "tuple[Window, Window]":
        """Its earlier and its later half; raises ValueError for a single day."""
        middle = self.first + (self.last - self.first) // 2
        return Window(self.first, middle), Window(middle + timedelta(days=1), self.last)

    def days(self) -> Iterator[date]:
        """The days, first to last."""
        day = self.first
        while day <= self.last:
            yield day
            day += timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Scope:
    """What one load asks Harvest for, and so exactly what it may replace.

    `window` is None for a record without a day: the whole of it.
    """

    record: str
    window: Window | None = None

    def __str__(self) -> str:
        return self.record if self.window is None else f"{self.record} of {self.window}"


class Proof(StrEnum):
    """How it is known that a read is complete (DESIGN section 5, step 3)."""

    #: Distinct ids = `total_entries`, the same on the first and on the last page.
    TOTAL_ENTRIES = "total_entries"
    #: The answers carried no totals; the chain of cursors was unbroken to its end.
    CURSOR_CHAIN = "cursor_chain"
    #: The account's module (invoices, expenses) is switched off: there is nothing to read, and
    #: what was loaded before stays.
    MODULE_OFF = "module_off"


@dataclass(frozen=True, slots=True)
class Spool:
    """The proven records of one scope on local disk: newline-delimited JSON, one record a line.

    A line is the record as Harvest sent it, byte for byte; for a record with `parent_columns` these
    stand in front of its own keys (`{"invoice_id":1,"invoice_issue_date":"2026-11-02",...}`).
    No id occurs twice. `rows` is the number of lines, `requests` the number of HTTP requests that
    the read cost (tries that failed included), `seconds` its duration. `total_entries` is Harvest's
    own count, None where the answers carried none. `read_at` is Harvest's clock (the `Date`
    header) before the read began; everything that Harvest changed before it is in here.
    """

    scope: Scope
    path: Path
    rows: int
    requests: int
    seconds: float
    proof: Proof
    total_entries: int | None
    read_at: datetime
