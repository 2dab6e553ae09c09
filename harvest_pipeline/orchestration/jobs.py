"""The jobs: all reports of an account, all accounts, and each dataset that has a schedule."""

from collections.abc import Iterable, Iterator, Sequence
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from harvest_pipeline.orchestration.models import model_keys
from harvest_pipeline.orchestration.narrow import AccountJob
from harvest_pipeline.orchestration.partitions import ONLY_CHANGED, existing_days, range_tags
from harvest_pipeline.settings import Account
from harvest_pipeline.settings.datasets import Dataset, Schedule
from harvest_pipeline.settings.parameters import OptionsError

#: The job over all accounts; it exists if there are several accounts.
ALL_ACCOUNTS = "all_accounts"


def all_reports_job(schema: str) -> str:
    """The name of the job over all reports of an account."""
    return f"{schema}_all_reports"


def dataset_job(schema: str, dataset: str) -> str:
    """The name of the job of a dataset that has a schedule."""
    return f"{schema}_{dataset}"


def reports(account: Account) -> list[Dataset]:
    """The reports of an account that are not switched off, without the user's own datasets.

    These have their own runs: a history dataset would otherwise get each day twice.
    """
    return [dataset for dataset in account.datasets if dataset.is_report]


def asset_keys(account: Account, datasets: Iterable[Dataset]) -> list[dg.AssetKey]:
    """The assets of these datasets of an account."""
    return [dg.AssetKey([account.name, dataset.name]) for dataset in datasets]


def all_jobs(accounts: Sequence[Account]) -> list[UnresolvedAssetJobDefinition]:
    """The jobs of every account; with several accounts also `all_accounts`.

    Each takes a partition or a range in the launchpad where one of its assets has partitions.
    """
    jobs: list[UnresolvedAssetJobDefinition] = [
        job for account in accounts for job in _account_jobs(account)
    ]
    everything = [key for account in accounts for key in _all_reports(account)]
    if len(accounts) > 1 and everything:
        description = (
            "All reports and models of all accounts, in one run: one account after the other."
        )
        # Its parameters have types that Dagster leaves unknown.
        jobs.append(dg.define_asset_job(ALL_ACCOUNTS, everything, description=description))  # pyright: ignore[reportUnknownMemberType]
    return jobs


def _account_jobs(account: Account) -> Iterator[AccountJob]:
    """`<schema>_all_reports`, if there are reports, and `<schema>_<dataset>` for each of the user's
    own datasets that has a schedule."""
    schema, every = account.name, reports(account)
    if every:
        description = f"All {len(every)} reports of the account {schema}, and its models."
        yield _job(all_reports_job(schema), _all_reports(account), description)
    for dataset in account.datasets:
        if dataset.schedule:
            description = f"The dataset {dataset.name} alone."
            name = dataset_job(schema, dataset.name)
            yield _job(name, asset_keys(account, [dataset]), description)


def _all_reports(account: Account) -> list[dg.AssetKey]:
    """The reports of an account and, if there are any, its models."""
    every = asset_keys(account, reports(account))
    return every and [*every, *model_keys(account)]


def _job(name: str, keys: list[dg.AssetKey], description: str) -> AccountJob:
    return AccountJob(name, dg.AssetSelection.assets(*keys), description=description)


def dataset_schedules(accounts: Sequence[Account]) -> list[dg.ScheduleDefinition]:
    """`<schema>_<dataset>` for each dataset that has its own schedule."""
    return [
        _schedule(account, dataset, dataset.schedule)
        for account in accounts
        for dataset in account.datasets
        if dataset.schedule
    ]


def _schedule(account: Account, dataset: Dataset, schedule: Schedule) -> dg.ScheduleDefinition:
    name, timezone = dataset_job(account.name, dataset.name), account.zone_of(dataset)

    def request_or_reason(
        context: dg.ScheduleEvaluationContext,
    ) -> dg.RunRequest | dg.SkipReason:
        if not dataset.has_partitions:  # the run counts from the day of its tick
            return dg.RunRequest(tags=ONLY_CHANGED)
        day = context.scheduled_execution_time.astimezone(ZoneInfo(timezone)).date()
        try:
            days = account.project.days_of(dataset, day, existing_days(account.project))
        except OptionsError as error:  # none of these days exists, or not yet
            return dg.SkipReason(str(error))
        return dg.RunRequest(tags=ONLY_CHANGED | range_tags(days))

    description = f"The dataset {dataset.name}, at the times that harvest.yaml says."
    if dataset.has_partitions and not dataset.window.has_window:
        description += f" The last {account.project.days_back} days and today (HARVEST_DAYS_BACK)."
    return dg.ScheduleDefinition(
        name=name,
        description=description,
        job_name=name,
        cron_schedule=schedule.cron,
        execution_timezone=timezone,
        execution_fn=request_or_reason,
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )
