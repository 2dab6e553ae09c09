"""Datasets: a report with parameters fixed by the user; the 18 reports are those without any."""

import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum
from functools import cache, cached_property
from typing import Annotated, Self, cast

from pydantic import (
    BeforeValidator,
    Field,
    InstanceOf,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from harvest_pipeline.catalogue.columns import Record, Report
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.catalogue.reports import REPORTS, record_of
from harvest_pipeline.models import OTHER_TABLES, models
from harvest_pipeline.scope import Filters
from harvest_pipeline.settings.parameters import (
    DAYS,
    SINCE,
    FilterOptions,
    RunOptions,
    WindowOptions,
    parameter_of,
)
from harvest_pipeline.settings.values import Model, Name, TimeZone, misplaced

#: Names that a dataset cannot have: the reports, tables and models of its account, and the jobs and
#: schedules `<account>_…` that always exist.
TAKEN = (
    *sorted(
        {
            *{*REPORTS, *RECORDS, *(f"{record}_deleted" for record in RECORDS)},
            *{*models(), *OTHER_TABLES},
        }
    ),
    *("all_reports", "reconciliation", "changes", "reconcile"),
)


def _known(report: object) -> Report:
    if isinstance(report, Report):
        return report
    if report in REPORTS:
        return REPORTS[cast("str", report)]
    near = get_close_matches(str(report), REPORTS, n=1, cutoff=0.7)
    hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(REPORTS)}"
    raise ValueError(f"there is no such report; {hint}")


#: A report by its name.
AnyReport = Annotated[
    InstanceOf[Report],
    BeforeValidator(_known),
    WithJsonSchema({"type": "string", "enum": list(REPORTS)}),
]


class Update(StrEnum):
    """What a read does to the rows that a dataset already has."""

    REPLACE = "replace"
    APPEND = "append"
    MERGE = "merge"
    PARTITION = "partition"

    @property
    def meaning(self) -> str:
        """What it does, in a sentence or two."""
        return _UPDATES[self]


_UPDATES = {
    Update.REPLACE: "The table is what the last read returned.",
    Update.APPEND: "Every read is kept, with its `_loaded_at`: history.",
    Update.MERGE: "What came replaces the rows of the same id; nothing is deleted.",
    Update.PARTITION: "What came replaces the days that were read. It is no table of its own, but "
    "a view on the table that all reports of that record share, and has a partition for each day.",
}


class Schedule(Model):
    """When a dataset is read by itself. The schedule is off until somebody switches it on."""

    cron: str = Field(
        description="Minute, hour, day of the month, month and day of the week.",
        examples=["0 6 * * 1-5"],
    )
    timezone: TimeZone | None = Field(
        default=None,
        description="IANA name of the time zone of these times; HARVEST_TIMEZONE without it.",
        examples=["Europe/Berlin"],
    )

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, cron: str) -> str:
        # Dagster, which will build the schedule, validates it. Importing it takes over a second,
        # so this is only done if there is a schedule.
        import dagster as dg

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # */90: not what anyone means by it
                dg.ScheduleDefinition(name="tried", job_name="tried", cron_schedule=cron)
        except (dg.DagsterInvalidDefinitionError, UserWarning):
            raise ValueError(
                "this is no cron expression; write minute, hour, day of the month, month "
                'and day of the week, such as "0 6 * * 1-5"'
            ) from None
        return cron


class Retry(Model):
    """What happens after a failure that may pass, such as a network that is down."""

    attempts: int = Field(
        ge=1, le=20, strict=True, description="How often it is tried, the first time included."
    )
    wait_minutes: float = Field(
        default=10,
        ge=0,
        le=1440,
        strict=True,
        allow_inf_nan=False,
        description="Pause before each further time, in minutes; 0.5 is half a minute.",
    )


