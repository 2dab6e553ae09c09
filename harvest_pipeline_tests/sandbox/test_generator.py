"""The made-up account: it looks alive, it adds up, and it is the same every time."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from harvest_pipeline.sandbox.answers import encode
from harvest_pipeline.sandbox.generator import generate
from harvest_pipeline.sandbox.generator.plan import is_working_day
from harvest_pipeline.sandbox.records import Records
from harvest_pipeline_tests.sandbox.truth import KINDS, truth
from harvest_pipeline_tests.sandbox.visitor import TODAY

NOW = datetime(2026, 11, 20, 17, tzinfo=UTC)
CENT = Decimal("0.01")


@pytest.fixture(scope="module")
def records() -> Records:
    """The account at its default size."""
    return generate(1, NOW, years=2.2, scale=1.0)


def all_of(records: Records) -> bytes:
    return encode([truth(records, kind) for kind in KINDS])


def test_the_same_seed_and_day_give_the_same_bytes() -> None:
    once = all_of(generate(5, NOW, 0.3, 1.0))
    assert all_of(generate(5, NOW, 0.3, 1.0)) == once
    assert all_of(generate(6, NOW, 0.3, 1.0)) != once
    assert all_of(generate(5, NOW - timedelta(days=1), 0.3, 1.0)) != once
    assert all_of(generate(5, NOW, 0.3, 1.0, number=1)) != once


def test_the_default_account_has_the_size_of_a_small_consultancy(records: Records) -> None:
    assert 12 <= len(records.users) <= 15
    assert len(records.clients) == 10
    assert 6_000 <= len(records.time_entries) <= 9_000
    assert 200 <= len(records.expenses) <= 500
    assert 120 <= len(records.invoices) <= 180
    days = {entry.spent_date for entry in records.time_entries}
    assert max(days) == TODAY
    assert (max(days) - min(days)).days > 2 * 365


def test_the_account_grows_with_the_scale(records: Records) -> None:
    large = generate(1, NOW, years=2.2, scale=2.0)
    for kind in ("users", "clients", "projects", "time_entries", "invoices"):
        assert len(large.table(kind)) > 1.6 * len(records.table(kind))
    for years, scale in ((0.0, 1.0), (1.0, 0.0)):
        with pytest.raises(ValueError, match="would be empty"):
            generate(1, NOW, years, scale)


def test_the_account_adds_up(records: Records) -> None:
    check(records)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("years", "scale"), [(0.1, 0.1), (0.3, 1.0), (1.0, 0.5)])
def test_every_seed_and_size_adds_up(seed: int, years: float, scale: float) -> None:
    check(generate(seed, NOW, years, scale))


def check(records: Records) -> None:
    check_invoices(records)
    check_billed(records)
    check_flags(records)
    check_ids(records)


def check_invoices(records: Records) -> None:
    """The arithmetic of invoices, in this test's own words."""
    for invoice in records.invoices:
        lines = invoice.line_items
        assert lines
        assert all(line.amount == line.quantity * line.unit_price for line in lines)
        subtotal = sum(line.amount for line in lines)
        discount = ((invoice.discount or 0) * subtotal / 100).quantize(CENT)
        assert abs(invoice.discount_amount - discount) <= CENT
        share = 1 - (invoice.discount or Decimal(0)) / 100
        for rate, amount, taxed in (
            (invoice.tax, invoice.tax_amount, [ln.amount for ln in lines if ln.taxed]),
            (invoice.tax2, invoice.tax2_amount, [ln.amount for ln in lines if ln.taxed2]),
        ):
            assert abs(amount - (rate or 0) * share * sum(taxed) / 100) <= CENT
        taxes = invoice.tax_amount + invoice.tax2_amount
        assert invoice.amount == subtotal - invoice.discount_amount + taxes
        payments = list(records.payments[invoice.id])
        assert invoice.due_amount == invoice.amount - sum(p.amount for p in payments)
        assert all(payment.amount > 0 for payment in payments)
        assert (invoice.state == "paid") == (invoice.due_amount == 0)
        assert (invoice.state == "draft") == (invoice.sent_at is None)
        assert (invoice.state == "closed") == (invoice.closed_at is not None)
        assert (invoice.state == "paid") == (invoice.paid_at is not None)
        if invoice.state == "paid":
            settling = max(payments, key=lambda p: p.paid_at)
            assert (invoice.paid_at, invoice.paid_date) == (settling.paid_at, settling.paid_date)
        for payment in payments:
            assert invoice.issue_date <= payment.paid_date <= NOW.date()
            assert payment.created_at <= invoice.updated_at
        messages = list(records.messages[invoice.id])
        ordinary = [
            m.created_at
            for m in messages
            if m.event_type is None and not m.reminder and not m.thank_you
        ]
        if ordinary:
            assert invoice.sent_at == max(ordinary)


