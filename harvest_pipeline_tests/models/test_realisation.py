"""What of the list value was invoiced, and how invoices are split among the time on them."""

from collections import defaultdict
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from harvest_pipeline.sandbox.records import Records
from harvest_pipeline_tests.models.warehouse import Answers, entry, invoice, line, project, rounded

DAY = date(2026, 10, 5)
EXPENSES = {"id": 2, "name": "Product", "use_as_service": False, "use_as_expense": True}


def billed(id: int, hours: int, **fields: Any) -> dict[str, Any]:
    """Time that is on the invoice 1."""
    return entry(id, DAY, hours, is_billed=True, invoice_id=1, **fields)


def found(answers: Answers, columns: str) -> list[tuple[Any, ...]]:
    """These columns of each project and person."""
    return answers.rows(f"SELECT {columns} FROM realisation ORDER BY project_id, user_id")


def test_each_month_of_the_sandbox_has_its_list_value_in_its_parts(
    records: Records, account: Answers
) -> None:
    states = {each.id: each for each in records.invoices}
    parts: dict[Any, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for each in records.time_entries:
        if not each.billable:
            continue
        bill = states[each.invoice.id] if each.invoice else None
        part = (
            "unbilled_value"
            if not each.is_billed
            else "unknown_value"
            if bill is None or bill.currency != each.client.currency
            else "draft_value"
            if bill.state == "draft"
            else "billed_value"
        )
        key = (each.project.id, each.user.id, each.spent_date.replace(day=1))
        value = each.rounded_hours * (each.billable_rate or 0)
        parts[key][part] += value
        parts[key]["list_value"] += value
        parts[key]["billable_hours"] += each.rounded_hours
    rows = account.records("FROM realisation")
    assert {(row["project_id"], row["user_id"], row["month"]) for row in rows} == parts.keys()
    for row in rows:
        values = parts[row["project_id"], row["user_id"], row["month"]]
        assert row["billable_hours"] == values.pop("billable_hours")
        for name in ("list_value", "unbilled_value", "unknown_value", "draft_value"):
            assert row[name] == rounded(values[name], row["currency"])


def test_what_the_sandbox_invoiced_is_split_among_its_time_and_nothing_is_lost(
    records: Records, account: Answers
) -> None:
    on_invoices = {each.invoice.id for each in records.time_entries if each.invoice}
    kinds = {
        each.name
        for each in records.invoice_item_categories
        if each.use_as_expense and not each.use_as_service
    }
    expected: dict[str, Decimal] = defaultdict(Decimal)
    for bill in records.invoices:
        if bill.id in on_invoices and bill.state != "draft":
            lines = sum((x.amount for x in bill.line_items if x.kind not in kinds), Decimal(0))
            expected[bill.currency] += lines * (1 - (bill.discount or Decimal(0)) / 100)
    sums = account.rows(
        "SELECT currency, sum(invoiced_amount), count(*) FROM realisation GROUP BY 1"
    )
    assert {currency for currency, total, _ in sums if total} == expected.keys()
    for currency, total, rows in sums:
        # Each row is rounded.
        unit = Decimal(1) if currency == "JPY" else Decimal("0.01")
        assert abs(total - expected[currency]) <= rows * unit / 2


def test_a_line_of_a_project_is_split_by_list_value_less_the_discount(answers: Answers) -> None:
    answers.add("projects", project(1), project(2))
    answers.add("invoices", invoice(1, 1000, discount=10))
    answers.add("invoice_line_items", line(1, 1, 900), line(2, 1, 300, project_id=2))
    answers.add(
        "time_entries",
        billed(1, 2),
        billed(2, 1, user_id=6, billable_rate=200),
        billed(3, 5, user_id=6, project_id=2),
    )
    columns = "user_id, billed_value, invoiced_amount, realisation, effective_rate"
    assert found(answers, columns) == [
        (5, 200, 405, pytest.approx(2.025), pytest.approx(202.5)),
        (6, 200, 405, pytest.approx(2.025), pytest.approx(405)),
        (6, 500, 270, pytest.approx(0.54), pytest.approx(54)),
    ]


def test_a_free_line_is_split_among_all_time_of_the_invoice_and_expenses_are_not(
    answers: Answers,
) -> None:
    answers.add("invoice_item_categories", EXPENSES)
    answers.add("projects", project(1), project(2))
    answers.add("invoices", invoice(1, 1000))
    answers.add(
        "invoice_line_items",
        line(1, 1, 300, project_id=None),
        line(2, 1, 100, project_id=3),  # a project without time on the invoice
        line(3, 1, 77, kind="Product"),
    )
    answers.add("time_entries", billed(1, 1), billed(2, 3, project_id=2))
    assert found(answers, "project_id, invoiced_amount") == [(1, 100), (2, 300)]


def test_time_without_a_rate_is_split_by_hours(answers: Answers) -> None:
    answers.add("projects", project(is_fixed_fee=True, bill_by="none"))
    answers.add("invoices", invoice(1, 800))
    answers.add("invoice_line_items", line(1, 1, 800))
    answers.add(
        "time_entries",
        billed(1, 1, billable_rate=None),
        billed(2, 3, user_id=6, billable_rate=None),
    )
    columns = "user_id, list_value, invoiced_amount, realisation, effective_rate"
    assert found(answers, columns) == [(5, 0, 200, None, 200), (6, 0, 600, None, 200)]


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"state": "draft"}, "draft_value"),
        ({"currency": "USD"}, "unknown_value"),
        ({"state": "paid", "due_amount": 0}, "billed_value"),
    ],
)
def test_only_an_invoice_that_was_sent_counts_and_only_in_its_currency(
    answers: Answers, fields: dict[str, Any], part: str
) -> None:
    answers.add("projects", project())
    answers.add("invoices", {**invoice(1, 200), **fields})
    answers.add("invoice_line_items", line(1, 1, 150))
    answers.add("time_entries", billed(1, 2), entry(2, DAY, 1), entry(3, DAY, 4, is_billed=True))
    (row,) = answers.records("FROM realisation")
    assert row["list_value"] == 700
    assert row["unbilled_value"] == 100
    expected = {"draft_value": 0, "unknown_value": 400, "billed_value": 0}
    expected[part] += 200
    assert {name: row[name] for name in expected} == expected
    assert row["invoiced_amount"] == (150 if part == "billed_value" else 0)


def test_what_remained_due_of_a_closed_invoice_is_written_off(answers: Answers) -> None:
    answers.add("projects", project())
    answers.add("invoices", invoice(1, 240, state="closed", due_amount=60, tax=20, tax_amount=40))
    answers.add("invoice_line_items", line(1, 1, 200))
    answers.add("time_entries", billed(1, 2))
    assert found(answers, "invoiced_amount, written_off_amount") == [(200, 50)]


def test_the_month_is_that_of_the_work_also_in_a_leap_year(answers: Answers) -> None:
    answers.add("projects", project())
    answers.add("time_entries", entry(1, date(2028, 2, 29), 1), entry(2, date(2028, 3, 1), 2))
    assert answers.rows("SELECT month, billable_hours FROM realisation ORDER BY month") == [
        (date(2028, 2, 1), 1),
        (date(2028, 3, 1), 2),
    ]
