"""What made the warehouse wrong while everything was green; each case with its siblings."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from harvest_pipeline.loading.reconcile import Sweep
from harvest_pipeline_tests.conftest import TODAY, failure_of
from harvest_pipeline_tests.loading.reconcile.conftest import Loaded, Night
from harvest_pipeline_tests.sandbox.faults import AnswerWith

pytestmark = pytest.mark.long

TOMORROW = TODAY + timedelta(days=1)


def create(loaded: Loaded, day: date, **fields: Any) -> Any:
    """A new entry on that day."""
    like = entries(loaded)[0].id
    return loaded.account.create("time_entries", **{"spent_date": day, "like": like, **fields})


def entries(loaded: Loaded) -> list[Any]:
    return loaded.account.records.time_entries.ascending()


def rows(loaded: Loaded, table: str = "time_entries") -> set[int]:
    return {row[0] for row in loaded.query(f"SELECT id FROM {table}")}


def succeeded(night: Night) -> Night:
    """A night that is green, and all of whose checks pass. Budgets are not compared here: some of
    these tests live a day ahead, whose reading of Harvest's report then stays the latest one."""
    assert night.result.success, failure_of(night.result)
    checks = night.result.get_asset_check_evaluations()
    assert [
        (c.asset_key, c.check_name, c.description)
        for c in checks
        if not c.passed and c.asset_key.path[-1] != "budget_differences"
    ] == []
    return night


# A count taken for a proof