def check_billed(records: Records) -> None:
    """The hours and costs on the lines of an invoice are those of the records put on it."""
    hours: dict[Any, Decimal] = defaultdict(Decimal)
    costs: dict[Any, Decimal] = defaultdict(Decimal)
    for entry in records.time_entries:
        if entry.invoice is not None:
            key = (entry.invoice.id, entry.project.id, entry.task.name, entry.billable_rate)
            hours[key] += entry.rounded_hours
    for expense in records.expenses:
        if expense.invoice is not None:
            costs[expense.invoice.id, expense.project.id] += expense.total_cost
    fixed = {project.id for project in records.projects if project.is_fixed_fee}
    lines: dict[Any, Decimal] = {}
    products: dict[Any, Decimal] = {}
    for invoice in records.invoices:
        for line in invoice.line_items:
            if line.project is None or (line.kind == "Service" and line.project.id in fixed):
                continue
            if line.kind == "Service":
                task = line.description.rpartition(": ")[2].rpartition(" (")[0]
                lines[invoice.id, line.project.id, task, line.unit_price] = line.quantity
            else:
                products[invoice.id, line.project.id] = line.amount
    assert lines == hours
    assert products == costs


def check_flags(records: Records) -> None:
    invoices = {invoice.id: invoice for invoice in records.invoices}
    for record in [*records.time_entries, *records.expenses]:
        assert record.is_billed == (record.invoice is not None)
        assert record.is_closed == (record.approval_status == "approved")
        assert record.is_locked == (record.is_closed or record.is_billed)
        assert record.is_locked == (record.locked_reason is not None)
        assert record.created_at <= record.updated_at <= NOW
        if record.invoice is not None:
            invoice = invoices[record.invoice.id]
            assert record.billable
            assert record.created_at < invoice.created_at <= record.updated_at
            assert invoice.client.id == record.client.id
    for entry in records.time_entries:
        assert is_working_day(entry.spent_date)
        assert (entry.billable_rate is not None) == entry.billable
        assert entry.is_running == (entry.timer_started_at is not None)
        assert entry.is_running == (entry.ended_time is None)
        assert entry.rounded_hours % Decimal("0.25") == 0
        assert 0 <= entry.rounded_hours - entry.hours < Decimal("0.25")


def check_ids(records: Records) -> None:
    """Ids grow with creation, none is used for two kinds, and nothing is in the future."""
    seen = Counter[int]()
    for kind in KINDS:
        rows = sorted(truth(records, kind), key=lambda row: row["id"])
        if kind == "teammates":  # these are people
            continue
        seen.update(row["id"] for row in rows)
        made = [row["created_at"] for row in rows if "created_at" in row]
        assert made == sorted(made)
        for name in ("created_at", "updated_at", "sent_at", "paid_at", "closed_at"):
            assert all((row.get(name) or NOW) <= NOW for row in rows), f"{kind}.{name}"
    assert max(seen.values()) == 1


def test_rates_follow_the_project(records: Records) -> None:
    people = {a.id: a for a in records.user_assignments}
    tasks = {a.id: a for a in records.task_assignments}
    seen = Counter[str]()
    for entry in records.time_entries:
        project = records.projects.get(entry.project.id)
        assert project is not None
        assert entry.billable == tasks[entry.task_assignment.id].billable
        if entry.billable:
            by = {
                "Project": project.hourly_rate,
                "Tasks": tasks[entry.task_assignment.id].hourly_rate,
                "People": people[entry.user_assignment.id].hourly_rate,
            }
            assert entry.billable_rate == by[project.bill_by]
            seen[project.bill_by] += 1
        assert people[entry.user_assignment.id].user.id == entry.user.id
        assert people[entry.user_assignment.id].project.id == entry.project.id
        assert tasks[entry.task_assignment.id].task.id == entry.task.id
    assert set(seen) == {"Project", "Tasks", "People"}


def test_on_a_sunday_too_some_timer_runs() -> None:
    sunday = datetime(2026, 11, 22, 17, tzinfo=UTC)
    running = [e for e in generate(1, sunday, 0.3, 1.0).time_entries if e.is_running]
    assert running
    assert {entry.spent_date for entry in running} == {sunday.date()}


def test_everything_worth_testing_occurs(records: Records) -> None:
    """States, texts and shapes that a client must be able to read."""
    invoices = list(records.invoices)
    assert {invoice.state for invoice in invoices} == {"draft", "open", "paid", "closed"}
    overdue = [i for i in invoices if i.state == "open" and i.due_date < TODAY]
    assert overdue
    assert any(0 < i.due_amount < i.amount for i in overdue)
    assert any(i.state == "draft" and i.due_amount < i.amount for i in invoices)
    assert any(len(records.payments[i.id]) > 1 and i.state == "paid" for i in invoices)
    assert any(i.discount for i in invoices) and any(i.tax2 for i in invoices)
    assert any(line.project is None for i in invoices for line in i.line_items)
    payments = [p for table in records.payments.values() for p in table]
    assert any(p.payment_gateway.id for p in payments)
    assert any(p.payment_gateway.id is None for p in payments)
    messages = [m for table in records.messages.values() for m in table]
    assert {m.event_type for m in messages} == {None, "close", "draft", "re-open", "send"}
    assert any(m.reminder for m in messages) and any(m.thank_you for m in messages)
    entries = list(records.time_entries)
    assert any(entry.is_running for entry in entries)
    assert any(entry.external_reference for entry in entries)
    assert {entry.approval_status for entry in entries} == {"unsubmitted", "submitted", "approved"}
    notes = {entry.notes for entry in entries}
    assert {None, ""} <= notes
    text = "".join(note or "" for note in notes)
    assert "\r\n" in text and "é" in text and any(ord(letter) > 0xFFFF for letter in text)
    assert min(entry.id for entry in entries) > 2**31
    assert {None, ""} <= {project.code for project in records.projects}
    assert {p.bill_by for p in records.projects} == {"Project", "Tasks", "People", "none"}
    assert {p.budget_by for p in records.projects} == {
        "project", "project_cost", "task", "task_fees", "person", "none",
    }  # fmt: skip
    assert len({client.currency for client in records.clients}) >= 5
    for kind in ("clients", "projects", "users", "tasks", "task_assignments", "user_assignments"):
        assert {record.is_active for record in records.table(kind)} == {True, False}, kind
    expenses = list(records.expenses)
    assert any(e.receipt for e in expenses) and any(e.receipt is None for e in expenses)
    by_mile = [e for e in expenses if e.expense_category.unit_price is not None]
    assert by_mile
    for expense in by_mile:
        assert expense.expense_category.unit_price is not None
        assert expense.total_cost == expense.units * expense.expense_category.unit_price


def test_the_second_account_enters_durations() -> None:
    second = generate(1, NOW, 0.1, 1.0, number=1)
    assert second.company.wants_timestamp_timers is False
    assert {entry.started_time for entry in second.time_entries} == {None}
