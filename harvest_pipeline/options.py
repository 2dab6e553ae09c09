"""The parameters that a launch, a command and `harvest.yaml` give: which days, which changes, which
part; what goes together, and the way from them to a window and filters."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Self
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from harvest_pipeline.option_types import Day, DaysBack, Ids, Instant, Status
from harvest_pipeline.scope import Filters, Window
from harvest_pipeline.text import shown


class OptionsError(ValueError):
    """A parameter cannot work; the message is one sentence: what, where it was set, what to do."""


class _Options(BaseModel):
    # A value that somebody put into the wrong field may be a secret.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the parameters that say anything."""
        return tuple(name for name in type(self).model_fields if _says(getattr(self, name)))


def _says(value: object) -> bool:
    return value is not None and value is not False and value != ()


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
    def has_window(self) -> bool:
        """Whether they say which days are read."""
        return not WindowOptions.model_fields.keys().isdisjoint(self.given)

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        given = WindowOptions.model_fields.keys() & set(self.given)
        ways = [
            sorted(given & names)
            for names in (
                {"days_back"},
                {"days_back_to_start_from", "days_back_to_end_at"},
                {"start_date", "end_date"},
            )
        ]
        said = [names[0] for names in ways if names]
        if len(said) > 1:
            raise ValueError(f"{said[0]} and {said[1]} both say which days are read; keep one")
        for last, first in (
            ("days_back_to_end_at", "days_back_to_start_from"),
            ("end_date", "start_date"),
        ):
            if last in given and first not in given:
                raise ValueError(f"{last} needs {first}")
        first, last = self.days_back_to_start_from, self.days_back_to_end_at
        if first is not None and last is not None and last > first:
            raise ValueError(
                "days_back_to_end_at is the larger number, so the window would end before it "
                "begins; exchange it with days_back_to_start_from"
            )
        return self

    def window(self, today: date, every: Window) -> Window:
        """The days to read, of those that have a partition (`every`); there must be a window.

        Relative days before the first partition are left out, and days after the last one.
        Raises OptionsError for a specific day before the first partition, a window upside down,
        or if no day is left.
        """
        first, last = self._edges(today)
        if first > last:
            raise OptionsError(f"The window {first} to {last} ends before it begins.")
        if first < every.first and isinstance(self.start_date, date):
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

    def _edges(self, today: date) -> tuple[date, date]:
        if self.days_back is not None:
            return _counted(self.days_back, today), today
        if self.days_back_to_start_from is not None:
            end = self.days_back_to_end_at or 0
            return _counted(self.days_back_to_start_from, today), _counted(end, today)
        if self.start_date is not None:
            end = self.end_date if self.end_date is not None else 0
            return _counted(self.start_date, today), _counted(end, today)
        raise AssertionError(f"no days in {self.given}")


def _counted(day: date | int, today: date) -> date:
    return today - timedelta(days=day) if isinstance(day, int) else day


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

    def filters(self, today: date, timezone: str) -> Filters:
        """What Harvest is asked for; `today` is what days back are counted from."""
        since = self.updated_since
        if self.updated_since_days_back is not None:
            since = today - timedelta(days=self.updated_since_days_back)
        return Filters(
            updated_since=None if since is None else start_of(since, timezone),
            invoice_status=self.invoice_status,
            project_ids=self.project_ids,
            user_ids=self.user_ids,
        )


#: The two ways to say since when.
SINCE = ("updated_since", "updated_since_days_back")
#: All ways to say which days are read.
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
        if self.full_refresh:
            others = [
                name for name in self.given if name in WindowOptions.model_fields or name in SINCE
            ]
            if others:
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
            raise OptionsError(f"{wrong(error)}; it is set in {where}.") from None

    def over(self, fixed: "RunOptions") -> "RunOptions":
        """These options, and those of `fixed` (a dataset's) that they say nothing about."""
        ours = {name: getattr(self, name) for name in self.given}
        replaced = set(ours)
        if self.full_refresh or self.has_window:
            replaced |= WindowOptions.model_fields.keys()
        if self.full_refresh or replaced & set(SINCE):
            replaced |= set(SINCE)
        theirs = {name: getattr(fixed, name) for name in fixed.given if name not in replaced}
        return RunOptions.model_validate({**theirs, **ours})


def parameter_of(option: str) -> str | None:
    """The catalogue's parameter (`Report.parameters`) that an option is about; None: any report."""
    if option in WindowOptions.model_fields:
        return "window"
    if option in SINCE:
        return "updated_since"
    return None if option == "full_refresh" else option


def wrong(error: ValidationError) -> str:
    """The first thing that is wrong, with the name of the parameter, without a full stop."""
    problem = error.errors(include_url=False, include_input=False)[0]
    name = ".".join(str(key) for key in problem["loc"][:1])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"{shown(name)} is no parameter of a run"
    if problem["type"] == "literal_error":
        message = "choose one of none, draft, open, paid, closed"
    return f"{name}: {message}" if name else message


def start_of(moment: date | datetime, timezone: str) -> datetime:
    """An instant in UTC; a day begins at midnight of the time zone, in which naive times are."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time.min)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(timezone))
    return moment.astimezone(UTC)