def test_a_planned_entry_does_not_make_up_for_one_that_was_deleted(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = create(loaded, TOMORROW)
    succeeded(loaded.reconcile())
    assert planned.id not in rows(loaded)
    gone = entries(loaded)[20]
    with loaded.on_the_day(TOMORROW):
        loaded.account.delete("time_entries", gone.id)
        succeeded(loaded.reconcile())
        assert planned.id in rows(loaded)
        assert gone.id in rows(loaded, "time_entries_deleted")
        loaded.account.delete("time_entries", planned.id)
        succeeded(loaded.reconcile())


def test_an_earlier_start_date_is_read_before_it_is_counted(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = loaded.sandbox.first_day
    earlier = create(loaded, first - timedelta(days=3))
    succeeded(loaded.reconcile())
    assert earlier.id not in rows(loaded)
    gone = entries(loaded)[25]
    loaded.account.delete("time_entries", gone.id)
    with monkeypatch.context() as patch:
        patch.setenv("HARVEST_START_DATE", f"{first - timedelta(days=5)}")
        succeeded(loaded.reconcile())
    assert earlier.id in rows(loaded)
    assert gone.id in rows(loaded, "time_entries_deleted")


# Moved out of reach


@pytest.mark.parametrize("days", [-9, +9], ids=["before the start date", "into the future"])
def test_what_moves_out_of_the_window_is_looked_after_as_before(loaded: Loaded, days: int) -> None:
    there = (loaded.sandbox.first_day if days < 0 else TODAY) + timedelta(days=days)
    moved = entries(loaded)[30]
    other = create(loaded, there)
    loaded.account.change("time_entries", moved.id, spent_date=there)
    succeeded(loaded.reconcile())
    # With it comes everything else of its day: from now on that day is kept.
    assert {moved.id, other.id} <= rows(loaded)
    loaded.account.delete("time_entries", moved.id)
    succeeded(loaded.reconcile())
    assert moved.id in rows(loaded, "time_entries_deleted")
    assert loaded.differences() == []


def test_a_start_date_that_is_moved_later_gives_up_nothing(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited, gone = entries(loaded)[3], entries(loaded)[4]
    late = create(loaded, edited.spent_date)
    loaded.account.change("time_entries", edited.id, hours="3.33")
    loaded.account.delete("time_entries", gone.id)
    with monkeypatch.context() as patch:
        patch.setenv("HARVEST_START_DATE", f"{TODAY - timedelta(days=5)}")
        succeeded(loaded.reconcile())
    assert late.id in rows(loaded)
    assert gone.id in rows(loaded, "time_entries_deleted")
    assert loaded.differences() == []


# A reader who sees less


@pytest.mark.parametrize("person", ["manager", "member"])
def test_a_reader_who_sees_less_removes_nothing_and_is_named(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, person: str
) -> None:
    before = rows(loaded)
    rates = loaded.query("SELECT id, billable_rate, cost_rate FROM time_entries ORDER BY id")
    window = loaded.everything()
    with monkeypatch.context() as patch:
        patch.setenv("HARVEST_ACCESS_TOKEN", loaded.sandbox.tokens[person])
        night = loaded.reconcile()
        run = loaded.materialize("daily", window=window)
        own = loaded.account.people[person]
        theirs = next(each.id for each in entries(loaded) if each.user.id == own)
        logged = create(loaded, TODAY, like=theirs)
        loaded.reconcile()
    for result in (night.result, run):
        assert not result.success
        said = failure_of(result)
        assert "Ada Okafor, administrator" in said
        assert f", {person}, who may not see" in said
    assert rows(loaded) - {logged.id} == before
    assert rows(loaded, "time_entries_deleted") & before == set()
    assert (
        loaded.query(
            "SELECT id, billable_rate, cost_rate FROM time_entries WHERE id <> ? ORDER BY id",
            logged.id,
        )
        == rates
    )
    # What may be read is read all the same.
    assert logged.id in rows(loaded)
    # The administrator goes on as if nothing had been.
    gone = entries(loaded)[40]
    loaded.account.delete("time_entries", gone.id)
    succeeded(loaded.reconcile())
    assert gone.id in rows(loaded, "time_entries_deleted")


def test_one_administrator_after_another_goes_on_as_before(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = loaded.account.people["manager"]
    roles = loaded.account.records.users.get(manager).access_roles
    loaded.account.change("users", manager, access_roles=["administrator"])
    gone = entries(loaded)[41]
    loaded.account.delete("time_entries", gone.id)
    with monkeypatch.context() as patch:
        patch.setenv("HARVEST_ACCESS_TOKEN", loaded.sandbox.tokens["manager"])
        succeeded(loaded.reconcile())
    assert gone.id in rows(loaded, "time_entries_deleted")
    loaded.account.change("users", manager, access_roles=roles)
    # Demoted, the same person speaks for what they loaded as an administrator no more.
    kept = entries(loaded)[42]
    loaded.account.delete("time_entries", kept.id)
    with monkeypatch.context() as patch:
        patch.setenv("HARVEST_ACCESS_TOKEN", loaded.sandbox.tokens["manager"])
        assert not loaded.reconcile().result.success
    assert kept.id in rows(loaded)
    succeeded(loaded.reconcile())


# A project that gets another client


def test_what_belongs_to_a_project_follows_it_to_another_client(loaded: Loaded) -> None:
    expense = loaded.account.records.expenses.ascending()[0]
    project = loaded.account.records.projects.get(expense.project.id)
    other = next(
        client
        for client in loaded.account.records.clients.ascending()
        if client.id != project.client.id
    )
    was = project.client.id
    loaded.account.change("projects", project.id, client_id=other.id)
    loaded.account.change("clients", other.id, name="Other & Co", currency="CHF")
    succeeded(loaded.reconcile())
    of_it = "SELECT DISTINCT client_id, client_name, client_currency FROM {} WHERE {} = ?"
    for table in ("time_entries", "expenses", "projects"):
        column = "id" if table == "projects" else "project_id"
        found = loaded.query(of_it.format(table, column), project.id)
        assert found == [(other.id, "Other & Co", "CHF")]
    # And what happens to its new client arrives, too.
    loaded.account.change("clients", other.id, currency="NOK")
    succeeded(loaded.reconcile())
    assert loaded.query(
        "SELECT DISTINCT client_currency FROM time_entries WHERE project_id = ?", project.id
    ) == [("NOK",)]
    loaded.account.change("projects", project.id, client_id=was)
    succeeded(loaded.reconcile())


# Changes that leave no trace, and excuses


def test_a_change_that_moves_no_updated_at_is_found_by_the_reports_and_repaired(
    loaded: Loaded,
) -> None:
    days = loaded.everything()
    silent = [each for each in entries(loaded) if days.first <= each.spent_date <= days.last][:40]
    for entry in silent:
        loaded.account.change(
            "time_entries", entry.id, touch=False, rounded_hours=entry.rounded_hours + 1
        )
    night = succeeded(loaded.reconcile())
    assert loaded.differences() == []
    assert statement(night).metadata["verdict"].value == "equal"
    assert all(check.passed for check in comparisons(night))


def test_a_falsified_row_is_no_longer_excused_by_what_its_person_did_today(loaded: Loaded) -> None:
    entry = entries(loaded)[5]
    create(loaded, TODAY, like=entry.id)
    loaded.tamper(
        "UPDATE time_entries SET hours = hours + 1000, rounded_hours = rounded_hours + 1000"
        " WHERE id = ?",
        entry.id,
    )
    night = succeeded(loaded.reconcile())
    assert all(check.passed for check in comparisons(night))
    assert loaded.query("SELECT hours FROM time_entries WHERE id = ?", entry.id) == [(entry.hours,)]


def test_a_difference_that_reading_again_does_not_mend_is_an_error(loaded: Loaded) -> None:
    """Harvest's report disagrees with the records that Harvest gives out."""
    entry = entries(loaded)[5]
    pages = loaded.account.faults
    pages.add(
        AnswerWith(
            path="/reports/time/tasks",
            times=None,
            status=200,
            body='{"results": [], "total_entries": 0, "total_pages": 1}',
        )
    )
    night = loaded.reconcile()
    pages.clear()
    (wrong,) = [check for check in comparisons(night) if not check.passed]
    assert wrong.check_name == "equals_harvest_time_reports"
    assert wrong.severity == dg.AssetCheckSeverity.ERROR
    assert statement(night).metadata["verdict"].value == "different"
    assert entry.id in rows(loaded)


def test_what_no_report_shows_comes_round_within_a_month(loaded: Loaded) -> None:
    entry = entries(loaded)[6]
    loaded.account.change("time_entries", entry.id, touch=False, cost_rate=77)
    succeeded(loaded.reconcile())
    assert loaded.differences() != []
    loaded.pretend_a_month_has_passed()
    night = succeeded(loaded.reconcile())
    assert loaded.differences() == []
    # A page of each dated record, not a history.
    assert len(night.paths) <= 60


# What comes round in turn


@pytest.mark.parametrize("number", [1, 6, 7, 40, 75])
def test_every_invoice_comes_round_within_a_week(number: int) -> None:
    """All of them were read in one night, as the first load does, or some change in one."""
    read = dict.fromkeys(range(number), 0)
    for night in range(1, 60):
        rows = [{"id": id, "issue_date": TODAY, "_read_at": at_night(read[id])} for id in read]
        for row in Sweep(at_night(night)).chosen("issue_date", rows):
            read[row["id"]] = night
            row["_read_at"] = at_night(night)
        # What this night has read, as the first load does all of them, it does not read again.
        again = Sweep(at_night(night)).chosen("issue_date", rows)
        assert not {row["id"] for row in again if read[row["id"]] == night}
        if night == 20:
            read |= dict.fromkeys(range(number // 2), night)
        assert night - min(read.values()) < 7, night


@pytest.mark.parametrize("rows", [0, 1, 30, 1_100, 1_900, 2_500])
@pytest.mark.parametrize("number", [1, 40, 365])
def test_every_day_comes_round_within_a_month(number: int, rows: int) -> None:
    days = [TODAY - timedelta(days=each) for each in range(number)]
    read = dict.fromkeys(days, 0)
    for night in range(1, 100):
        by_day = {day: at_night(at) for day, at in read.items()}
        for day in Sweep(at_night(night)).days(by_day, dict.fromkeys(days, rows), 2_000):
            read[day] = night
        assert night - min(read.values()) < 30, night


def at_night(number: int) -> datetime:
    """An instant of that night; they do not begin at the same minute."""
    minutes = 20 if number % 2 else 0
    return datetime(2026, 11, 20, 3, minutes, tzinfo=UTC) + timedelta(days=number)


# Payments that cancel each other out


def test_payments_that_cancel_each_other_out_are_there(loaded: Loaded) -> None:
    invoice = next(
        each
        for each in loaded.account.records.invoices.ascending()
        if each.due_amount == each.amount
    )
    loaded.account.add_payment(invoice.id, 100)
    loaded.account.add_payment(invoice.id, -100)
    assert loaded.account.records.invoices.get(invoice.id).due_amount == invoice.amount
    succeeded(loaded.reconcile())
    assert len(loaded.query("SELECT 1 FROM invoice_payments WHERE invoice_id = ?", invoice.id)) == 2


# What Dagster is shown


def test_what_was_touched_is_shown_with_its_checks_and_the_statement_with_its_own(
    loaded: Loaded,
) -> None:
    entry = entries(loaded)[7]
    loaded.account.change("time_entries", entry.id, hours="1.23")
    night = succeeded(loaded.reconcile())
    assert ("daily", f"{entry.spent_date}") in night.days
    checks = {
        (c.asset_key.path[-1], c.check_name) for c in night.result.get_asset_check_evaluations()
    }
    assert ("daily", "key_is_unique") in checks
    assert {c.check_name for c in comparisons(night)} == {
        "equals_harvest_time_reports",
        "equals_harvest_expense_reports",
        "equals_harvest_uninvoiced_report",
    }
    said = statement(night).metadata["statement"].value
    assert "**Equal**" in said
    assert "| 2026-11" in said


def comparisons(night: Night) -> list[dg.AssetCheckEvaluation]:
    return [
        check
        for check in night.result.get_asset_check_evaluations()
        if check.asset_key.path[-1] == "reconciliation"
    ]


def statement(night: Night) -> dg.AssetMaterialization:
    (event,) = [
        event
        for event in night.result.all_events
        if event.event_type_value == "ASSET_MATERIALIZATION"
        and event.asset_key
        and event.asset_key.path[-1] == "reconciliation"
    ]
    return event.step_materialization_data.materialization
