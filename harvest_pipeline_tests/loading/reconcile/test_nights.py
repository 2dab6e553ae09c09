"""What a night of `harvest_reconcile` finds, what it keeps, and what it costs."""

from datetime import timedelta

import pytest

from harvest_pipeline.loading import proof
from harvest_pipeline_tests.conftest import TODAY, failure_of
from harvest_pipeline_tests.loading.reconcile.conftest import Loaded
from harvest_pipeline_tests.sandbox.faults import AnswerWith, ChangeAfter

#: Who we are, what is read whole (13), what changed and how many there are (3 times 2), and the
#: snapshot of people.
QUIET = 1 + 13 + 3 * 2 + 1


def test_the_first_night_loads_the_history_with_one_read_of_each_list(loaded: Loaded) -> None:
    assert loaded.first_night.result.success
    lists = [path for path in loaded.first_night.paths if path.count("/") == 2]
    # People are read for their snapshot too, and the first comparison asks what is older.
    older = ["/v2/time_entries", "/v2/expenses", "/v2/invoices"]
    assert sorted(lists) == sorted([*set(lists), "/v2/users", *older])
    assert ("daily", f"{loaded.sandbox.first_day}") in loaded.first_night.days
    assert ("daily", f"{TODAY}") in loaded.first_night.days


def test_a_night_on_which_nothing_happened_costs_twenty_one_requests(loaded: Loaded) -> None:
    before = loaded.query("SELECT * FROM time_entries ORDER BY id")
    night = loaded.reconcile()
    assert len(night.paths) == QUIET == 21
    assert not any(day for _, day in night.days)
    assert loaded.query("SELECT * FROM time_entries ORDER BY id") == before
    # What was found to be equal is proven, as if it had been read.
    ((last, proven, entries),) = loaded.query(
        "SELECT window_last, total_entries, (SELECT count(*) FROM time_entries) FROM _loads"
        " WHERE record = 'time_entries' AND proof = 'counted' ORDER BY loaded_at DESC LIMIT 1"
    )
    assert (proven, last >= TODAY) == (entries, True)


def test_a_deleted_entry_leaves_the_table_and_is_kept(loaded: Loaded) -> None:
    entry = loaded.account.records.time_entries.ascending()[100]
    loaded.account.delete("time_entries", entry.id)
    night = loaded.reconcile()
    kept = loaded.query(
        "SELECT spent_date, hours, _noticed_at > _loaded_at FROM time_entries_deleted WHERE id = ?",
        entry.id,
    )
    assert kept == [(entry.spent_date, entry.hours, True)]
    # Besides: the page that holds it, and where it may have gone.
    assert len(night.paths) == QUIET + 2
    assert {day for name, day in night.days if name == "daily"} == {f"{entry.spent_date}"}
    assert loaded.query("SELECT sum(deleted) FROM _loads WHERE record = 'time_entries'") == [(1,)]


def test_what_is_entered_during_the_night_does_not_hide_a_deletion(loaded: Loaded) -> None:
    entry = loaded.account.records.time_entries.ascending()[70]
    loaded.account.delete("time_entries", entry.id)
    # After the first question about time entries, whether that is their number or the changes.
    loaded.account.faults.add(
        ChangeAfter(
            path="/time_entries",
            change=lambda: loaded.account.create("time_entries", spent_date=TODAY),
        )
    )
    assert loaded.reconcile().result.success
    assert loaded.query("SELECT 1 FROM time_entries_deleted WHERE id = ?", entry.id) == [(1,)]


