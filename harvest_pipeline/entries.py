"""What a person declares: an account, a dataset.

Belongs here: the models of one entry with their descriptions, and the way from an entry to a
`Dataset`. They know no file and no lines, so that whatever declares accounts can use them.
Does not belong here: how entries go together (project_file.py), the parameters of a run
(options.py), what an update would lose (datasets.py).
"""

import warnings
from difflib import get_close_matches
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.datasets import Cron, Dataset, Retry, Update, default_update
from harvest_pipeline.harvest.account import is_instance
from harvest_pipeline.options import FilterOptions, RunOptions, WindowOptions, parameter_of
from harvest_pipeline.settings import is_timezone
from harvest_pipeline.text import shown

#: What an account may not be called: each is the name of something else in the definitions.
_RESERVED = ("io_manager", "all_accounts", "main", "temp", "system", "pg_catalog")
#: What a dataset may not be called: reports and tables of its account, and jobs and schedules
#: called `<account>_<name>`.
_TAKEN = (
    *sorted({*REPORTS, *RECORDS}),
    *sorted(f"{record}_deleted" for record in RECORDS),
    "all_reports",
    "reconciliation",
    "changes",
    "reconcile",
)
_NAME = r"^[a-z][a-z0-9_]{0,39}$"


def _known(report: str) -> str:
    if report in REPORTS:
        return report
    near = get_close_matches(report, REPORTS, n=1, cutoff=0.7)
    hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(REPORTS)}"
    raise ValueError(f"there is no report {shown(report)}; {hint}")


ReportName = Annotated[
    str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(REPORTS)})
]


def misplaced(reason: str, *place: str | int) -> PydanticCustomError:
    """A ValueError about what stands at `place` (keys below the model that is being validated)."""
    return PydanticCustomError("misplaced", "{reason}", {"reason": reason, "place": place})


class Entry(BaseModel):
    """Settings that belong together; every key is known."""

    # A value that somebody put into the wrong field may be a secret.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class AccountEntry(Entry):
    """An account of Harvest. Where it has neither `account_id` nor `instance`, the stored account
    of that name says which one it is, or the token, if it reaches only one."""

    name: str = Field(
        pattern=_NAME,
        description="Prefix of the asset keys, DuckDB schema, and name of the stored account.",
        json_schema_extra={"not": {"enum": list(_RESERVED)}},
    )
    account_id: int | None = Field(
        default=None, gt=0, description="Harvest's number of it.", examples=[1204911]
    )
    instance: str | None = Field(
        default=None,
        min_length=1,
        description="The acme of acme.harvestapp.com, instead of the number.",
        examples=["acme"],
    )

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name in _RESERVED:
            raise ValueError(f"{name!r} is taken; choose another name")
        return name

    @field_validator("instance")
    @classmethod
    def _is_instance(cls, instance: str | None) -> str | None:
        # Dagster shows it: a token that somebody puts here must not get that far.
        if instance is not None and not is_instance(instance):
            raise ValueError("this is not the acme of acme.harvestapp.com")
        return instance


class ScheduleEntry(Entry):
    """When a dataset is read by itself. The schedule is off until somebody switches it on."""

    cron: str = Field(
        description="Minute, hour, day of the month, month and day of the week.",
        examples=["0 6 * * 1-5"],
    )
    timezone: str | None = Field(
        default=None,
        description="IANA name of the time zone of these times; HARVEST_TIMEZONE without it.",
        examples=["Europe/Berlin"],
    )

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, cron: str) -> str:
        # Dagster, which will build the schedule, is the judge. It takes over a second to import,
        # so only those wait who have a schedule.
        import dagster as dg

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # */90: not what anybody means by it
                dg.ScheduleDefinition(name="tried", job_name="tried", cron_schedule=cron)
        except (dg.DagsterInvalidDefinitionError, UserWarning):
            raise ValueError(
                f"{shown(cron)} is no cron expression; write minute, hour, day of the month, month "
                'and day of the week, such as "0 6 * * 1-5"'
            ) from None
        return cron

    @field_validator("timezone")
    @classmethod
    def _is_timezone(cls, timezone: str | None) -> str | None:
        if timezone is not None and not is_timezone(timezone):
            raise ValueError(
                f"{shown(timezone)} is no time zone; use an IANA name such as Europe/Berlin or UTC"
            )
        return timezone


class RetryEntry(Entry):
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


class DatasetEntry(Entry):
    """A report with parameters of your own: an asset, and a table or view of its name."""

    name: str = Field(
        pattern=_NAME,
        description="Name of the asset and of its table or view; not one that the account has "
        "already, as each report and each table of it.",
        json_schema_extra={"not": {"enum": list(_TAKEN)}},
    )
    report: ReportName = Field(description="The report that it shows a part of.")
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
    schedule: ScheduleEntry | None = Field(
        default=None,
        description="When it is read by itself; without it, never.",
        examples=[{"cron": "0 6 * * 1-5", "timezone": "Europe/Berlin"}],
    )
    update: Update | None = Field(
        default=None,
        description="What a read does to the rows that are there; without it, what suits the "
        "report and the parameters.",
    )
    retry: RetryEntry | None = Field(
        default=None,
        description="How often it is tried; without it, like every report.",
        examples=[{"attempts": 3, "wait_minutes": 10}],
    )

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name in REPORTS:
            raise ValueError(f"{name!r} is the name of a report; choose another name")
        if name in RECORDS:
            raise ValueError(f"{name!r} is the name of a table; choose another name")
        if name in _TAKEN:
            raise ValueError(f"{name!r} is taken by a job or schedule; choose another name")
        return name

    @model_validator(mode="after")
    def _works(self) -> Self:
        try:
            self.dataset("UTC")
        except ValueError as error:
            # What the report does not take is told first, so it is the first such parameter.
            parameters = ("window", *REPORTS[self.report].parameters)
            for option in self.filters.given:
                if parameter_of(option) not in parameters:
                    raise misplaced(str(error), "filters", option) from None
            raise misplaced(str(error), "update") from None
        return self

    def dataset(self, timezone: str) -> Dataset:
        """The dataset; `timezone` (an IANA name) is that of a schedule without one of its own.

        Raises ValueError where `Dataset` does, which no validated entry gets to.
        """
        report = REPORTS[self.report]
        given: dict[str, Any] = {
            name: getattr(options, name)
            for options in (self.window, self.filters)
            for name in options.given
        }
        options = RunOptions.model_validate(given)
        return Dataset(
            self.name,
            report,
            options,
            self.update or default_update(report, options),
            self.schedule and Cron(self.schedule.cron, self.schedule.timezone or timezone),
            self.retry and Retry(self.retry.attempts, self.retry.wait_minutes),
        )
