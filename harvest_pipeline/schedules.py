"""Schedules: what is read again, and when, without anybody asking. All are off until switched on.

Belongs here: the times and the windows of scheduled runs.
Does not belong here: what a run does.
"""

from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo

import dagster as dg

from harvest_pipeline.jobs import ALL_ACCOUNTS, all_reports_job, check_keys, report_keys
from harvest_pipeline.partitions import range_tags
from harvest_pipeline.settings import Settings


def all_schedules(accounts: Sequence[Settings]) -> list[dg.ScheduleDefinition]:
    """One `<schema>_recent_days` for each account; with several also `all_accounts_recent_days`.

    The latter launches one run for each account, so that none waits for another.
    """
    schedules = [
        _recent_days(
            settings.schema,
            all_reports_job(settings.schema),
            [settings],
            "in one run",
        )
        for settings in accounts
    ]
    if len(accounts) > 1:
        schedules.append(
            _recent_days(
                ALL_ACCOUNTS,
                ALL_ACCOUNTS,
                accounts,
                "in one run for each account; switch the schedules of single accounts off then",
            )
        )
    return schedules


def _recent_days(
    name: str, job_name: str, accounts: Sequence[Settings], runs: str
) -> dg.ScheduleDefinition:
    """Every night at 05:00: the last HARVEST_DAYS_BACK days and today again, because people log and
    correct time late, and everything that has no day."""
    settings = accounts[0]  # the window and the time zone are those of the project

    def run_requests(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        today = context.scheduled_execution_time.astimezone(ZoneInfo(settings.timezone)).date()
        tags = range_tags(settings.recent_days(today))
        for account in accounts:
            yield dg.RunRequest(
                # A tick that is repeated after a crash launches what it had not launched yet.
                run_key=account.schema,
                tags=tags,
                # The UI's "Launch all" asks for no checks where none are named, which Dagster
                # refuses: a report and its checks are one step.
                asset_selection=report_keys(account.schema) if len(accounts) > 1 else None,
                asset_check_keys=check_keys(account.schema) if len(accounts) > 1 else None,
            )

    return dg.ScheduleDefinition(
        name=f"{name}_recent_days",
        description=(
            f"Every night: the last {settings.days_back} days and today (HARVEST_DAYS_BACK), and "
            f"all reports without a day, {runs}."
        ),
        job_name=job_name,
        cron_schedule="0 5 * * *",
        execution_timezone=settings.timezone,
        execution_fn=run_requests,
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )
