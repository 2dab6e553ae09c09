"""What a load requests, for whom, and what it brought: the values that `harvest` (which reads
Harvest) passes to `warehouse` (which writes DuckDB), so that neither depends on the other."""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import ClassVar


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


def stretches(days: Iterable[date]) -> list[Window]:
    """The days as windows without gaps, in order."""
    found: list[Window] = []
    for day in sorted(days):
        if found and found[-1].last + timedelta(days=1) == day:
            found[-1] = Window(found[-1].first, day)
        else:
            found.append(Window(day, day))
    return found


@dataclass(frozen=True, slots=True)
class Reader:
    """The person behind a token. Harvest leaves out, without an error, what they may not see.

    `role` is administrator, manager or member; `user_id` and `name` are Harvest's.
    """

    role: str
    user_id: int
    name: str

    #: From the widest to the narrowest view of an account.
    ROLES: ClassVar = ("administrator", "manager", "member")

    def __str__(self) -> str:
        return f"{self.name}, {self.role}"

    def sees_all_of(self, other: "Reader") -> bool:
        """Whether this person is known to see everything that `other` sees.

        An administrator sees everything. For anyone else it is only known about the same person, as
        long as their role has not become narrower: Harvest does not say which projects a manager
        manages.
        """
        if self.role == "administrator":
            return True
        return self.user_id == other.user_id and other.role in self.narrower_roles()

    def narrower_roles(self) -> tuple[str, ...]:
        """The person's own role and those that see less."""
        return self.ROLES[self.ROLES.index(self.role) :]

    def wider_roles(self) -> tuple[str, ...]:
        """The person's own role and those that see more."""
        return self.ROLES[: self.ROLES.index(self.role) + 1]


@dataclass(frozen=True, slots=True)
class Filters:
    """Which records of a window are meant; with nothing set, all of them.

    `updated_since` (inclusive) and `updated_before` (exclusive) are in UTC and compared with
    `updated_at`; Harvest only has the former. `invoice_status` is an invoice's `state`; for
    messages and payments, that of their invoice. `parent_ids` are the invoices whose messages or
    payments are meant. Ids are ascending, each once.
    """

    updated_since: datetime | None = None
    updated_before: datetime | None = None
    invoice_status: str | None = None
    project_ids: tuple[int, ...] = ()
    user_ids: tuple[int, ...] = ()
    parent_ids: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return self != _NO_FILTERS

    def __str__(self) -> str:
        parts = (
            f"changed since {self.updated_since:%Y-%m-%dT%H:%M:%SZ}" if self.updated_since else "",
            f"changed before {self.updated_before:%Y-%m-%dT%H:%M:%SZ}"
            if self.updated_before
            else "",
            f"invoices {self.invoice_status}" if self.invoice_status else "",
            f"projects {', '.join(map(str, self.project_ids))}" if self.project_ids else "",
            f"people {', '.join(map(str, self.user_ids))}" if self.user_ids else "",
            f"of {len(self.parent_ids)} parents" if self.parent_ids else "",
        )
        return "; ".join(part for part in parts if part)

    @property
    def changes_only(self) -> bool:
        """Whether unchanged records are left out: such a read deletes nothing."""
        return self.updated_since is not None or self.updated_before is not None

    def covers(self, other: "Filters") -> bool:
        """Whether everything that matches `other` matches these too."""
        since, before = self.updated_since, self.updated_before
        return (
            (not since or (other.updated_since is not None and since <= other.updated_since))
            and (
                not before or (other.updated_before is not None and other.updated_before <= before)
            )
            and self.invoice_status in (None, other.invoice_status)
            and _all_of(other.project_ids, self.project_ids)
            and _all_of(other.user_ids, self.user_ids)
            and _all_of(other.parent_ids, self.parent_ids)
        )


_NO_FILTERS = Filters()


def _all_of(wanted: tuple[int, ...], ours: tuple[int, ...]) -> bool:
    return not ours or (bool(wanted) and set(wanted) <= set(ours))


@dataclass(frozen=True, slots=True)
class Scope:
    """What one load requests from Harvest, and so exactly what it may replace.

    `window` is None for a record without a day: the whole of it.
    """

    record: str
    window: Window | None = None
    filters: Filters = _NO_FILTERS

    def __str__(self) -> str:
        name = self.record if self.window is None else f"{self.record} of {self.window}"
        return f"{name} ({self.filters})" if self.filters else name

    def parts(self) -> "Iterator[Scope]":
        """The same as scopes of one project and one person: Harvest takes one id per request."""
        for project in self.filters.project_ids or (None,):
            for user in self.filters.user_ids or (None,):
                part = replace(
                    self.filters,
                    project_ids=() if project is None else (project,),
                    user_ids=() if user is None else (user,),
                )
                yield replace(self, filters=part)


class Proof(StrEnum):
    """How a read is known to be complete."""

    #: Distinct ids = `total_entries`, the same on the first and on the last page.
    TOTAL_ENTRIES = "total_entries"
    #: The responses had no totals; the chain of cursors was unbroken to its end.
    CURSOR_CHAIN = "cursor_chain"
    #: The account's module (invoices, expenses) is switched off: there is nothing to read, and
    #: what was loaded before stays.
    MODULE_OFF = "module_off"
    #: Contains only the records that had left the part which was read, and covers nothing.
    FOLLOWED = "followed"
    #: Everything that changed since an instant, on kept days, and for known records.
    CHANGES = "changes"
    #: Nothing was read: after all changes were loaded, the number of rows was Harvest's count.
    COUNTED = "counted"
    #: Complete for its reader, who sees less than the person who loaded rows that are not in it:
    #: these stay.
    NARROWER = "narrower"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that cannot be used: its bytes (`raw`), and `field` with what is wrong with it, as
    in "is NaN, which is not JSON" ("" for the record as a whole). `day` is None if it cannot be
    read; `parent_id` is the invoice of a payment or a message."""

    id: int
    day: date | None
    field: str
    reason: str
    raw: bytes = dataclasses.field(repr=False)
    parent_id: int | None = None


@dataclass(frozen=True, slots=True)
class Spool:
    """The proven records of one scope on local disk: newline-delimited JSON, one record a line.

    A line is the record as Harvest sent it, byte for byte; for a record with `parent_columns` these
    come before its own keys (`{"invoice_id":1,"invoice_issue_date":"2026-11-02",...}`).
    No id occurs twice. `rejected` records have no line. `rows` is the number of records received,
    including rejected ones; `requests` the number of HTTP requests of the read (including failed
    attempts), `seconds` its duration. `total_entries` is Harvest's own count, None if the responses
    have none. `read_at` is Harvest's clock (the `Date` header) before the read began; everything
    that Harvest changed before then is included. `parents` are, for a record with a parent, the ids
    of those whose records these are.
    """

    scope: Scope
    path: Path
    rows: int
    requests: int
    seconds: float
    proof: Proof
    total_entries: int | None
    read_at: datetime
    parents: tuple[int, ...] = ()
    rejected: tuple[Rejected, ...] = ()
