"""One run makes up for those that came to nothing: the daemon was off, or the run failed."""

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.daemon import get_default_daemon_logger
from dagster._scheduler.scheduler import launch_scheduled_runs

from harvest_pipeline.datasets import Update
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.schedules import all_schedules
from harvest_pipeline_tests.conftest import Project
from harvest_pipeline_tests.dagster_project.ticks import (
    NIGHT,
    dataset,
    days,
    evaluated,
    finish,
    requested,
    schedule,
    settings,
)

DAY = timedelta(days=1)
TODAY = NIGHT.date()


@pytest.fixture(scope="module")
def dagster() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def instance(dagster: dg.DagsterInstance) -> dg.DagsterInstance:
    """A Dagster in which nothing has run yet."""
    dagster.wipe()
    return dagster


def test_without_missed_nights_the_window_is_the_usual_one(instance: dg.DagsterInstance) -> None:
    nightly = schedule(settings(days_back="3"), "harvest_recent_days")
    for night in (NIGHT - DAY, NIGHT):
        request = requested(nightly, night, instance)
        assert days(request) == (night.date() - 3 * DAY, night.date())
        finish(instance, request)


@pytest.mark.parametrize("missed", [1, 3, 30])
def test_the_night_after_missed_ones_reads_from_the_first_day_that_the_first_would_have_read(
    instance: dg.DagsterInstance, missed: int
) -> None:
    nightly = schedule(settings(days_back="3"), "harvest_recent_days")
    finish(instance, requested(nightly, NIGHT - (missed + 1) * DAY, instance))
    assert days(requested(nightly, NIGHT, instance)) == (TODAY - (3 + missed) * DAY, TODAY)


