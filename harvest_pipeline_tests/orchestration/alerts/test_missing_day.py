"""A day that was not loaded since it ended: a check that fails, which is sent like any other."""

import re
from collections.abc import Iterator
from datetime import date, timedelta

import dagster as dg
import pytest

from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import Project as SettingsOf
from harvest_pipeline_tests.conftest import TODAY
from harvest_pipeline_tests.orchestration.alerts.conftest import Alerts, Hook

CHECK = "yesterday_is_loaded"


@pytest.fixture(autouse=True)
def tomorrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[date]:
    """The day after the sandbox's today."""
    day = TODAY + timedelta(days=1)
    monkeypatch.setattr(SettingsOf, "today", lambda self: day)
    yield day


def checked(alerts: Alerts) -> dg.AssetCheckEvaluation:
    """The check, run by the job of the schedule."""
    job = build_definitions().resolve_job_def(f"harvest_{CHECK}")
    result = job.execute_in_process(instance=alerts.project.instance)
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


def test_a_day_that_was_read_before_it_ended_is_missing_and_sent(
    alerts: Alerts, hook: Hook
) -> None:
    project = alerts.project
    alerts.tick()
    assert checked(alerts).passed  # nothing was ever loaded: nobody asked for anything
    # At 17:00 of the day itself: what is entered that evening is not in it.
    today = Window(TODAY, TODAY)
    assert project.materialize("daily", "invoices", window=today).success
    evaluation = checked(alerts)
    assert not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.ERROR
    sentence = evaluation.description or ""
    assert sentence.startswith("2026-11-20 has not been read since it ended (UTC): ")
    assert re.search(r"all_users_time_entries, daily last at 2026-11-20 1[67]:\d\d UTC", sentence)
    assert "invoices last at" in sentence and "expenses" not in sentence
    assert "sync --account harvest --from 2026-11-20 --to 2026-11-20`" in sentence
    for _ in range(3):
        alerts.tick()
    assert hook.titles == ["harvest: a check failed"]
    assert f"What happened: the check {CHECK} failed. {sentence}" in hook.texts[0]
    project.sandbox.account.clock.advance(17 * 3600)
    assert project.materialize("daily", "invoices", window=today).success
    assert checked(alerts).passed


def test_days_before_the_first_one_are_not_missing(alerts: Alerts) -> None:
    assert alerts.project.materialize("daily", window=Window(TODAY, TODAY)).success
    alerts.project.set(HARVEST_START_DATE="2026-11-21")
    assert checked(alerts).passed


def test_a_schedule_runs_the_check_at_nine_of_the_time_zone_and_no_load_does(
    alerts: Alerts,
) -> None:
    alerts.project.set(HARVEST_TIMEZONE="Pacific/Auckland")
    repository = build_definitions().get_repository_def()
    schedule = repository.get_schedule_def(f"harvest_{CHECK}")
    assert (schedule.cron_schedule, schedule.execution_timezone) == (
        "0 9 * * *",
        "Pacific/Auckland",
    )
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    jobs = {
        job.name
        for job in repository.get_all_jobs()
        if any(node.name.endswith(CHECK) for node in job.nodes)
    }
    assert jobs - {"__ASSET_JOB"} == {f"harvest_{CHECK}"}
    alerts.say("")
    repository = build_definitions().get_repository_def()
    assert not any(schedule.name.endswith(CHECK) for schedule in repository.schedule_defs)
    assert not any(key.name == CHECK for key in repository.asset_graph.asset_check_keys)
