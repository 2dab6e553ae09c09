"""Ticks of schedules as the daemon evaluates them, at a time of the test's choice."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg

from harvest_pipeline.orchestration.jobs import dataset_schedules
from harvest_pipeline.settings import Account
from harvest_pipeline.settings.datasets import Dataset, Schedule
from harvest_pipeline_tests import projects

NIGHT = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)


def settings(datasets: Iterable[Dataset] = (), **variables: str) -> Account:
    """An account with these variables (`days_back="3"`), and these datasets beside the reports."""
    given = {"start_date": "2025-01-01", **variables}
    return projects.project(*datasets, **given).accounts[0]


def dataset(report: str, cron: str, zone: str = "UTC", **options: Any) -> Dataset:
    """The dataset `mine` of a report, at these times."""
    times = Schedule(cron=cron, timezone=zone)
    return projects.dataset("mine", report, options.pop("update", None), schedule=times, **options)


def schedule(of: Account) -> dg.ScheduleDefinition:
    """The one schedule of a dataset."""
    (found,) = dataset_schedules([of])
    return found


def evaluated(schedule: dg.ScheduleDefinition, at: datetime, now: datetime | None = None) -> Any:
    """What the tick `at` asks for when it is evaluated `now` (without it: at once)."""
    context = dg.build_schedule_context(scheduled_execution_time=at)
    with dg.partition_loading_context(effective_dt=now or at):
        return schedule.evaluate_tick(context)


def requested(
    schedule: dg.ScheduleDefinition, at: datetime, now: datetime | None = None
) -> dg.RunRequest:
    """The one run that the tick asks for."""
    (request,) = evaluated(schedule, at, now).run_requests
    return request


def days(request: dg.RunRequest) -> tuple[date, date]:
    """The first and the last day of the run's partitions."""
    first = request.tags["dagster/asset_partition_range_start"]
    return (
        date.fromisoformat(first),
        date.fromisoformat(request.tags["dagster/asset_partition_range_end"]),
    )
