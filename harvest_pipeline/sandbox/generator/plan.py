"""The generator's plan, which the API does not show: the period, who works how, and on what."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from random import Random
from typing import TypeVar
from zoneinfo import ZoneInfo

from harvest_pipeline.sandbox.generator.names import HOLIDAYS
from harvest_pipeline.sandbox.model import (
    Client,
    Entity,
    Project,
    TaskAssignment,
    User,
    UserAssignment,
)
from harvest_pipeline.sandbox.records import Table

E = TypeVar("E", bound=Entity)


@dataclass(frozen=True)
class Span:
    """The period of the account's history: from the day `first` to the instant `now`."""

    first: date
    now: datetime

    @property
    def today(self) -> date:
        """The last day."""
        return self.now.date()

    @property
    def days(self) -> int:
        """The days between the first and the last."""
        return (self.today - self.first).days

    @property
    def opening(self) -> datetime:
        """When the account was set up: tasks, roles and categories have this instant."""
        return instant(self.first, 6 * 60)

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
    """A client and the days between which it has projects; `code` is None for the house itself.

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


def ids(start: int, random: Random) -> Iterator[int]:
    """Growing ids of one kind with gaps, as in an account that shares them with others."""
    while True:
        start += random.randint(1, 7)
        yield start


def add_in_order(table: Table[E], made: Iterable[E], start: int, random: Random) -> None:
    """Add records that have no ids yet, with ids that grow with their creation."""
    keys = ids(start, random)
    for record in sorted(made, key=lambda each: each.created_at):
        record.id = next(keys)
        table.add(record)


def is_working_day(day: date) -> bool:
    """Whether people work on a day at all."""
    return day.weekday() < 5 and (day.month, day.day) not in HOLIDAYS


@lru_cache(maxsize=65536)
def _offset(zone: ZoneInfo, day: date) -> timedelta:
    return datetime.combine(day, time(12), zone).utcoffset() or timedelta()


def instant(day: date, minutes: int, zone: ZoneInfo | None = None) -> datetime:
    """The instant of `minutes` after midnight of a day in a zone (UTC if None)."""
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=minutes)
    return moment if zone is None else moment - _offset(zone, day)