class Dataset(Model):
    """A report with parameters of your own: an asset, and a table or view of its name."""

    name: Name = Field(
        description="Name of the asset and of its table or view; not one that the account has "
        "already, as each report and each table of it.",
        json_schema_extra={"not": {"enum": list(TAKEN)}},
    )
    report: AnyReport = Field(description="The report that it shows a part of.")
    account: str | None = Field(
        default=None,
        description="The name in `accounts:`; needed where there are several.",
        examples=["acme"],
    )
    filters: FilterOptions = Field(
        default_factory=FilterOptions,
        description="Which records of these days are read; without it, all.",
        examples=[{"project_ids": [14307913, 14308069]}],
    )
    window: WindowOptions = Field(
        default_factory=WindowOptions,
        description="Which days its schedule and `sync` read; without it, the last "
        "HARVEST_DAYS_BACK and today where it has partitions, else all. For a report without days, "
        "in which days its records changed.",
        examples=[{"days_back": 10}],
    )
    schedule: Schedule | None = Field(
        default=None,
        description="When it is read by itself; without it, never.",
        examples=[{"cron": "0 6 * * 1-5", "timezone": "Europe/Berlin"}],
    )
    update: Update = Field(
        default=cast("Update", None),
        validate_default=True,
        description="What a read does to the rows that are there; without it, what suits the "
        "report and the parameters.",
    )
    retry: Retry | None = Field(
        default=None,
        description="How often it is tried; without it, like every report.",
        examples=[{"attempts": 3, "wait_minutes": 10}],
    )

    @field_validator("update", mode="before")
    @classmethod
    def _suits(cls, update: object, info: ValidationInfo) -> object:
        if update is None and {"report", "window", "filters"} <= info.data.keys():
            given = (*info.data["filters"].given, *info.data["window"].given)
            return default_update(info.data["report"], given)
        return update

    @model_validator(mode="after")
    def _works(self) -> Self:
        for option in self.filters.given:
            if not self.takes(option):
                reason = f"the report {self.report.name} has no {option}; it takes "
                raise misplaced(reason + self.parameters, "filters", option)
        if reason := self.losing(self.options):
            raise misplaced(f"{self.update} {reason}", "update")
        return self

    @cached_property
    def options(self) -> RunOptions:
        """The parameters that are fixed."""
        both = (self.window, self.filters)
        return RunOptions.model_validate({n: getattr(o, n) for o in both for n in o.given})

    @property
    def record(self) -> Record:
        """The record that the report shows."""
        return record_of(self.report)

    @property
    def is_report(self) -> bool:
        """Whether it is one of the 18 reports, without parameters."""
        return self.name == self.report.name

    @property
    def has_partitions(self) -> bool:
        """Whether its asset has a partition for each day."""
        dated = self.record.day is not None and not self.record.is_snapshot
        return dated and self.update is Update.PARTITION

    @property
    def has_own_table(self) -> bool:
        """Whether it is a table of its own, rather than a view on the record's table."""
        return not self.is_report and self.update is not Update.PARTITION

    @property
    def is_view(self) -> bool:
        """Whether its name is the name of a view."""
        return not self.has_own_table and self.name != self.record.name

    @property
    def part(self) -> Filters:
        """The part of the record that it is limited to, whatever days are read."""
        return self.filters.part

    @property
    def description(self) -> str:
        """A description in a few sentences."""
        if self.is_report:
            return self.report.description
        values = self.options.model_dump(include=set(self.options.given))
        parts = [f"{name}: {str(value).strip('(,)')}" for name, value in values.items()]
        only = f" Only {'; '.join(parts)}." if parts else ""
        return f"{self.report.description}{only} {self.update.meaning}"

    def takes(self, option: str) -> bool:
        """Whether the report uses a parameter (a field of RunOptions).

        A dataset of a record without a day can still have a window: one of `updated_at`.
        """
        parameter = parameter_of(option)
        if parameter is None or parameter in self.report.parameters:
            return True
        return parameter == "window" and not self.is_report

    def takes_in_a_run(self, option: str) -> bool:
        """The same for a run. Its days are its partitions if it has any; otherwise it can choose
        other days than the dataset's, but not another part."""
        if option in DAYS and self.has_partitions:
            return False
        part = option not in DAYS and option not in SINCE
        return self.takes(option) and not (part and option in self.options.given)

    @property
    def parameters(self) -> str:
        """The parameters that it uses, as text for a sentence."""
        return ", ".join(filter(self.takes, RunOptions.model_fields))

    @property
    def parameters_in_a_run(self) -> str:
        """The same for a run."""
        return ", ".join(filter(self.takes_in_a_run, RunOptions.model_fields))

    def losing(self, options: RunOptions) -> str | None:
        """Why its update would lose rows of the table with these options; None if it does not."""
        changes = [name for name in options.given if name in SINCE]
        days = [name for name in options.given if name in WindowOptions.model_fields]
        report, dateless = self.report.name, self.record.day is None and not self.is_report
        if self.update is Update.PARTITION and dateless:
            return f"replaces days, and {report} has none; use replace, merge or append"
        if self.update is Update.PARTITION and changes:
            return f"would delete the rows of each day that {changes[0]} leaves out; use merge"
        if self.update is Update.REPLACE and (changes or (dateless and days)):
            why = (
                changes[0]
                if changes
                else (f"{days[0]}: {report} has no day, so its window is that of updated_at")
            )
            return (
                f"would leave only what changed ({why}) in the table; use merge, or append for a "
                "history"
            )
        return None


def default_update(report: Report, given: Iterable[str]) -> Update:
    """The update mode that suits a report with these parameters.

    merge if only changes are read, else partition for a record with a day, else replace.
    """
    parameters = set(map(parameter_of, given))
    if "updated_since" in parameters:
        return Update.MERGE
    if record_of(report).day:
        return Update.PARTITION
    return Update.MERGE if "window" in parameters else Update.REPLACE


def report_datasets(without: Iterable[str] = ()) -> tuple[Dataset, ...]:
    """The 18 reports but for those `without` names, in the catalogue's order."""
    left_out = set(without)
    return tuple(_report_dataset(name) for name in REPORTS if name not in left_out)


@cache  # one object for all accounts
def _report_dataset(name: str) -> Dataset:
    return Dataset(name=name, report=REPORTS[name])
