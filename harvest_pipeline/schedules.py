"""The schedules of datasets; all are off until switched on."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import dagster as dg

from harvest_pipeline import jobs
from harvest_pipeline.datasets import Cron, Dataset
from harvest_pipeline.options import OptionsError
from harvest_pipeline.partitions import ONLY_CHANGED, existing_days, range_tags
from harvest_pipeline.settings import Settings


def dataset_schedules(accounts: Sequence[Settings]) -> list[dg.ScheduleDefinition]:
    """`<schema>_<dataset>` for each dataset that has times of its own."""
    return [
        _schedule(settings, dataset, dataset.cron)
        for settings in accounts
        for dataset in settings.datasets
        if dataset.cron
    ]


def _schedule(settings: Settings, dataset: Dataset, cron: Cron) -> dg.ScheduleDefinition:
    name = jobs.dataset_job(settings.schema, dataset.name)

    def request_or_reason(
        context: dg.ScheduleEvaluationContext,
    ) -> dg.RunRequest | dg.SkipReason:
        if not dataset.has_partitions:  # the run counts from the day of its tick
            return dg.RunRequest(tags=ONLY_CHANGED)
        day = context.scheduled_execution_time.astimezone(ZoneInfo(cron.timezone)).date()
        try:
            days = settings.days_of(dataset, day, existing_days(settings))
        except OptionsError as error:  # none of these days is there, or none yet
            return dg.SkipReason(str(error))
        return dg.RunRequest(tags=ONLY_CHANGED | range_tags(days))

    description = f"The dataset {dataset.name}, at the times that harvest.yaml says."
    if dataset.has_partitions and not dataset.options.has_window:
        description += f" The last {settings.days_back} days and today (HARVEST_DAYS_BACK)."
    return dg.ScheduleDefinition(
        name=name,
        description=description,
        job_name=name,
        cron_schedule=cron.expression,
        execution_timezone=cron.timezone,
        execution_fn=request_or_reason,
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )
