"""The nine monthly reports, against those that the sandbox computes from its records."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from harvest_pipeline.sandbox import reports
from harvest_pipeline.sandbox.records import Records
from harvest_pipeline_tests.models.conftest import TODAY
from harvest_pipeline_tests.models.warehouse import Answers, entry, expense, project, rounded

TIME = {"client": "clients", "project": "projects", "task": "tasks", "team": "team"}
EXPENSES = {"client": "clients", "project": "projects", "category": "categories", "team": "team"}


def months(records: Records) -> Iterator[tuple[date, date]]:
    """The first and last day of every month that the account has."""
    month = min(each.spent_date for each in records.time_entries).replace(day=1)
    while month <= TODAY:
        after = (month + timedelta(days=32)).replace(day=1)
        yield month, after - timedelta(days=1)
        month = after


def subject_of(row: dict[str, Any], name: str) -> int:
    """The id of what a row is about."""
    column = {"team": "user", "category": "expense_category"}.get(name, name)
    return row[f"{column}_id"]


@pytest.mark.parametrize("name", TIME)
def test_time_of_each_month_is_what_harvest_reports(
    records: Records, account: Answers, name: str
) -> None:
    expected = {
        (month, subject_of(row, name), row["currency"]): (
            row["total_hours"],
            row["billable_hours"],
            rounded(row["billable_amount"], row["currency"]),
        )
        for month, last in months(records)
        for row in reports.time_rows(
            records,
            records.time_entries.between(month, last),
            TIME[name],
            with_money=True,
            include_fixed_fee=False,
        )
    }
    found = {
        (row["month"], subject_of(row, name), row["currency"]): (
            row["total_hours"],
            row["billable_hours"],
            row["billable_amount"],
        )
        for row in account.records(f"FROM time_by_{name}")
    }
    assert found == expected


@pytest.mark.parametrize("name", EXPENSES)
def test_expenses_of_each_month_are_what_harvest_reports(
    records: Records, account: Answers, name: str
) -> None:
    expected = {
        (month, subject_of(row, name), row["currency"]): (
            row["total_amount"],
            row["billable_amount"],
        )
        for month, last in months(records)
        for row in reports.expense_rows(
            records, records.expenses.between(month, last), EXPENSES[name]
        )
    }
    found = {
        (row["month"], subject_of(row, name), row["currency"]): (
            row["total_amount"],
            row["billable_amount"],
        )
        for row in account.records(f"FROM expenses_by_{name}")
    }
    assert found == expected


def test_what_is_uninvoiced_of_each_month_is_what_harvest_reports(
    records: Records, account: Answers
) -> None:
    names = ("total_hours", "uninvoiced_hours", "uninvoiced_expenses")
    expected = {
        (month, row["project_id"]): (
            *(row[name] for name in names),
            rounded(row["uninvoiced_amount"], row["currency"]),
        )
        for month, last in months(records)
        for row in reports.uninvoiced_rows(
            records, records.projects, month, last, include_fixed_fee=False
        )
        if row["total_hours"] or row["uninvoiced_expenses"]
    }
    found = {
        (row["month"], row["project_id"]): (
            *(row[name] for name in names),
            row["uninvoiced_amount"],
        )
        for row in account.records("FROM uninvoiced")
        if row["total_hours"] or row["uninvoiced_expenses"]
    }
    assert found == expected


def test_a_late_edit_is_in_the_month_that_it_was_made_to(answers: Answers) -> None:
    answers.add("projects", project())
    answers.add("time_entries", entry(1, date(2025, 1, 31), 2), entry(2, date(2025, 2, 1), 3))
    sql = "SELECT month, total_hours FROM time_by_client ORDER BY month"
    january, february = date(2025, 1, 1), date(2025, 2, 1)
    assert answers.rows(sql) == [(january, 2), (february, 3)]
    answers.rows(
        "UPDATE time_entries SET rounded_hours = 7, spent_date = '2025-02-28' WHERE id = 1"
    )
    assert answers.rows(sql) == [(february, 10)]


def test_currencies_are_never_added(answers: Answers) -> None:
    answers.add("projects", project(1), project(2, client_currency="JPY"))
    day = date(2026, 3, 1)
    answers.add("time_entries", entry(1, day, Decimal("0.01")))
    answers.add(
        "time_entries", entry(2, day, Decimal("0.014"), project_id=2, client_currency="JPY")
    )
    answers.add("expenses", expense(1, day, 5), expense(2, day, 7, client_currency="JPY"))
    found = answers.rows("SELECT currency, billable_amount FROM time_by_team ORDER BY 1")
    assert found == [("EUR", 1), ("JPY", 1)]
    exact = answers.rows("SELECT billable_amount_exact FROM time_by_team ORDER BY 1")
    assert exact == [(1,), (Decimal("1.4"),)]
    found = answers.rows("SELECT currency, total_amount FROM expenses_by_team ORDER BY 1")
    assert found == [("EUR", 5), ("JPY", 7)]
