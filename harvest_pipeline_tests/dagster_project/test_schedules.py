"""Schedules: what each asks for, and what stands in the UI about it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import freeze_time

from harvest_pipeline.catalogue.reports import REPORTS, record_of
from harvest_pipeline.config import account_settings
from harvest_pipeline.datasets import Update, report_datasets
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.schedules import all_schedules
from harvest_pipeline.settings import load_environment
from harvest_pipeline_tests.conftest import TODAY, Project
from harvest_pipeline_tests.dagster_project.ticks import (
    NIGHT,
    NothingYet,
    dataset,
    days,
    evaluated,
    requested,
    schedule,
    settings,
)

NONE = NothingYet()
NOVEMBER_20 = date(2026, 11, 20)
SMALL = {name for name, report in REPORTS.items() if not record_of(report).day}


def job_of(accounts: Any, name: str) -> set[str]:
    """The names of the assets of a job."""
    keys = build_definitions([accounts]).resolve_job_def(name).asset_layer.selected_asset_keys
    return {key.path[-1] for key in keys}


def test_all_schedules_are_off_and_say_in_the_ui_what_they_do() -> None:
    mine = settings([dataset("daily", "0 6 * * 1-5")], days_back="20")
    schedules = {each.name: each for each in build_definitions([mine]).schedules or []}
    assert set(schedules) == {
        "harvest_recent_days", "harvest_small_reports", "harvest_invoices", "harvest_mine",
        "harvest_reconcile", "harvest_equality",
    }  # fmt: skip
    for each in schedules.values():
        assert isinstance(each, dg.ScheduleDefinition)
        assert each.default_status is dg.DefaultScheduleStatus.STOPPED
        assert each.description
    missed = "Days of runs that were missed or failed are read by the next one, up to 31 days back."
    assert schedules["harvest_recent_days"].description == (
        "Every night at 05:00: the last 20 days and today (HARVEST_DAYS_BACK), and all reports "
        f"without a day, in one run. {missed}"
    )
    assert schedules["harvest_small_reports"].description == (
        "Every hour at 15 past: all reports without a day, in one run."
    )
    assert schedules["harvest_invoices"].description == (
        "Every hour at 45 past: invoices, their messages and payments, of the last 20 days and "
        f"today (HARVEST_DAYS_BACK), in one run. {missed}"
    )
    assert schedules["harvest_mine"].description == (
        "The dataset mine, at the times that harvest.yaml says. The last 20 days and today "
        f"(HARVEST_DAYS_BACK). {missed}"
    )


def test_the_nightly_schedule_reads_all_reports_of_the_last_days_and_today_in_one_run() -> None:
    mine = settings([dataset("daily", "0 6 * * *", update=Update.APPEND)], days_back="10")
    assert days(requested(schedule(mine, "harvest_recent_days"), NIGHT, NONE)) == (
        date(2026, 11, 10),
        NOVEMBER_20,
    )
    assert job_of(mine, "harvest_all_reports") == set(REPORTS)


def test_the_hourly_schedule_reads_whatever_has_no_day_and_names_no_days() -> None:
    mine = settings([dataset("clients", "0 6 * * *", update=Update.APPEND)])
    request = requested(schedule(mine, "harvest_small_reports"), NIGHT, NONE)
    assert not [tag for tag in request.tags if "partition" in tag]
    assert schedule(mine, "harvest_small_reports").job_name == "harvest_small_reports"
    assert job_of(mine, "harvest_small_reports") == SMALL


def test_the_schedule_of_invoices_can_be_launched_over_them_their_messages_and_payments() -> None:
    mine = settings(days_back="10")
    hourly = schedule(mine, "harvest_invoices")
    request = requested(hourly, NIGHT, NONE)
    assert days(request) == (date(2026, 11, 10), NOVEMBER_20)
    # As the daemon and the UI do it: with the assets and the checks that the request names.
    job = (
        build_definitions([mine])
        .resolve_job_def(hourly.job_name)
        .get_subset(
            asset_selection=set(request.asset_selection or []),
            asset_check_selection=set(request.asset_check_keys or []),
        )
    )
    assert {key.path[-1] for key in job.asset_layer.selected_asset_keys} == {
        "invoices", "invoice_messages", "invoice_payments",
    }  # fmt: skip
    assert job.asset_layer.asset_graph.asset_check_keys >= set(request.asset_check_keys or [])
    assert request.asset_check_keys


def test_reports_that_are_switched_off_are_in_no_job_and_no_schedule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "harvest.yaml"
    off = [*SMALL, "invoices", "invoice_messages", "invoice_payments", "daily"]
    file.write_text(f"disabled_reports: [{', '.join(off)}]")
    monkeypatch.setenv("HARVEST_CONFIG", str(file))
    (mine,) = account_settings(load_environment())
    assert [each.name for each in all_schedules([mine])] == ["harvest_recent_days"]
    assert job_of(mine, "harvest_all_reports") == set(REPORTS) - set(off)
    assert {job.name for job in build_definitions([mine]).jobs or []} == {
        "harvest_all_reports", "harvest_time", "harvest_expenses",
        "harvest_reconcile", "harvest_equality",
    }  # fmt: skip


def test_without_reports_with_days_there_is_no_nightly_schedule() -> None:
    small = replace(settings(), datasets=report_datasets(without=set(REPORTS) - SMALL))
    assert [each.name for each in all_schedules([small])] == ["harvest_small_reports"]


def test_an_account_of_own_datasets_only_has_no_schedule_but_theirs() -> None:
    bare = replace(settings(), datasets=(dataset("daily", "0 6 * * *"),))
    assert [each.name for each in all_schedules([bare])] == ["harvest_mine"]
    assert {job.name for job in build_definitions([bare]).jobs or []} == {"harvest_mine"}
    twice = [replace(bare, schema=name) for name in ("acme", "cedar")]
    assert [each.name for each in all_schedules(twice)] == ["acme_mine", "cedar_mine"]
    assert {job.name for job in build_definitions(twice).jobs or []} == {"acme_mine", "cedar_mine"}


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
    request = requested(schedule(mine, "harvest_mine"), NIGHT, NONE)
    assert days(request) == expected
    assert request.tags["harvest/window"] == "exact"
    assert not request.run_config  # what is fixed for it, the asset knows
    assert job_of(mine, schedule(mine, "harvest_mine").job_name) == {"mine"}


def test_a_dataset_without_partitions_is_launched_without_days_and_parameters() -> None:
    mine = settings([dataset("daily", "0 5 * * *", update=Update.MERGE, days_back=3)])
    request = requested(schedule(mine, "harvest_mine"), NIGHT, NONE)
    assert not [tag for tag in request.tags if "partition" in tag or tag == "harvest/window"]
    assert not request.run_config


def test_the_times_of_a_dataset_are_in_its_own_time_zone() -> None:
    mine = settings([dataset("daily", "0 6 * * 1-5", "Asia/Kolkata")], timezone="Europe/Berlin")
    assert schedule(mine, "harvest_mine").execution_timezone == "Asia/Kolkata"
    assert schedule(mine, "harvest_mine").cron_schedule == "0 6 * * 1-5"
    assert schedule(mine, "harvest_recent_days").execution_timezone == "Europe/Berlin"


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
    result = evaluated(schedule(mine, "harvest_mine"), NIGHT, NONE)
    assert not result.run_requests
    assert result.skip_message == reason


def test_a_tick_that_is_tried_out_ahead_of_time_asks_for_no_day_that_is_not_there() -> None:
    later = schedule(settings(days_back="5"), "harvest_recent_days")
    result = evaluated(later, NIGHT + timedelta(days=3), NONE, now=NIGHT)
    assert days(result.run_requests[0]) == (date(2026, 11, 18), NOVEMBER_20)


def test_what_a_schedule_asks_for_is_what_is_read(project: Project, tmp_path: Path) -> None:
    """The run of a dataset whose window its asset would apply once more without the tag."""
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
    request = requested(definitions.resolve_schedule_def("harvest_settled_expenses"), tick, NONE)
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
