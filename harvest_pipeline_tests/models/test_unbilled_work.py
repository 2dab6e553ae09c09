"""What was not invoiced yet, and its equality with Harvest's uninvoiced report."""

from collections import defaultdict
from datetime import date
from decimal import Decimal
from typing import Any

from harvest_pipeline.sandbox.records import Records
from harvest_pipeline.sandbox.reports import uninvoiced_rows
from harvest_pipeline_tests.models.conftest import TODAY
from harvest_pipeline_tests.models.warehouse import (
    PRODUCT,
    Answers,
    entry,
    expense,
    invoice,
    line,
    project,
    rounded,
)

BEFORE, MAY, JUNE = date(2000, 1, 1), date(2026, 5, 1), date(2026, 6, 1)


def test_the_sum_over_the_months_is_what_harvest_reports(
    records: Records, account: Answers
) -> None:
    reported = uninvoiced_rows(records, records.projects, BEFORE, TODAY, include_fixed_fee=True)
    found = {
        project_id: sums
        for project_id, *sums in account.rows(
            "SELECT project_id, sum(hours), sum(expenses), sum(amount)"
            " FROM unbilled_work GROUP BY project_id"
        )
    }
    assert len(found) < len(reported)
    for row in reported:
        figures = found.pop(row["project_id"], [0, 0, 0])
        assert figures == [
            row["uninvoiced_hours"],
            rounded(row["uninvoiced_expenses"], row["currency"]),
            rounded(row["uninvoiced_amount"], row["currency"]),
        ], row
    assert found == {}


def test_it_differs_from_the_monthly_report_only_where_something_is_wrong(
    account: Answers,
) -> None:
    assert account.rows("SELECT count(*) > 5 FROM uninvoiced WHERE uninvoiced_hours > 0") == [
        (True,)
    ]
    assert account.rows("FROM unbilled_differences") == []


def test_every_month_has_its_work_and_its_age(records: Records, account: Answers) -> None:
    expected: dict[tuple[int, date], list[Any]] = defaultdict(lambda: [Decimal(0), TODAY])
    for each in [*records.time_entries, *records.expenses]:
        one = records.projects.get(each.project.id)
        assert one is not None
        if one.is_billable and not one.is_fixed_fee and each.billable and not each.is_billed:
            waiting = expected[one.id, each.spent_date.replace(day=1)]
            if hasattr(each, "total_cost"):
                waiting[0] += each.total_cost
            else:
                waiting[0] += each.rounded_hours * (each.billable_rate or 0)
            waiting[1] = min(waiting[1], each.spent_date)
    rows = account.records("FROM unbilled_work WHERE NOT is_fixed_fee")
    found = {(row["project_id"], row["month"]): row for row in rows}
    assert found.keys() == expected.keys()
    for key, (amount, oldest) in expected.items():
        unit = 1 if found[key]["currency"] == "JPY" else Decimal("0.01")
        assert abs(found[key]["amount"] - amount) <= unit
        assert found[key]["oldest_day"] == oldest
        assert found[key]["age_days"] == (TODAY - oldest).days


def test_the_months_of_a_project_in_yen_add_up_to_its_whole_amount(answers: Answers) -> None:
    answers.add("projects", project(1, client_currency="JPY"))
    yen = {"client_currency": "JPY", "billable_rate": 1001}
    answers.add("time_entries", entry(1, MAY, "0.5", **yen), entry(2, JUNE, "0.5", **yen))
    # 500.5 in each month, 1001 in all
    amounts = answers.rows("SELECT amount FROM unbilled_work ORDER BY month")
    assert amounts == [(501,), (500,)]


def test_only_billable_work_that_is_on_no_invoice_waits(answers: Answers) -> None:
    answers.add("projects", project(1), project(2, is_billable=False))
    answers.add(
        "time_entries",
        entry(1, date(2026, 5, 31), 1),
        entry(2, JUNE, 2),
        entry(3, JUNE, 4, billable=False),
        entry(4, JUNE, 8, is_billed=True),
        entry(5, JUNE, 16, project_id=2),
        entry(6, JUNE, 32, billable_rate=None),
    )
    answers.add(
        "expenses",
        expense(1, MAY, "9.99"),
        expense(2, MAY, 5, billable=False),
        expense(3, MAY, 5, is_billed=True),
        expense(4, MAY, 5, project_id=2),
    )
    columns = "month, hours, expenses, amount, hours_without_rate, oldest_day"
    assert answers.rows(f"SELECT {columns} FROM unbilled_work ORDER BY month") == [
        (MAY, 1, Decimal("9.99"), Decimal("109.99"), 0, MAY),
        (JUNE, 34, 0, 200, 32, JUNE),
    ]


def test_a_fixed_fee_waits_from_its_start_less_what_was_invoiced(answers: Answers) -> None:
    fee: dict[str, Any] = {"is_fixed_fee": True, "fee": 1000, "created_at": "2026-06-30 23:30:00Z"}
    answers.add(
        "projects",
        project(1, starts_on=date(2026, 5, 31), **fee),
        project(2, **fee),
        project(3, starts_on=date(2026, 11, 21), **fee),
        project(4, starts_on=MAY, **fee),
        project(5, starts_on=MAY, **fee),
    )
    answers.add("time_entries", entry(1, JUNE, 3))
    answers.add("invoice_item_categories", PRODUCT)
    answers.add("invoices", invoice(1, 1500, state="draft"), invoice(2, 70, state="closed"))
    answers.add(
        "invoice_line_items",
        line(1, 1, 300),
        line(2, 1, 50, kind="Product"),
        line(3, 2, 70),
        line(4, 1, 1000, project_id=4),
        line(5, 1, 1100, project_id=5),
    )
    assert answers.rows(
        "SELECT project_id, month, hours, amount FROM unbilled_work ORDER BY project_id, month"
    ) == [
        (1, MAY, 0, 630),
        (1, JUNE, 3, 0),
        (2, JUNE, 0, 1000),
        (5, MAY, 0, -100),
    ]
