"""The schedules of datasets; all are off until switched on."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import dagster as dg

from harvest_pipeline import jobs
from harvest_pipeline.partitions import ONLY_CHANGED, existing_days, range_tags
from harvest_pipeline.settings import Account
from harvest_pipeline.settings.datasets import Dataset, Schedule
from harvest_pipeline.settings.parameters import OptionsError


def dataset_schedules(accounts: Sequence[Account]) -> list[dg.ScheduleDefinition]:
    """`<schema>_<dataset>` for each dataset that has times of its own."""
    return [
        _schedule(account, dataset, dataset.schedule)
        for account in accounts
        for dataset in account.datasets
        if dataset.schedule
    ]


def _schedule(account: Account, dataset: Dataset, schedule: Schedule) -> dg.ScheduleDefinition:
    name, timezone = jobs.dataset_job(account.name, dataset.name), account.zone_of(dataset)

    def request_or_reason(
        context: dg.ScheduleEvaluationContext,
    ) -> dg.RunRequest | dg.SkipReason:
        if not dataset.has_partitions:  # the run counts from the day of its tick
            return dg.RunRequest(tags=ONLY_CHANGED)
        day = context.scheduled_execution_time.astimezone(ZoneInfo(timezone)).date()
        try:
            days = account.project.days_of(dataset, day, existing_days(account.project))
        except OptionsError as error:  # none of these days is there, or none yet
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
