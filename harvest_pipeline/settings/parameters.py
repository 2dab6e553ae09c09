"""The parameters of a run, from a launch, a command or a dataset: days, changes and parts; their
validation, and their conversion to a window and filters."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Self
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, model_validator

from harvest_pipeline.safety.text import shown
from harvest_pipeline.scope import Filters, Window
from harvest_pipeline.settings.values import Day, DaysBack, Ids, Instant, Model, Problem, Status


class OptionsError(ValueError):
    """A parameter of a run or of a dataset is invalid, or does not fit the report.

    The message names it, and says where it was set. docs/parameters.md has every parameter, and
    `harvest-pipeline reports` which report takes which.
    """


class _Options(Model):
    @property
    def given(self) -> tuple[str, ...]:
        """The names of the parameters that are set; 0 days back counts as set."""
        values = ((name, getattr(self, name)) for name in type(self).model_fields)
        return tuple(n for n, v in values if v is not None and v is not False and v != ())


class WindowOptions(_Options):
    """Which days are read.

    Days back are counted from today, in a scheduled run from the day of its tick. Where a dataset
    has a partition for each day, its schedule and `sync` turn these days into the partitions of the
    run; a run that a person launches reads the partitions that it was launched over.
    """

    days_back: DaysBack | None = Field(
        default=None, description="From so many days ago to today. Days."
    )
    days_back_to_start_from: DaysBack | None = Field(
        default=None,
        description="First day, in days before today: 10, with days_back_to_end_at 5, reads from "
        "10 days ago to 5 days ago. Days.",
    )
    days_back_to_end_at: DaysBack | None = Field(
        default=None, description="Last day, in days before today; 0 without it. Days."
    )
    start_date: Day | None = Field(
        default=None,
        description="First day: 2026-11-02, or a number of days back such as 10 days back, "
        "yesterday, today.",
    )
    end_date: Day | None = Field(
        default=None,
        description="Last day, written like start_date; today without it.",
    )

    @property
    def _ways(self) -> list[tuple[str, str | None, Any, Any]]:
        """The ways to give days that are used: names and values of the first and the last day."""
        ways = (
            ("days_back", None),
            ("days_back_to_start_from", "days_back_to_end_at"),
            ("start_date", "end_date"),
        )
        values = [(a, b, getattr(self, a), getattr(self, b) if b else None) for a, b in ways]
        return [way for way in values if way[2:] != (None, None)]

    @property
    def has_window(self) -> bool:
        """Whether they determine which days are read."""
        return bool(self._ways)

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        used = [first if value is not None else last for first, last, value, _ in self._ways]
        if len(used) > 1:
            raise ValueError(f"{used[0]} and {used[1]} both say which days are read; keep one")
        for first, last, value, _ in self._ways:
            if value is None:
                raise ValueError(f"{last} needs {first}")
        if (self.days_back_to_end_at or 0) > (self.days_back_to_start_from or 0):
            raise ValueError(
                "days_back_to_end_at is the larger number, so the window would end before it "
                "begins; exchange it with days_back_to_start_from"
            )
        return self

    def days(self, today: date, every: Window) -> Window:
        """The days to read, of those that have a partition (`every`); there must be a window.

        Relative days before the first partition are left out, and days after the last one.
        Raises OptionsError for a specific day before the first partition, for a window whose last
        day is before its first, or if no day is left.
        """
        [(_, _, start, end)] = self._ways
        first, last = (
            today - timedelta(days=day) if isinstance(day, int) else day
            for day in (start, 0 if end is None else end)
        )
        if first > last:
            raise OptionsError(f"The window {first} to {last} ends before it begins.")
        if first < every.first and isinstance(start, date):
            raise OptionsError(
                f"start_date is {first}, and the first partition is {every.first}; choose a later "
                "day, or set HARVEST_START_DATE to an earlier one."
            )
        first, last = max(first, every.first), min(last, every.last)
        if first > last:
            raise OptionsError(
                f"No day of the window has a partition: these are {every}; choose other days, or "
                "set HARVEST_START_DATE to an earlier one."
            )
        return Window(first, last)


class FilterOptions(_Options):
    """Which records of these days are read; with nothing set, all."""

    updated_since: Instant | None = Field(
        default=None,
        description="Only what changed since then, merged by id; nothing is deleted. A day "
        "(its beginning in HARVEST_TIMEZONE) or an instant such as 2026-11-02T14:30:00Z.",
    )
    updated_since_days_back: DaysBack | None = Field(
        default=None,
        description="The same, as the beginning of a day so many days before the run's (last) "
        "partition, or before today. Days.",
    )
    invoice_status: Status = Field(
        default=None,
        description="Only invoices of that state: none (all), draft, open, paid, "
        "closed. Of messages and payments: those of such invoices.",
    )
    project_ids: Ids = Field(
        default=(), description="Only these projects: a list of ids, or text with commas."
    )
    user_ids: Ids = Field(
        default=(), description="Only these people: a list of ids, or text with commas."
    )

    @model_validator(mode="after")
    def _has_one_beginning(self) -> Self:
        if self.updated_since is not None and self.updated_since_days_back is not None:
            raise ValueError(
                "updated_since and updated_since_days_back both say since when; keep one"
            )
        return self

    @property
    def part(self) -> Filters:
        """The part of a record, regardless of when it changed."""
        return Filters(
            invoice_status=self.invoice_status,
            project_ids=self.project_ids,
            user_ids=self.user_ids,
        )

    def since(self, today: date, timezone: str) -> datetime | None:
        """The instant in UTC since which records changed; `today` is the base for days back."""
        since = self.updated_since
        if self.updated_since_days_back is not None:
            since = today - timedelta(days=self.updated_since_days_back)
        return None if since is None else start_of(since, timezone)


#: The two ways to limit a read to changes.
SINCE = ("updated_since", "updated_since_days_back")
#: All ways to limit a read to days.
DAYS = (*WindowOptions.model_fields, "full_refresh")


class RunOptions(FilterOptions, WindowOptions):
    """All parameters of a run."""

    full_refresh: bool = Field(
        default=False,
        description="Read every day from HARVEST_START_DATE to today again, and in full; a "
        "dataset's own table begins from nothing.",
    )

    @model_validator(mode="after")
    def _is_full_or_not(self) -> Self:
        others = [n for n in self.given if n in WindowOptions.model_fields or n in SINCE]
        if self.full_refresh and others:
            raise ValueError(f"full_refresh reads everything; leave out {', '.join(others)}")
        return self

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str) -> "RunOptions":
        """The options with these values; None and "" count as not given.

        Raises OptionsError, which says that they were set in `where`.
        """
        try:
            return cls.model_validate({k: v for k, v in values.items() if v not in (None, "")})
        except ValidationError as error:
            problem = Problem.of(error)
            name = str(problem.keys[0]) if problem.keys else ""
            sentence = f"{name}: {problem.message}" if name else problem.message
            if problem.kind == "extra_forbidden":
                sentence = f"{shown(name)} is no parameter of a run"
            raise OptionsError(f"{sentence}; it is set in {where}.") from None

    def over(self, fixed: "RunOptions") -> "RunOptions":
        """These options, completed with those of `fixed` (a dataset's)."""
        ours = {name: getattr(self, name) for name in self.given}
        replaced = set(ours)
        if self.full_refresh or self.has_window:
            replaced |= WindowOptions.model_fields.keys()
        if self.full_refresh or replaced & set(SINCE):
            replaced |= set(SINCE)
        theirs = {name: getattr(fixed, name) for name in fixed.given if name not in replaced}
        return RunOptions.model_validate({**theirs, **ours})

    def only(self, names: set[str]) -> "RunOptions":
        """The options with these names only."""
        return RunOptions.model_validate({n: getattr(self, n) for n in self.given if n in names})


def parameter_of(option: str) -> str | None:
    """The catalogue's parameter (`Report.parameters`) for an option; None: any report has it."""
    if option in WindowOptions.model_fields:
        return "window"
    if option in SINCE:
        return "updated_since"
    return None if option == "full_refresh" else option


def kind_of(option: str) -> str:
    """The type of an option: `integer`, `boolean`, `string`, `enum`, or `any` for several."""
    field = RunOptions.model_json_schema()["properties"][option]
    kinds = [one for one in field.get("anyOf", [field]) if one.get("type") != "null"]
    if len(kinds) > 1 or "anyOf" in kinds[0]:
        return "any"
    return "enum" if "enum" in kinds[0] else kinds[0]["type"]


def start_of(moment: date | datetime, timezone: str) -> datetime:
    """An instant in UTC; a day begins at midnight of the time zone, in which naive times are."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time.min)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(timezone))
    return moment.astimezone(UTC)
