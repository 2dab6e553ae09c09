"""Days that have not come by the hour: told once, and told again when they came after all."""

from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from harvest_pipeline.alerts import days as days_module
from harvest_pipeline.alerts import sensors
from harvest_pipeline.scope import Window
from harvest_pipeline.warehouse.errors import WarehouseLocked
from harvest_pipeline_tests.alerts.conftest import Alerts, Hook
from harvest_pipeline_tests.conftest import TODAY

#: The day after the sandbox's today, a second before nine.
MORNING = datetime(2026, 11, 21, 8, 59, 59, tzinfo=UTC)
REPORTS = ("daily", "invoices", "project_expenses")


class At:
    """Sets the time of day that ticks have."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def __call__(self, at: datetime) -> None:
        self._patch.setattr(sensors, "now", lambda: at)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> At:
    return At(monkeypatch)


def test_a_day_that_has_not_come_by_nine_is_told_once_and_told_when_it_arrives(
    alerts: Alerts, hook: Hook, at: At
) -> None:
    project = alerts.project
    alerts.say("alerts: {on: [missing_day], webhook: {}}\n")
    # A minute past 17:00 of the day itself: whatever is entered that evening is not in it.
    project.sandbox.account.clock.advance(60)
    assert project.materialize("daily", window=Window(TODAY, TODAY)).success
    at(MORNING)
    alerts.tick()
    assert not hook.texts
    at(MORNING + timedelta(seconds=1))
    alerts.tick()
    (text,) = hook.texts
    assert text.splitlines()[:1] == ["*harvest: 2026-11-20 has not arrived*"]
    assert "Account: harvest\n" in text and "\nDays: 2026-11-20\n" in text
    for report in REPORTS:
        assert report in text
    assert "had been loaded by 09:00 (UTC). Last read of it: " in text
    assert "time_entries 2026-11-20 17:0" in text
    assert "expenses never" in text and "invoices never" in text
    assert "`harvest-pipeline sync --from 2026-11-20 --to 2026-11-20`" in text
    alerts.tick()
    assert len(hook.texts) == 1
    project.sandbox.account.clock.advance(17 * 3600)
    assert project.materialize("daily", "invoices", window=Window(TODAY, TODAY)).success
    alerts.tick()
    assert len(hook.texts) == 1  # the expenses are still missing
    assert project.materialize("project_expenses", window=Window(TODAY, TODAY)).success
    at(MORNING + timedelta(hours=5))
    alerts.tick()
    assert len(hook.texts) == 2
    assert hook.texts[1].startswith("*harvest: 2026-11-20 has arrived*")
    alerts.tick()
    assert len(hook.texts) == 2
    with duckdb.connect(project.database) as held:
        # Nothing is looked up any more, so that a reader of the database is in nobody's way.
        alerts.tick()
        held.execute("SELECT 1")


def test_each_account_is_told_by_its_name_and_the_day_is_that_of_the_time_zone(
    alerts: Alerts, hook: Hook, at: At
) -> None:
    alerts.project.set(HARVEST_TIMEZONE="Pacific/Auckland", HARVEST_ACCOUNT_ID="")
    alerts.say(
        "accounts: [{name: acme}, {name: blue_sky}]\n"
        "alerts: {on: [missing_day], missing_day_by: '07:30', webhook: {}}\n"
    )
    at(datetime(2026, 11, 20, 18, 29, tzinfo=UTC))  # 07:29 of the 21st in Auckland
    alerts.tick()
    assert not hook.texts
    at(datetime(2026, 11, 20, 18, 30, tzinfo=UTC))
    alerts.tick()
    assert [text.splitlines()[0] for text in hook.texts] == [
        "*acme: 2026-11-20 has not arrived*",
        "*blue_sky: 2026-11-20 has not arrived*",
    ]
    assert "sync --account acme --from 2026-11-20" in hook.texts[0]
    assert "07:30 (Pacific/Auckland)" in hook.texts[1]


def test_days_before_the_first_one_and_reports_that_are_switched_off_are_not_missing(
    alerts: Alerts, hook: Hook, at: At
) -> None:
    at(MORNING + timedelta(hours=1))
    alerts.project.set(HARVEST_START_DATE="2026-11-21")
    alerts.say("alerts: {on: [missing_day], webhook: {}}\n")
    alerts.tick()
    assert not hook.texts
    alerts.project.set(HARVEST_START_DATE="2026-11-20")
    alerts.say(
        "disabled_reports: [daily, all_users_time_entries, all_projects_time_entries, invoices]\n"
        "alerts: {on: [missing_day], webhook: {}}\n"
    )
    alerts.tick()
    (text,) = hook.texts
    assert "project_expenses" in text and "daily" not in text and "invoice" not in text


def test_a_database_that_somebody_holds_makes_the_tick_fail_with_who_it_is(
    alerts: Alerts, hook: Hook, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(days_module, "_WAIT_SECONDS", 0.1)
    at(MORNING + timedelta(hours=1))
    alerts.say("alerts: {on: [missing_day], webhook: {}}\n")
    held = duckdb.connect(alerts.project.database)
    with held, pytest.raises(WarehouseLocked, match="is held by another connection"):
        alerts.tick()
    alerts.tick()
    assert len(hook.texts) == 1