@pytest.mark.parametrize(
    "status",
    [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.STARTED],
)
def test_nights_that_failed_or_have_not_ended_count_as_missed(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    nightly = schedule(settings(days_back="3"), "harvest_recent_days")
    finish(instance, requested(nightly, NIGHT - 3 * DAY, instance))
    for night in (NIGHT - 2 * DAY, NIGHT - DAY):
        finish(instance, requested(nightly, night, instance), status)
    assert days(requested(nightly, NIGHT, instance)) == (TODAY - 5 * DAY, TODAY)


def test_a_schedule_that_was_off_for_months_goes_back_31_days_and_no_further(
    instance: dg.DagsterInstance,
) -> None:
    nightly = schedule(settings(days_back="3"), "harvest_recent_days")
    finish(instance, requested(nightly, NIGHT - 200 * DAY, instance))
    assert days(requested(nightly, NIGHT, instance)) == (TODAY - 34 * DAY, TODAY)


def test_nothing_before_the_start_date_is_made_up_for(instance: dg.DagsterInstance) -> None:
    young = settings(days_back="3", start_date="2026-11-15")
    nightly = schedule(young, "harvest_recent_days")
    finish(instance, requested(nightly, NIGHT - 5 * DAY, instance))
    assert days(requested(nightly, NIGHT, instance)) == (date(2026, 11, 15), TODAY)


def test_a_tick_that_is_evaluated_again_asks_for_the_same(instance: dg.DagsterInstance) -> None:
    """As after a crash of the daemon: it finds its own run by these tags and this key."""
    nightly = schedule(settings(days_back="3"), "harvest_recent_days")
    finish(instance, requested(nightly, NIGHT - 3 * DAY, instance))
    first = requested(nightly, NIGHT, instance)
    finish(instance, first, dg.DagsterRunStatus.STARTED)
    assert requested(nightly, NIGHT, instance) == first


def test_a_tick_whose_run_has_succeeded_has_nothing_left_to_make_up_for(
    instance: dg.DagsterInstance,
) -> None:
    nightly = schedule(settings(days_back="3"), "harvest_recent_days")
    finish(instance, requested(nightly, NIGHT - 3 * DAY, instance))
    finish(instance, requested(nightly, NIGHT, instance))
    assert days(requested(nightly, NIGHT, instance)) == (TODAY - 3 * DAY, TODAY)


def test_what_another_schedule_has_read_makes_up_for_nothing(instance: dg.DagsterInstance) -> None:
    mine = settings([dataset("daily", "0 5 * * *", days_back=1)], days_back="3")
    nightly, own = schedule(mine, "harvest_recent_days"), schedule(mine, "harvest_mine")
    finish(instance, requested(nightly, NIGHT - 3 * DAY, instance))
    finish(instance, requested(own, NIGHT - DAY, instance))
    assert days(requested(nightly, NIGHT, instance)) == (TODAY - 5 * DAY, TODAY)
    assert days(requested(own, NIGHT, instance)) == (TODAY - DAY, TODAY)


def test_each_account_of_a_schedule_over_all_has_its_own_missed_nights(
    instance: dg.DagsterInstance,
) -> None:
    both = [settings(days_back="3", schema=name) for name in ("acme", "blue_sky")]
    nightly = next(s for s in all_schedules(both) if s.name == "all_accounts_recent_days")
    for night in (NIGHT - 2 * DAY, NIGHT - DAY):
        acme, blue_sky = evaluated(nightly, night, instance).run_requests
        finish(instance, acme)
        ended = night == NIGHT - 2 * DAY
        status = dg.DagsterRunStatus.SUCCESS if ended else dg.DagsterRunStatus.FAILURE
        finish(instance, blue_sky, status)
    acme, blue_sky = evaluated(nightly, NIGHT, instance).run_requests
    assert days(acme) == (TODAY - 3 * DAY, TODAY)
    assert days(blue_sky) == (TODAY - 4 * DAY, TODAY)


def test_hours_missed_add_the_days_that_they_were_in(instance: dg.DagsterInstance) -> None:
    hourly = schedule(settings(days_back="3"), "harvest_invoices")
    noon = datetime(2026, 11, 20, 12, 45, tzinfo=UTC)
    finish(instance, requested(hourly, noon - timedelta(hours=6), instance))
    assert days(requested(hourly, noon, instance)) == (TODAY - 3 * DAY, TODAY)
    # From 19 November, 20:45, to midnight there were three more.
    instance.wipe()
    finish(instance, requested(hourly, noon - timedelta(hours=16), instance))
    assert days(requested(hourly, noon, instance)) == (TODAY - 4 * DAY, TODAY)


def test_days_without_a_tick_are_not_missed(instance: dg.DagsterInstance) -> None:
    """A dataset that is read on Mondays; 16 November 2026 is one."""
    weekly = schedule(settings([dataset("daily", "0 6 * * 1", days_back=2)]), "harvest_mine")
    monday = datetime(2026, 11, 16, 6, 0, tzinfo=UTC)
    finish(instance, requested(weekly, monday - 7 * DAY, instance))
    assert days(requested(weekly, monday, instance)) == (monday.date() - 2 * DAY, monday.date())
    later = monday + 14 * DAY
    first = monday.date() - 2 * DAY + 7 * DAY
    finish(instance, requested(weekly, monday, instance))
    assert days(requested(weekly, later, instance)) == (first, later.date())


def test_a_window_with_two_ends_is_extended_at_its_beginning_only(
    instance: dg.DagsterInstance,
) -> None:
    window = {"days_back_to_start_from": 10, "days_back_to_end_at": 5}
    own = schedule(settings([dataset("daily", "0 5 * * *", **window)]), "harvest_mine")
    finish(instance, requested(own, NIGHT - 4 * DAY, instance))
    assert days(requested(own, NIGHT, instance)) == (TODAY - 13 * DAY, TODAY - 5 * DAY)


@pytest.mark.parametrize(
    ("fixed", "parameters"),
    [
        (
            {"update": Update.MERGE, "days_back": 2},
            {"start_date": "2026-11-15", "end_date": "2026-11-20"},
        ),
        (
            {"update": Update.APPEND, "days_back_to_start_from": 1, "days_back_to_end_at": 1},
            {"start_date": "2026-11-16", "end_date": "2026-11-19"},
        ),
        ({"updated_since_days_back": 1}, {"updated_since": "2026-11-16"}),
        (
            {"updated_since_days_back": 1, "days_back": 60},
            {"start_date": "2026-09-18", "end_date": "2026-11-20", "updated_since": "2026-11-16"},
        ),
        # It reads everything since then anyway.
        ({"updated_since": "2026-11-01"}, None),
        # Its table is what the last read returned.
        ({"update": Update.REPLACE, "days_back": 2}, None),
    ],
)
def test_a_dataset_without_partitions_makes_up_for_missed_days_by_the_parameters_of_its_run(
    instance: dg.DagsterInstance, fixed: dict[str, Any], parameters: dict[str, str] | None
) -> None:
    """Three nights were missed: of 17, 18 and 19 November."""
    own = schedule(settings([dataset("daily", "0 5 * * *", **fixed)]), "harvest_mine")
    usual = requested(own, NIGHT - 4 * DAY, instance)
    assert not usual.run_config
    finish(instance, usual)
    config = requested(own, NIGHT, instance).run_config
    assert config == (
        {"resources": {"report_options": {"config": parameters}}} if parameters else {}
    )


def test_what_was_missed_by_a_dataset_without_partitions_is_counted_from_the_day_here(
    instance: dg.DagsterInstance,
) -> None:
    """When it is 06:00 on 20 November in Auckland, it is 17:00 on 19 November in UTC."""
    own = dataset("daily", "0 6 * * *", "Pacific/Auckland", updated_since_days_back=1)
    schedules = schedule(settings([own], timezone="UTC"), "harvest_mine")
    tick = datetime(2026, 11, 19, 17, 0, tzinfo=UTC)
    finish(instance, requested(schedules, tick - 2 * DAY, instance))
    (missed,) = requested(schedules, tick, instance).run_config["resources"].values()
    # The missed tick's day was 18 November in UTC, and one day back is the 17th.
    assert missed["config"] == {"updated_since": "2026-11-17"}


def test_missed_days_of_a_dataset_without_partitions_land_in_its_table(
    project: Project, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    (tmp_path / "harvest.yaml").write_text(
        """
datasets:
  - name: yesterday
    report: daily
    update: append
    window: {days_back_to_start_from: 1, days_back_to_end_at: 1}
    schedule: {cron: "0 5 * * *"}
"""
    )
    project.set(HARVEST_CONFIG=str(tmp_path / "harvest.yaml"))
    definitions = build_definitions()
    job = definitions.resolve_job_def("harvest_yesterday")
    for night in (NIGHT - 4 * DAY, NIGHT):
        request = requested(definitions.resolve_schedule_def("harvest_yesterday"), night, instance)
        if night == NIGHT:
            result = job.execute_in_process(
                instance=instance, tags=dict(request.tags), run_config=request.run_config
            )
            assert result.success
        finish(instance, request)
    # 16, 17, 18 and 19 November: of the nights of the 17th, 18th, 19th (missed) and of the 20th.
    there = {row["spent_date"] for row in project.truth("time_entries")}
    expected = {TODAY - back * DAY for back in (1, 2, 3, 4)} & there
    assert len(expected) >= 3
    assert project.query("SELECT DISTINCT spent_date FROM yesterday ORDER BY 1") == [
        (day,) for day in sorted(expected)
    ]


def test_a_daemon_that_was_off_for_three_nights_launches_one_run_over_all_that_it_missed(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler's own loop, on an instance whose dagster.yaml says nothing about schedules."""
    (tmp_path / "harvest.yaml").write_text(
        """
datasets:
  - name: recent
    report: daily
    window: {days_back: 3}
    schedule: {cron: "0 5 * * *"}
"""
    )
    monkeypatch.setenv("HARVEST_CONFIG", str(tmp_path / "harvest.yaml"))
    file = tmp_path / "project.py"
    file.write_text(
        "from harvest_pipeline.definitions import build_definitions\ndefs = build_definitions()\n"
    )
    origin = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(executable_path=sys.executable, python_file=str(file))
    )
    with WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as workspace:
        (entry,) = workspace.create_request_context().get_code_location_entries().values()
        assert entry.code_location, entry.load_error
        (repository,) = entry.code_location.get_repositories().values()
        with freeze_time(NIGHT - 4 * DAY - timedelta(hours=1)):
            instance.start_schedule(repository.get_schedule("harvest_recent"))
        # The night of the 16th, on time; then nothing until the evening of the 20th.
        (run,) = launched(workspace, NIGHT - 4 * DAY + timedelta(seconds=10))
        ended = DagsterEvent(DagsterEventType.RUN_SUCCESS.value, run.job_name)
        instance.report_dagster_event(ended, run.run_id)
        run, _ = launched(workspace, NIGHT + timedelta(hours=15))
        # The three nights of the 17th to the 19th were missed.
        assert run.tags["dagster/asset_partition_range_start"] == "2026-11-14"
        assert run.tags["dagster/asset_partition_range_end"] == "2026-11-20"
        assert run.status is dg.DagsterRunStatus.QUEUED
        assert len(launched(workspace, NIGHT + timedelta(hours=16))) == 2


def launched(workspace: WorkspaceProcessContext, now: datetime) -> list[dg.DagsterRun]:
    """All runs, the latest first, after the daemon has looked once whether anything is due."""
    with freeze_time(now):
        errors = list(
            launch_scheduled_runs(
                workspace, get_default_daemon_logger("SchedulerDaemon"), now, iteration_times={}
            )
        )
    assert not [error for error in errors if error]
    return list(workspace.instance.get_runs())
