"""Ticks of schedules as the daemon evaluates them, at a time of the test's choice."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from unittest.mock import patch

import dagster as dg
from dagster._core.test_utils import create_run_for_test

from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.datasets import Cron, Dataset, default_update, report_datasets
from harvest_pipeline.options import RunOptions
from harvest_pipeline.schedules import all_schedules
from harvest_pipeline.settings import Settings

NIGHT = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)


class NothingYet:
    """A Dagster instance in which no run has ever been launched; opening a real one takes 80 ms."""

    def get_runs(self, *_: Any, **__: Any) -> list[dg.DagsterRun]:
        return []


def settings(datasets: Iterable[Dataset] = (), **variables: str) -> Settings:
    """Settings with these variables (`days_back="3"`), and these datasets beside the reports."""
    given = {f"HARVEST_{name.upper()}": value for name, value in variables.items()}
    read = Settings.from_mapping({"HARVEST_START_DATE": "2025-01-01", **given})
    return replace(read, datasets=(*report_datasets(), *datasets))


def dataset(report: str, cron: str, zone: str = "UTC", **options: Any) -> Dataset:
    """The dataset `mine` of a report, at these times."""
    update = options.pop("update", None)
    fixed = RunOptions.model_validate(options)
    return Dataset(
        "mine",
        REPORTS[report],
        fixed,
        update or default_update(REPORTS[report], fixed),
        Cron(cron, zone),
    )


def schedule(of: Settings, name: str) -> dg.ScheduleDefinition:
    """The schedule of that name."""
    return next(each for each in all_schedules([of]) if each.name == name)


def evaluated(
    schedule: dg.ScheduleDefinition, at: datetime, instance: Any, now: datetime | None = None
) -> Any:
    """What the tick `at` asks for when it is evaluated `now` (without it: at once)."""
    context = dg.build_schedule_context(scheduled_execution_time=at)
    with (
        dg.partition_loading_context(effective_dt=now or at),
        patch.object(type(context), "instance", instance),
    ):
        return schedule.evaluate_tick(context)


def requested(schedule: dg.ScheduleDefinition, at: datetime, instance: Any) -> dg.RunRequest:
    """The one run that the tick asks for."""
    (request,) = evaluated(schedule, at, instance).run_requests
    return request


def days(request: dg.RunRequest) -> tuple[date, date]:
    """The first and the last day of the run's partitions."""
    first = request.tags["dagster/asset_partition_range_start"]
    return (
        date.fromisoformat(first),
        date.fromisoformat(request.tags["dagster/asset_partition_range_end"]),
    )


def finish(
    instance: dg.DagsterInstance,
    request: dg.RunRequest,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS,
) -> None:
    """A run of that request has ended."""
    create_run_for_test(instance, job_name="any", tags=dict(request.tags), status=status)
