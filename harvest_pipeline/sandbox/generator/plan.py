"""What the generator knows while it tells the account's story.

Belongs here: the span of time, the people and projects with what the API does not show about them,
ids, and the calendar. Does not belong here: records themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from random import Random
from zoneinfo import ZoneInfo

from harvest_pipeline.sandbox.generator.names import HOLIDAYS
from harvest_pipeline.sandbox.model import Client, Project, TaskAssignment, User, UserAssignment


@dataclass(frozen=True)
class Span:
    """The time that is told: from the day `first` to the instant `now`."""

    first: date
    now: datetime

    @property
    def today(self) -> date:
        """The last day."""
        return self.now.date()

    def working_days(self) -> Iterator[date]:
        """All days but weekends and holidays."""
        day = self.first
        while day <= self.today:
            if is_working_day(day):
                yield day
            day += timedelta(days=1)

    def until_now(self, instant: datetime) -> datetime:
        """The instant, or now if that would be in the future."""
        return min(instant, self.now)


@dataclass
class Person:
    """A person and how that person works. `left` is the first day no longer worked."""

    user: User
    zone: ZoneInfo
    hired: date
    left: date | None
    cost_rates: list[tuple[date, Decimal]]
    holidays: set[date]

    def works_on(self, day: date) -> bool:
        """Whether the person is there on a working day."""
        gone = self.left is not None and day >= self.left
        return self.hired <= day and not gone and day not in self.holidays

    def cost_rate(self, day: date) -> Decimal | None:
        """The cost rate in force on a day, None if there is none."""
        rates = [amount for start, amount in self.cost_rates if start <= day]
        return rates[-1] if rates else None


@dataclass
class Customer:
    """A client and the days between which it gives work; `code` is None for the house itself.

    `multiple` turns a rate in the home currency into one in the client's.
    """

    client: Client
    code: str | None
    multiple: Decimal
    first: date
    last: date


@dataclass
class Engagement:
    """A project with its people (by user id) and tasks, and the days on which it is worked on."""

    project: Project
    first: date
    last: date
    multiple: Decimal
    team: dict[int, UserAssignment] = field(default_factory=dict[int, UserAssignment])
    tasks: list[TaskAssignment] = field(default_factory=list[TaskAssignment])

    def runs_on(self, day: date) -> bool:
        """Whether time is tracked to the project on a day."""
        return self.first <= day <= self.last


class Ids:
    """Growing ids of one kind with gaps, as in an account that shares them with others."""

    def __init__(self, start: int, random: Random) -> None:
        self._last = start
        self._random = random

    def next(self) -> int:
        """The next id."""
        self._last += self._random.randint(1, 7)
        return self._last


def is_working_day(day: date) -> bool:
    """Whether people work on a day at all."""
    return day.weekday() < 5 and (day.month, day.day) not in HOLIDAYS


def next_working_day(day: date) -> date:
    """That day, or the first working day after it."""
    while not is_working_day(day):
        day += timedelta(days=1)
    return day


@lru_cache(maxsize=65536)
def _offset(zone: ZoneInfo, day: date) -> timedelta:
    return datetime.combine(day, time(12), zone).utcoffset() or timedelta()


def instant(day: date, minutes: int, zone: ZoneInfo | None = None) -> datetime:
    """The instant of `minutes` after midnight of a day in a zone (UTC if None)."""
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=minutes)
    return moment if zone is None else moment - _offset(zone, day)


def months(first: date, last: date) -> Iterator[tuple[date, date]]:
    """First and last day of every calendar month that has ended by `last`."""
    start = first.replace(day=1)
    while True:
        following = (start + timedelta(days=32)).replace(day=1)
        if following > last:
            return
        yield start, following - timedelta(days=1)
        start = following
