"""What has changed at Harvest is requested: exactly the days and the reports that it touches."""

from datetime import timedelta

import dagster as dg
import pytest

from harvest_pipeline.changes.launching import stretches
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.partitions import ONLY_CHANGED
from harvest_pipeline.scope import Window
from harvest_pipeline.sensors import all_sensors
from harvest_pipeline_tests.changes.watching import NOW, START, TIME, Watching, reports_of
from harvest_pipeline_tests.conftest import TODAY

DAY = timedelta(days=1)
#: The last Monday, and the Thursday before.
MONDAY, THURSDAY = TODAY - 4 * DAY, TODAY - 8 * DAY
LISTS = {
    "/v2/time_entries", "/v2/expenses", "/v2/invoices", "/v2/invoice_item_categories",
    "/v2/clients", "/v2/contacts", "/v2/users", "/v2/projects", "/v2/tasks",
    "/v2/task_assignments", "/v2/expense_categories",
}  # fmt: skip


def test_the_sensor_is_off_until_it_is_switched_on_and_says_what_it_does(
    watching: Watching,
) -> None:
    (sensor,) = all_sensors([watching.settings])
    assert sensor.name == "harvest_changes"
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    assert sensor.minimum_interval_seconds == 300
    assert "asks Harvest what has changed" in (sensor.description or "")
    assert "harvest_changes" in {each.name for each in build_definitions().sensors or ()}


def test_where_nothing_has_changed_nothing_is_requested_and_twelve_questions_are_asked(
    watching: Watching,
) -> None:
    tick = watching.tick()
    assert not tick.requests
    assert tick.skipped == "Nothing has changed (12 requests)."
    questions = watching.questions()
    assert {path for path, _ in questions} == {"/v2/users/me", *LISTS}
    assert len(questions) == 12
    assert all("updated_since" in asked for path, asked in questions if path != "/v2/users/me")


def test_an_entry_that_is_logged_late_is_requested_with_its_day_and_nothing_else(
    watching: Watching,
) -> None:
    watching.account.create("time_entries", spent_date=THURSDAY, hours="1.25")
    (request,) = watching.tick().requests
    assert request.tags == {
        "harvest/changes": "harvest",
        "dagster/asset_partition_range_start": f"{THURSDAY}",
        "dagster/asset_partition_range_end": f"{THURSDAY}",
        "dagster/sensor_name": "harvest_changes",
        **ONLY_CHANGED,
    }
    assert {key.path[-1] for key in request.asset_selection or ()} == TIME
    assert {key.asset_key.path[-1] for key in request.asset_check_keys or ()} == TIME


def test_an_entry_that_moved_is_requested_with_the_day_it_left_and_the_day_it_is_on(
    watching: Watching,
) -> None:
    entry = watching.entry_on(MONDAY)
    watching.account.change("time_entries", entry.id, spent_date=THURSDAY)
    assert watching.tick().asked == [(f"{THURSDAY}", TIME), (f"{MONDAY}", TIME)]


def test_days_that_follow_each_other_are_one_run(watching: Watching) -> None:
    for day in (THURSDAY, MONDAY, MONDAY + DAY, MONDAY + 2 * DAY):
        watching.account.change("time_entries", watching.entry_on(day).id, notes="corrected")
    assert watching.tick().asked == [
        (f"{THURSDAY}", TIME),
        (f"{MONDAY} to {MONDAY + 2 * DAY}", TIME),
    ]


def test_a_new_client_is_requested_without_any_day(watching: Watching) -> None:
    watching.account.create("clients", name="Osprey")
    assert watching.tick().asked == [(None, {"clients"})]


def test_small_reports_that_changed_share_a_run(watching: Watching) -> None:
    watching.account.change("users", next(iter(watching.account.records.users)).id, is_active=False)
    watching.account.create("tasks", name="Tuning")
    assert watching.tick().asked == [(None, {"people", "tasks"})]


def test_an_invoice_is_requested_with_its_messages_and_payments(watching: Watching) -> None:
    invoice = next(iter(watching.account.records.invoices))
    watching.account.change("invoices", invoice.id, issue_date=MONDAY)
    invoices = {"invoices", "invoice_messages", "invoice_payments"}
    assert watching.tick().asked == [(f"{MONDAY}", invoices)]


def test_records_that_changed_on_the_same_days_share_a_run(watching: Watching) -> None:
    watching.account.create("time_entries", spent_date=MONDAY)
    watching.account.create("expenses", spent_date=MONDAY)
    expenses = {"all_projects_logged_expenses", "all_users_logged_expenses", "project_expenses"}
    assert watching.tick().asked == [(f"{MONDAY}", TIME | expenses | {"user_expenses"})]


def test_what_no_report_shows_is_neither_asked_for_nor_requested(watching: Watching) -> None:
    watching.account.create("clients", name="Heron")
    watching.account.create("time_entries", spent_date=MONDAY)
    fewer = watching.without("clients", "daily", "invoices", "invoice_messages", "invoice_payments")
    assert fewer.tick().asked == [(f"{MONDAY}", TIME - {"daily"})]
    asked = {path for path, _ in fewer.questions()}
    assert asked == {"/v2/users/me", *LISTS} - {"/v2/clients", "/v2/invoices"}


def test_days_before_the_start_date_cannot_be_requested_and_the_log_says_so(
    watching: Watching,
) -> None:
    watching.account.create("time_entries", spent_date=START - 3 * DAY)
    tick = watching.tick()
    assert not tick.requests
    assert any("1 changed on days that cannot be loaded" in line for line in tick.log)
    moved = watching.entry_on(MONDAY)
    watching.account.change("time_entries", moved.id, spent_date=START - DAY)
    assert watching.tick().asked == [(f"{MONDAY}", TIME)]


def test_what_is_planned_for_a_day_to_come_is_requested_when_the_day_has_come(
    watching_time: Watching,
) -> None:
    watching_time.account.create("time_entries", spent_date=TODAY + 2 * DAY)
    assert not watching_time.tick().requests
    (tomorrow,) = watching_time.tick(NOW + DAY).requests
    watching_time.note(tomorrow, dg.DagsterRunStatus.STARTED)
    # The run over tomorrow is still at it: only the day after is new.
    assert watching_time.tick(NOW + 2 * DAY).asked == [(f"{TODAY + 2 * DAY}", TIME)]


@pytest.mark.parametrize(
    ("days", "most", "expected"),
    [
        ([], 20, []),
        ([5], 20, [(5, 5)]),
        ([1, 2, 3, 7, 9, 10], 20, [(1, 3), (7, 7), (9, 10)]),
        # The shortest gap is bridged.
        ([1, 2, 3, 7, 9, 10], 2, [(1, 3), (7, 10)]),
        ([1, 2, 3, 7, 9, 10], 1, [(1, 10)]),
    ],
)
def test_there_are_as_many_runs_as_stretches_up_to_a_limit(
    days: list[int], most: int, expected: list[tuple[int, int]]
) -> None:
    found = stretches([TODAY.replace(day=day) for day in days], most)
    assert found == [
        Window(TODAY.replace(day=first), TODAY.replace(day=last)) for first, last in expected
    ]


def test_a_run_that_dagster_really_makes_of_a_request_brings_the_changes(
    watching_time: Watching,
) -> None:
    watching = watching_time.without("all_projects_time_entries", "all_users_time_entries")
    moved = watching.entry_on(MONDAY)
    watching.account.change("time_entries", moved.id, spent_date=MONDAY + DAY)
    client = watching.account.create("clients", name="Kestrel")
    watching.account.clock.advance(5)
    job = build_definitions([watching.settings]).resolve_job_def("harvest_all_reports")
    requests = watching.tick().requests
    assert [reports_of(each) for each in requests] == [{"daily"}, {"clients"}]
    for request in requests:
        result = job.execute_in_process(
            instance=watching.instance,
            asset_selection=list(request.asset_selection or ()),
            tags=dict(request.tags),
        )
        assert result.success
    with watching.warehouse.reader() as connection:
        day = "SELECT spent_date FROM time_entries WHERE id = ?"
        assert connection.execute(day, [moved.id]).fetchall() == [(MONDAY + DAY,)]
        name = "SELECT name FROM clients WHERE id = ?"
        assert connection.execute(name, [client.id]).fetchall() == [("Kestrel",)]
    assert not watching.tick().requests
