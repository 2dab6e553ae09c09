"""Schedules: what is read again, and when, without anybody asking. All are off until switched on.

Belongs here: the times of scheduled runs, and the days and the parameters that each is launched
with.
Does not belong here: what a run does; what missed ticks add to it (ticks.py).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import dagster as dg

from harvest_pipeline import jobs
from harvest_pipeline.asking import REPORT_OPTIONS
from harvest_pipeline.datasets import Cron, Dataset, Update
from harvest_pipeline.options import OptionsError, WindowOptions
from harvest_pipeline.partitions import EXACT_WINDOW, ONLY_CHANGED, existing_days, range_tags
from harvest_pipeline.settings import Settings
from harvest_pipeline.ticks import (
    MOST_DAYS_MISSED,
    days_due,
    first_due,
    has_window,
    made_up_for,
    tick_of,
    tick_tags,
)

_NIGHTLY = "0 5 * * *"
#: Half an hour apart, so that neither waits for the other, and not on the hour, when everybody's
#: schedules and the nightly one begin.
_SMALL_REPORTS, _INVOICES = "15 * * * *", "45 * * * *"
_MADE_UP = (
    f"Days of runs that were missed or failed are read by the next one, up to {MOST_DAYS_MISSED} "
    "days back."
)

_RunRequests = Callable[[dg.ScheduleEvaluationContext], Iterable[dg.RunRequest]]


def all_schedules(accounts: Sequence[Settings]) -> list[dg.ScheduleDefinition]:
    """`<schema>_recent_days`, `<schema>_small_reports` and `<schema>_invoices` for each account, as
    far as it has such reports, and `<schema>_<dataset>` for each dataset with times of its own;
    with several accounts also `all_accounts_recent_days`.

    The latter launches one run for each account, so that none waits for another. The hourly ones
    have no such twin: they are switched on for the accounts that need them.
    """
    schedules = [schedule for settings in accounts for schedule in _account_schedules(settings)]
    with_days = [settings for settings in accounts if _reports_with_days(settings)]
    if len(accounts) > 1 and with_days:
        schedules.append(
            _recent_days(
                jobs.ALL_ACCOUNTS,
                jobs.ALL_ACCOUNTS,
                with_days,
                "in one run for each account; switch the schedules of single accounts off then",
            )
        )
    return schedules


def _account_schedules(settings: Settings) -> Iterator[dg.ScheduleDefinition]:
    with_days = _reports_with_days(settings)
    if with_days:
        name = jobs.all_reports_job(settings.schema)
        yield _recent_days(settings.schema, name, [settings], "in one run")
    if len(jobs.reports(settings)) > len(with_days):
        yield _small_reports(settings)
    if invoices := [report for report in with_days if report.report.group == "invoices"]:
        yield _invoices(settings, invoices)
    for dataset in settings.datasets:
        if dataset.cron:
            yield _dataset(settings, dataset, dataset.cron)


def _reports_with_days(settings: Settings) -> list[Dataset]:
    return [report for report in jobs.reports(settings) if report.has_partitions]


def _recent_days(
    name: str, job_name: str, accounts: Sequence[Settings], runs: str
) -> dg.ScheduleDefinition:
    """The last HARVEST_DAYS_BACK days and today again, because people log and correct time late,
    and everything that has no day."""
    name = f"{name}_recent_days"
    settings = accounts[0]  # the days and the time zone are those of the project
    cron = Cron(_NIGHTLY, settings.timezone)

    def run_requests(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        for account in accounts:
            due = days_due(context, name, cron, account.schema)
            window = _recent(account).window(due, existing_days(account))
            # The others of the job over all accounts are not meant.
            only = jobs.reports(account) if len(accounts) > 1 else None
            tags = tick_tags(context, cron, account.schema) | range_tags(window)
            yield _request(account, tags, only)

    description = (
        f"Every night at 05:00: the last {settings.days_back} days and today (HARVEST_DAYS_BACK), "
        f"and all reports without a day, {runs}. {_MADE_UP}"
    )
    return _schedule(name, job_name, cron, description, run_requests)


def _small_reports(settings: Settings) -> dg.ScheduleDefinition:
    """Everything that is read whole; there are no days that could have been missed."""
    cron = Cron(_SMALL_REPORTS, settings.timezone)

    def run_requests(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        yield _request(settings, tick_tags(context, cron, settings.schema))

    job_name = jobs.small_reports_job(settings.schema)
    description = "Every hour at 15 past: all reports without a day, in one run."
    return _schedule(job_name, job_name, cron, description, run_requests)


def _invoices(settings: Settings, reports: Sequence[Dataset]) -> dg.ScheduleDefinition:
    """What customers pay, and are reminded of, within the hour."""
    name = f"{settings.schema}_invoices"
    cron = Cron(_INVOICES, settings.timezone)

    def run_requests(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        due = days_due(context, name, cron, settings.schema)
        window = _recent(settings).window(due, existing_days(settings))
        tags = tick_tags(context, cron, settings.schema) | range_tags(window)
        yield _request(settings, tags, reports)

    description = (
        f"Every hour at 45 past: invoices, their messages and payments, of the last "
        f"{settings.days_back} days and today (HARVEST_DAYS_BACK), in one run. {_MADE_UP}"
    )
    job_name = jobs.group_job(settings.schema, "invoices")
    return _schedule(name, job_name, cron, description, run_requests)


def _dataset(settings: Settings, dataset: Dataset, cron: Cron) -> dg.ScheduleDefinition:
    """A dataset at the times that its owner has set."""
    name = jobs.dataset_job(settings.schema, dataset.name)

    def run_requests(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        tags = tick_tags(context, cron, settings.schema)
        if dataset.has_partitions:
            options = dataset.options if has_window(dataset.options) else _recent(settings)
            due = days_due(context, name, cron, settings.schema)
            window = options.window(due, existing_days(settings))
            yield _request(settings, tags | range_tags(window) | EXACT_WINDOW)
        else:
            first = first_due(context, name, cron, settings.schema)
            missed = made_up_for(dataset, first, tick_of(context, cron), settings)
            yield _request(settings, tags, parameters=missed)

    description = f"The dataset {dataset.name}, at the times that harvest.yaml says."
    if dataset.has_partitions and not has_window(dataset.options):
        description += f" The last {settings.days_back} days and today (HARVEST_DAYS_BACK)."
    if dataset.update is not Update.REPLACE:
        description += f" {_MADE_UP}"
    return _schedule(name, name, cron, description, run_requests)


def _recent(settings: Settings) -> WindowOptions:
    return WindowOptions(days_back=settings.days_back)


def _request(
    settings: Settings,
    tags: dict[str, str],
    only: Sequence[Dataset] | None = None,
    parameters: dict[str, str] | None = None,
) -> dg.RunRequest:
    config = {"resources": {REPORT_OPTIONS: {"config": parameters}}} if parameters else None
    return dg.RunRequest(
        # A tick that is repeated after a crash launches what it had not launched yet.
        run_key=settings.schema,
        tags=tags | ONLY_CHANGED,
        run_config=config,
        asset_selection=None if only is None else jobs.asset_keys(settings, only),
        # The UI's "Launch all" asks for no checks where none are named, which Dagster refuses: a
        # report and its checks are one step.
        asset_check_keys=None if only is None else jobs.check_keys(settings, only),
    )


def _schedule(
    name: str, job_name: str, cron: Cron, description: str, run_requests: _RunRequests
) -> dg.ScheduleDefinition:
    def requests_or_reason(
        context: dg.ScheduleEvaluationContext,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        try:
            requests = list(run_requests(context))
        except OptionsError as error:  # the window has no day, or none yet
            yield dg.SkipReason(str(error))
        else:
            yield from requests

    return dg.ScheduleDefinition(
        name=name,
        description=description,
        job_name=job_name,
        cron_schedule=cron.expression,
        execution_timezone=cron.timezone,
        execution_fn=requests_or_reason,
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )
