"""The asset checks that compare the warehouse with Harvest's reports, and when they run.

Belongs here: the asset `<schema>/equality` that they stand on, the job and the schedule
`<schema>_equality`, and how bad an outcome is.
Does not belong here: the comparison (comparison.py).

They stand on an asset of their own, which nothing materializes: Dagster runs the checks of an asset
in every run that materializes it, and these cost requests of a limit of 100 in 15 minutes.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from harvest_pipeline.equality.comparison import Outcome, compare
from harvest_pipeline.equality.questions import RECORDS, Theme, themes
from harvest_pipeline.equality.spans import month_of
from harvest_pipeline.equality.verdict import Verdict, days_in_words, reasons, verdict
from harvest_pipeline.failures import Retries, explained
from harvest_pipeline.metadata import markdown
from harvest_pipeline.partitions import existing_days
from harvest_pipeline.resources import HarvestResource
from harvest_pipeline.settings import Settings
from harvest_pipeline.warehouse.database import Warehouse

if TYPE_CHECKING:  # Dagster does not export the type of what define_asset_job returns
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

#: After the nightly load at 05:00, and before people come.
_DAILY = "30 6 * * *"
_MOST_SHOWN = 20

CHECKS: dict[Theme, tuple[str, str]] = {
    "time": (
        "equals_harvest_time_reports",
        "Hours, billable hours and billable amounts by client, project, task, person and currency "
        "are those of Harvest's time reports, in every month since HARVEST_START_DATE.",
    ),
    "expenses": (
        "equals_harvest_expense_reports",
        "Expenses and their billable part by client, project, category, person and currency are "
        "those of Harvest's expense reports, in every month since HARVEST_START_DATE.",
    ),
    "uninvoiced": (
        "equals_harvest_uninvoiced_report",
        "Uninvoiced hours, expenses and amounts of every project are those of Harvest's uninvoiced "
        "report, in every month since HARVEST_START_DATE, and so is what is left of fixed fees.",
    ),
}


def equality_name(settings: Settings) -> str:
    """The name of the job and of the schedule of an account."""
    return f"{settings.schema}_equality"


def equality_assets(accounts: Sequence[Settings]) -> list[dg.AssetSpec]:
    """The asset `<schema>/equality` of each account of which anything can be compared."""
    return [
        dg.AssetSpec(
            _key(settings),
            description="Whether the warehouse equals Harvest: the checks of this asset compare it "
            f"with Harvest's own reports. The job {equality_name(settings)} runs them.",
            group_name="equality",
            kinds={"harvest", "duckdb"},
            deps=[
                dg.AssetKey([settings.schema, each.name])
                for each in settings.datasets
                if each.is_report and each.record.name in _records(settings)
            ],
        )
        for settings in accounts
        if themes(settings)
    ]


def equality_checks(accounts: Sequence[Settings]) -> list[dg.AssetChecksDefinition]:
    """A check for each theme of each account."""
    return [_check(settings, theme) for settings in accounts for theme in themes(settings)]


def equality_jobs(accounts: Sequence[Settings]) -> "list[UnresolvedAssetJobDefinition]":
    """The job of each account: its checks, and nothing else."""
    return [
        # Its parameters have types that Dagster leaves unknown.
        dg.define_asset_job(  # pyright: ignore[reportUnknownMemberType]
            equality_name(settings),
            dg.AssetSelection.checks(
                *(dg.AssetCheckKey(_key(settings), CHECKS[theme][0]) for theme in themes(settings))
            ),
            description="Compares the warehouse with Harvest's own reports.",
        )
        for settings in accounts
        if themes(settings)
    ]


def equality_schedules(accounts: Sequence[Settings]) -> list[dg.ScheduleDefinition]:
    """The schedule of each account, off until it is switched on."""
    return [
        dg.ScheduleDefinition(
            name=equality_name(settings),
            job_name=equality_name(settings),
            cron_schedule=_DAILY,
            execution_timezone=settings.timezone,
            description="Every morning at 06:30: compares the warehouse with Harvest's reports.",
            default_status=dg.DefaultScheduleStatus.STOPPED,
        )
        for settings in accounts
        if themes(settings)
    ]


def _key(settings: Settings) -> dg.AssetKey:
    return dg.AssetKey([settings.schema, "equality"])


def _records(settings: Settings) -> set[str]:
    return {record for theme in themes(settings) for record in RECORDS[theme]}


def _check(settings: Settings, theme: Theme) -> dg.AssetChecksDefinition:
    name, description = CHECKS[theme]

    @dg.asset_check(
        asset=_key(settings),
        name=name,
        description=description,
        required_resource_keys={settings.schema},
    )
    def equality(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        harvest: HarvestResource = getattr(context.resources, settings.schema)
        warehouse = Warehouse(settings.duckdb, settings.schema, log=context.log.info)
        days = existing_days(settings)
        with explained(Retries.of(None)):
            outcome = compare(harvest.client(settings), warehouse, theme, days, days.last)
        return check_result(outcome)

    return equality


def check_result(outcome: Outcome) -> dg.AssetCheckResult:
    """The outcome for Dagster. Only a difference that nothing explains is an error."""
    ended = verdict(outcome)
    return dg.AssetCheckResult(
        passed=ended is Verdict.EQUAL,
        severity=dg.AssetCheckSeverity.ERROR
        if ended is Verdict.DIFFERENT
        else dg.AssetCheckSeverity.WARN,
        description=" ".join([f"{_headline(outcome)}.", *reasons(outcome)]),
        metadata=_metadata(outcome),
    )


def _headline(outcome: Outcome) -> str:
    different, every = len(outcome.unexplained), len(outcome.differences)
    if every > different:
        return f"{every} of {len(outcome.pairs):,} figures differ, {every - different} explained"
    return f"{every or 'None'} of {len(outcome.pairs):,} figures differ"


def _metadata(outcome: Outcome) -> dict[str, Any]:
    # What nothing explains comes first.
    shown = sorted(outcome.differences, key=lambda difference: difference.explained)[:_MOST_SHOWN]
    rows = [
        {
            "month": month_of(each.pair.window),
            "of": f"{each.pair.question.about} {each.pair.name} ({each.pair.subject_id})",
            "figure": f"{each.pair.title} {each.pair.currency}",
            "Harvest": f"{each.pair.harvest.normalize():f}",
            "warehouse": f"{each.pair.warehouse.normalize():f}",
            "explained": "changed since the last load" if each.explained else "",
        }
        for each in shown
    ]
    return {
        "compared_at": dg.MetadataValue.timestamp(outcome.at),
        "days_compared": days_in_words(outcome.compared) or "none",
        "figures_compared": len(outcome.pairs),
        "requests": outcome.requests,
        "differences": len(outcome.differences),
        **({"first_differences": dg.MetadataValue.md(markdown(rows))} if rows else {}),
        "person": f"{outcome.identity.user_name}, {outcome.identity.role}",
    }