def test_late_moved_and_edited_entries_are_where_harvest_has_them(loaded: Loaded) -> None:
    entries = loaded.account.records.time_entries.ascending()
    moved, edited, old = entries[50], entries[60], entries[0].spent_date
    first = moved.spent_date
    loaded.account.change("time_entries", moved.id, spent_date=TODAY)
    loaded.account.change("time_entries", edited.id, hours="7.77")
    late = loaded.account.create("time_entries", spent_date=old)
    night = loaded.reconcile()
    assert len(night.paths) == QUIET
    days = {first, TODAY, edited.spent_date, late.spent_date}
    assert {day for name, day in night.days if name == "daily"} == {f"{day}" for day in days}
    assert loaded.query("SELECT 1 FROM time_entries_deleted WHERE id = ?", moved.id) == []


def test_names_follow_what_is_renamed_and_nothing_is_read_again_for_it(loaded: Loaded) -> None:
    records, change = loaded.account.records, loaded.account.change
    before = loaded.query("SELECT id, _loaded_at FROM time_entries ORDER BY id")
    entry = records.time_entries.ascending()[-1]
    change("clients", entry.client.id, name="Renamed & Sons", currency="JPY")
    change("projects", entry.project.id, name="Renamed project", code="NEW")
    change("tasks", entry.task.id, name="Renamed task")
    change("users", entry.user.id, first_name="Ann", last_name="Renamed")
    change("task_assignments", entry.task_assignment.id, hourly_rate=99)
    category = records.expense_categories.ascending()[0]
    change("expense_categories", category.id, name="Renamed category")
    invoice = records.invoices.ascending()[0]
    change("invoices", invoice.id, number="RENAMED-1")
    night = loaded.reconcile()
    assert len(night.paths) == QUIET + len(night.children())
    assert loaded.query("SELECT id, _loaded_at FROM time_entries ORDER BY id") == before
    assert loaded.query(
        "SELECT client_name, project_code, task_name, user_name FROM time_entries WHERE id = ?",
        entry.id,
    ) == [("Renamed & Sons", "NEW", "Renamed task", "Ann Renamed")]


@pytest.mark.long
def test_the_number_of_an_invoice_follows_even_if_the_invoice_is_on_a_day_that_is_not_kept(
    loaded: Loaded,
) -> None:
    """Found by simulated nights: an entry of a kept day, on an invoice of long before."""
    entry = next(each for each in loaded.account.records.time_entries.ascending() if each.invoice)
    assert entry.invoice
    number, long_ago = entry.invoice.id, loaded.sandbox.first_day - timedelta(days=500)
    for table, column in (("invoices", "id"), ("invoice_line_items", "invoice_id")):
        loaded.tamper(f"DELETE FROM {table} WHERE {column} = ?", number)
    loaded.account.change("invoices", number, issue_date=long_ago, number="RENUMBERED-1")
    assert loaded.reconcile().result.success
    assert loaded.query("SELECT 1 FROM invoices WHERE id = ?", number) == []
    repeated = "SELECT invoice_number FROM time_entries WHERE id = ?"
    assert loaded.query(repeated, entry.id) == [("RENUMBERED-1",)]
    loaded.account.change("invoices", number, issue_date=TODAY)
    assert loaded.reconcile().result.success


@pytest.mark.long
def test_what_belongs_to_a_deleted_project_goes_with_it(loaded: Loaded) -> None:
    project = loaded.account.records.expenses.ascending()[0].project.id
    of_it = "SELECT id FROM {} WHERE project_id = ? ORDER BY id"
    entries = loaded.query(of_it.format("time_entries"), project)
    loaded.account.delete("projects", project)
    assert loaded.reconcile().result.success
    assert {*loaded.query(of_it.format("time_entries_deleted"), project)} >= {*entries} != set()
    assert loaded.query(of_it.format("expenses_deleted"), project)
    assert loaded.query("SELECT 1 FROM projects_deleted WHERE id = ?", project) == [(1,)]


@pytest.mark.long
def test_lines_messages_and_payments_go_with_a_deleted_invoice(loaded: Loaded) -> None:
    invoice = loaded.account.records.invoices.ascending()[1].id
    loaded.account.add_payment(invoice, 1)
    loaded.account.add_message(invoice)
    assert loaded.reconcile().result.success
    children = ("invoice_line_items", "invoice_messages", "invoice_payments")
    of_it = "SELECT id FROM {} WHERE invoice_id = ? ORDER BY id"
    had = {child: loaded.query(of_it.format(child), invoice) for child in children}
    assert all(had.values())
    loaded.account.delete("invoices", invoice)
    assert loaded.reconcile().result.success
    kept = {child: loaded.query(of_it.format(f"{child}_deleted"), invoice) for child in children}
    assert kept == had


def test_children_are_asked_of_the_invoice_that_changed_and_of_no_other(loaded: Loaded) -> None:
    invoice = loaded.account.records.invoices.ascending()[-1]
    loaded.account.add_payment(invoice.id, 1)
    night = loaded.reconcile()
    assert night.children() == [
        f"/v2/invoices/{invoice.id}/messages",
        f"/v2/invoices/{invoice.id}/payments",
    ]


@pytest.mark.long
def test_a_message_that_did_not_move_its_invoice_is_found_within_a_week(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARVEST_SWEEP_REQUESTS")
    ids = loaded.pretend_a_week_has_passed()
    loaded.account.add_message(ids[0], reminder=True)
    asked: list[str] = []
    while loaded.differences():
        night = loaded.reconcile().children()
        # Of seven invoices one is asked each night.
        assert 0 < len(night) <= 2 * -(-len(loaded.account.records.invoices) // 7)
        asked += night
    assert f"/v2/invoices/{ids[0]}/messages" in asked


@pytest.mark.long
def test_the_sweep_keeps_to_its_budget(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(loaded.pretend_a_week_has_passed()) > 1
    monkeypatch.setenv("HARVEST_SWEEP_REQUESTS", "1")
    assert len(loaded.reconcile().children()) == 2 * 1
    monkeypatch.setenv("HARVEST_SWEEP_REQUESTS", "0")
    assert loaded.reconcile().children() == []


@pytest.mark.long
def test_in_a_long_history_a_deletion_is_searched_for_by_halves(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "PAGE", 30)
    entry = loaded.account.records.time_entries.ascending()[100]
    loaded.account.delete("time_entries", entry.id)
    night = loaded.reconcile()
    # Reports of more than 30 records are counted too, instead of read whole.
    counted = night.paths.count("/v2/time_entries") - 3  # changes; the stretch; where it may be
    days = (TODAY - loaded.sandbox.first_day).days + 1
    assert 2 <= counted <= days.bit_length() + 1
    ((first, last),) = loaded.query(
        "SELECT window_first, window_last FROM _loads WHERE record = 'time_entries'"
        " ORDER BY deleted > 0 DESC, loaded_at DESC LIMIT 1"
    )
    assert first <= entry.spent_date <= last
    assert last - first < timedelta(days=days // 4)


@pytest.mark.long
def test_a_night_that_fails_keeps_what_it_had_found_and_the_next_one_goes_on(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = loaded.account.records.time_entries.ascending()[30]
    expense = loaded.account.records.expenses.ascending()[-1]
    loaded.account.delete("time_entries", entry.id)
    loaded.account.delete("expenses", expense.id)
    loaded.account.faults.add(AnswerWith(path="/expenses", status=403, times=None))
    failed = loaded.reconcile()
    assert not failed.result.success
    assert "expenses" in failure_of(failed.result)
    assert loaded.query("SELECT 1 FROM time_entries_deleted WHERE id = ?", entry.id) == [(1,)]
    loaded.account.faults.clear()
    assert loaded.reconcile().result.success
    assert loaded.query("SELECT 1 FROM expenses_deleted WHERE id = ?", expense.id) == [(1,)]


def test_a_module_that_is_switched_off_deletes_nothing(loaded: Loaded) -> None:
    loaded.account.change_company(expense_feature=False)
    assert loaded.reconcile().result.success
    loaded.account.change_company(expense_feature=True)
    assert loaded.reconcile().result.success
