"""Schedules: what is read again, and when, without anybody asking. All are off until switched on.

Belongs here: the times and the windows of scheduled runs.
Does not belong here: what a run does.
"""

from zoneinfo import ZoneInfo

import dagster as dg

from harvest_pipeline.jobs import all_reports_job
from harvest_pipeline.partitions import range_tags
from harvest_pipeline.settings import Settings


def recent_days_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Every night at 05:00 in the account's time zone, one run over all reports.

    It reads the last HARVEST_DAYS_BACK days and today again, because people log and correct time
    late, and everything that has no day.
    """

    def run_request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        today = context.scheduled_execution_time.astimezone(ZoneInfo(settings.timezone)).date()
        return dg.RunRequest(tags=range_tags(settings.recent_days(today)))

    return dg.ScheduleDefinition(
        name=f"{settings.schema}_recent_days",
        description=(
            f"Every night: the last {settings.days_back} days and today (HARVEST_DAYS_BACK), and "
            "all reports without a day, in one run."
        ),
        job_name=all_reports_job(settings.schema),
        cron_schedule="0 5 * * *",
        execution_timezone=settings.timezone,
        execution_fn=run_request,
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )
