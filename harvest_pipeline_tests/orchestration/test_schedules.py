"""Schedules: what each asks for, and what stands in the UI about it."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.tags import SCHEDULED_EXECUTION_TIME_TAG
from dagster._core.test_utils import freeze_time

from harvest_pipeline.catalogue.reports import REPORTS, record_of
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.orchestration.jobs import dataset_schedules
from harvest_pipeline.settings import load_project
from harvest_pipeline.settings.datasets import Update
from harvest_pipeline_tests.conftest import TODAY, Project
from harvest_pipeline_tests.orchestration.ticks import (
    NIGHT,
    dataset,
    days,
    evaluated,
    requested,
    schedule,
    settings,
)
from harvest_pipeline_tests.projects import project

NOVEMBER_20 = date(2026, 11, 20)
SMALL = {name for name, report in REPORTS.items() if not record_of(report).day}


def job_of(accounts: Any, name: str) -> set[str]:
    """The names of the assets of a job."""
    keys = build_definitions(accounts.project).resolve_job_def(name).asset_layer.selected_asset_keys
    return {key.path[-1] for key in keys}


def test_all_schedules_are_off_and_say_in_the_ui_what_they_do() -> None:
    mine = settings([dataset("daily", "0 6 * * 1-5")], days_back="20")
    schedules = {each.name: each for each in build_definitions(mine.project).schedules or []}
    assert set(schedules) == {"harvest_mine", "harvest_reconcile"}
    for each in schedules.values():
        assert isinstance(each, dg.ScheduleDefinition)
        assert each.default_status is dg.DefaultScheduleStatus.STOPPED
        assert each.description
    assert schedules["harvest_mine"].description == (
        "The dataset mine, at the times that harvest.yaml says. The last 20 days and today "
        "(HARVEST_DAYS_BACK)."
    )


def test_reports_that_are_switched_off_are_in_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "harvest.yaml"
    off = [*SMALL, "invoices", "invoice_messages", "invoice_payments", "daily"]
    file.write_text(f"disabled_reports: [{', '.join(off)}]")
    monkeypatch.setenv("HARVEST_CONFIG", str(file))
    (mine,) = load_project().accounts
    assert job_of(mine, "harvest_all_reports") & {*REPORTS} == {*REPORTS} - {*off}


def test_an_account_of_own_datasets_only_has_no_schedule_but_theirs() -> None:
    mine = dataset("daily", "0 6 * * *")
    bare = build_definitions(project(mine, without=REPORTS))
    assert {each.name for each in bare.schedules or []} == {"harvest_mine"}
    assert {job.name for job in bare.jobs or []} == {"harvest_mine"}
    own = [mine.model_copy(update={"account": name}) for name in ("acme", "cedar")]
    twice = project(*own, accounts=("acme", "cedar"), without=REPORTS)
    names = ["acme_mine", "cedar_mine"]
    assert [each.name for each in dataset_schedules(twice.accounts)] == names
    assert {job.name for job in build_definitions(twice).jobs or []} == {*names}


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ({}, (date(2026, 10, 21), NOVEMBER_20)),  # HARVEST_DAYS_BACK
        ({"days_back": 0}, (NOVEMBER_20, NOVEMBER_20)),
        (
            {"days_back_to_start_from": 10, "days_back_to_end_at": 5},
            (date(2026, 11, 10), date(2026, 11, 15)),
        ),
        ({"start_date": "2026-03-01"}, (date(2026, 3, 1), NOVEMBER_20)),
        (
            {"start_date": "14 days back", "end_date": "yesterday"},
            (date(2026, 11, 6), date(2026, 11, 19)),
        ),
        ({"days_back": 3660}, (date(2025, 1, 1), NOVEMBER_20)),  # HARVEST_START_DATE
    ],
)
def test_a_dataset_is_read_by_itself_over_exactly_the_days_of_its_window(
    window: dict[str, Any], expected: tuple[date, date]
) -> None:
    mine = settings([dataset("daily", "0 5 * * *", project_ids=[7], **window)])
    request = requested(schedule(mine), NIGHT)
    assert days(request) == expected
    assert not request.run_config  # what is fixed for it, the asset knows
    assert job_of(mine, schedule(mine).job_name) == {"mine"}


def test_a_dataset_without_partitions_is_launched_without_days_and_parameters() -> None:
    mine = settings([dataset("daily", "0 5 * * *", update=Update.MERGE, days_back=3)])
    request = requested(schedule(mine), NIGHT)
    assert not [tag for tag in request.tags if "partition" in tag]
    assert not request.run_config


def test_the_times_of_a_dataset_are_in_its_own_time_zone() -> None:
    mine = settings([dataset("daily", "0 6 * * 1-5", "Asia/Kolkata")], timezone="Europe/Berlin")
    assert schedule(mine).execution_timezone == "Asia/Kolkata"
    assert schedule(mine).cron_schedule == "0 6 * * 1-5"


@pytest.mark.parametrize(
    ("window", "reason"),
    [
        (
            {"start_date": "2024-03-01", "end_date": "2024-03-31"},
            "start_date is 2024-03-01, and the first partition is 2025-01-01; choose a later day, "
            "or set HARVEST_START_DATE to an earlier one.",
        ),
        (
            {"start_date": "2027-01-01", "end_date": "2027-01-31"},
            "No day of the window has a partition: these are 2025-01-01 to 2026-11-20; choose "
            "other days, or set HARVEST_START_DATE to an earlier one.",
        ),
    ],
)
def test_a_window_without_a_day_is_skipped_with_the_reason(
    window: dict[str, Any], reason: str
) -> None:
    mine = settings([dataset("daily", "0 5 * * *", **window)])
    result = evaluated(schedule(mine), NIGHT)
    assert not result.run_requests
    assert result.skip_message == reason


def test_a_tick_that_is_tried_out_ahead_of_time_asks_for_no_day_that_is_not_there() -> None:
    later = schedule(settings([dataset("daily", "0 5 * * *", days_back=5)]))
    request = requested(later, NIGHT + timedelta(days=3), now=NIGHT)
    assert days(request) == (date(2026, 11, 18), NOVEMBER_20)


def test_what_a_schedule_asks_for_is_what_is_read(project: Project, tmp_path: Path) -> None:
    """The window has become the partitions of the run, and is not applied to them once more."""
    (tmp_path / "harvest.yaml").write_text(
        """
datasets:
  - name: settled_expenses
    report: project_expenses
    window: {days_back_to_start_from: 10, days_back_to_end_at: 5}
    schedule: {cron: "0 6 * * *", timezone: Europe/Berlin}
"""
    )
    project.set(HARVEST_CONFIG=str(tmp_path / "harvest.yaml"))
    definitions = build_definitions()
    tick = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
    assert tick.date() == TODAY
    request = requested(definitions.resolve_schedule_def("harvest_settled_expenses"), tick)
    with freeze_time(tick):
        result = definitions.resolve_job_def("harvest_settled_expenses").execute_in_process(
            instance=project.instance, tags=dict(request.tags), run_config=request.run_config
        )
    assert result.success
    first, last = date(2026, 11, 10), date(2026, 11, 15)
    assert project.query("SELECT window_first, window_last FROM _loads") == [(first, last)]
    assert project.query("SELECT count(*) FROM settled_expenses") == [
        (sum(first <= row["spent_date"] <= last for row in project.truth("expenses")),)
    ]
    partitions = project.instance.get_materialized_partitions(
        dg.AssetKey(["harvest", "settled_expenses"])
    )
    assert partitions == {f"2026-11-{day}" for day in range(10, 16)}


def test_a_dataset_without_partitions_counts_from_the_day_of_its_tick_however_late_it_runs(
    project: Project, tmp_path: Path
) -> None:
    """Dagster launches the last tick that passed while its daemon was off. An append dataset of
    yesterday would else have the same day twice, and never the one before."""
    (tmp_path / "harvest.yaml").write_text(
        """
datasets:
  - name: yesterday
    report: daily
    update: append
    window: {days_back_to_start_from: 1, days_back_to_end_at: 1}
    schedule: {cron: "0 5 * * *", timezone: Pacific/Auckland}
"""
    )
    project.set(HARVEST_CONFIG=str(tmp_path / "harvest.yaml"))
    job = build_definitions().resolve_job_def("harvest_yesterday")
    # 05:00 of 18 November in Auckland.
    late = {SCHEDULED_EXECUTION_TIME_TAG: "2026-11-17T16:00:00+00:00"}
    with freeze_time(datetime(2026, 11, 20, 10, 0, tzinfo=UTC)):
        for tags in (late, {}):
            assert job.execute_in_process(instance=project.instance, tags=tags).success
    assert project.query("SELECT window_first, window_last FROM _loads ORDER BY loaded_at") == [
        (day, day) for day in (date(2026, 11, 17), date(2026, 11, 19))
    ]
