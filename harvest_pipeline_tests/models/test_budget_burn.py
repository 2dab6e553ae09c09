"""The burn of budgets, day by day, and its equality with Harvest's project budget report."""

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest

from harvest_pipeline.sandbox.records import Records
from harvest_pipeline.sandbox.reports import budget_rows
from harvest_pipeline.warehouse import models
from harvest_pipeline_tests.models.conftest import TODAY
from harvest_pipeline_tests.models.warehouse import Answers, entry, expense, project, rounded

FIRST, LAST = date(2026, 11, 1), TODAY


def test_today_it_is_what_harvest_reports(records: Records, account: Answers) -> None:
    reported = {
        row["project_id"]: (row["budget"], row["budget_spent"], row["budget_remaining"])
        for row in budget_rows(records, records.projects, TODAY, with_money=True)
    }
    rows = account.records("FROM budget_burn WHERE day = ?", TODAY)
    assert {row["project_id"]: (row["budget"], row["spent"], row["remaining"]) for row in rows} == {
        key: tuple(rounded(value, unit_of(records, key)) for value in values)
        for key, values in reported.items()
    }
    assert any(row["is_monthly"] and row["spent"] for row in rows)
    assert {row["budget_by"] for row in rows} == {
        "project", "project_cost", "task", "task_fees", "person"
    }  # fmt: skip


def unit_of(records: Records, project_id: int) -> str:
    """The currency of a budget in money, or hours."""
    one = records.projects.get(project_id)
    assert one is not None
    in_money = one.budget_by in ("project_cost", "task_fees")
    return one.client.currency if in_money else "hours"


def test_it_differs_from_a_report_only_where_the_report_says_something_else(
    records: Records, account: Answers
) -> None:
    rows = budget_rows(records, records.projects, TODAY, with_money=True)
    account.rows("BEGIN")
    try:
        days = (TODAY - timedelta(days=1), TODAY)
        for key, (day, row) in enumerate(product(days, rows)):
            account.add("project_budgets", {"key": key, "day": day, **row})
        assert account.rows("FROM budget_differences") == []
        account.rows("UPDATE project_budgets SET budget = 1 WHERE day < ?", TODAY)
        assert account.rows("FROM budget_differences") == []
        account.rows(
            "UPDATE project_budgets SET budget_spent = budget_spent + 0.25 WHERE project_id = ?",
            rows[3]["project_id"],
        )
        account.rows("DELETE FROM project_budgets WHERE project_id = ?", rows[5]["project_id"])
        found = account.rows("SELECT project_id, harvest_spent - spent FROM budget_differences")
        assert dict(found) == {
            rows[3]["project_id"]: Decimal("0.25"),
            rows[5]["project_id"]: None,
        }
        account.rows("DELETE FROM project_budgets WHERE day = ?", TODAY)
        assert account.rows("FROM budget_differences") == []
    finally:
        account.rows("ROLLBACK")


@pytest.mark.parametrize("budget_by", ["project", "project_cost", "task", "task_fees", "person"])
def test_every_past_day_has_what_was_spent_until_then(
    budget_by: str, records: Records, account: Answers
) -> None:
    for one in records.projects:
        if one.budget_by != budget_by:
            continue
        amounts: dict[date, Decimal] = defaultdict(Decimal)
        in_money = budget_by in ("project_cost", "task_fees")
        mine = [each for each in records.time_entries if each.project.id == one.id]
        for each in mine:
            rate = (each.billable_rate or 0) if in_money else 1
            amounts[each.spent_date] += each.rounded_hours * rate
        if one.cost_budget_include_expenses:
            for spent in records.expenses:
                if spent.project.id == one.id:
                    amounts[spent.spent_date] += spent.total_cost
        first = min([one.starts_on or TODAY, *(each.spent_date for each in mine)])
        unit = unit_of(records, one.id)
        found = account.records("FROM budget_burn WHERE project_id = ? ORDER BY day", one.id)
        assert len(found) == (TODAY - first).days + 1
        spent_until, recent = Decimal(0), []
        for number, row in enumerate(found):
            day = first + timedelta(days=number)
            if one.budget_is_monthly and day.day == 1:
                spent_until = Decimal(0)
            spent_until += amounts[day]
            recent = [*recent, amounts[day]][-28:]
            assert row["day"] == day
            assert row["spent_on_day"] == rounded(amounts[day], unit)
            assert row["spent"] == rounded(spent_until, unit)
            assert row["remaining"] == row["budget"] - row["spent"]
            assert row["is_over"] == (row["remaining"] < 0)
            assert row["daily_pace"] == rounded(sum(recent, Decimal(0)) / len(recent), unit)
            runs_out = row["runs_out_on"]
            if runs_out is None:
                continue
            days = (runs_out - day).days
            left, pace = row["budget"] - spent_until, sum(recent, Decimal(0)) / len(recent)
            assert pace * (days - 1) < left + Decimal("0.0001")
            assert pace * days > left - Decimal("0.0001")


def burn(answers: Answers, day: date = LAST) -> dict[str, Any]:
    """The row of the only project on a day."""
    (row,) = answers.records("FROM budget_burn WHERE day = ?", day)
    return row


def test_a_monthly_budget_starts_again_and_in_its_first_month_too(answers: Answers) -> None:
    answers.add("projects", project(1, budget_by="project", budget=40, budget_is_monthly=True))
    answers.add(
        "time_entries",
        entry(1, date(2026, 9, 30), 8),
        entry(2, date(2026, 10, 1), 7),
        entry(3, date(2026, 10, 31), 35),
        entry(4, FIRST, 1),
    )
    sql = "SELECT day, spent, is_over FROM budget_burn WHERE spent_on_day > 0 ORDER BY day"
    assert answers.rows(sql) == [
        (date(2026, 9, 30), 8, False),
        (date(2026, 10, 1), 7, False),
        (date(2026, 10, 31), 42, True),
        (FIRST, 1, False),
    ]
    assert burn(answers)["remaining"] == 39


def test_what_was_entered_for_days_to_come_counts_on_the_last_day_as_in_the_report(
    answers: Answers,
) -> None:
    answers.add("projects", project(1, budget_by="project", budget=40))
    answers.add(
        "time_entries",
        entry(1, FIRST, 1),
        entry(2, date(2026, 11, 30), 2),
        entry(3, date(2026, 12, 1), 4),
    )
    assert burn(answers, LAST - timedelta(days=1))["spent"] == 1
    assert (burn(answers)["spent"], burn(answers)["spent_on_day"]) == (7, 6)
    answers.rows("UPDATE projects SET budget_is_monthly = true")
    assert burn(answers)["spent"] == 3


def test_a_blank_budget_of_a_person_counts_nothing_and_a_budget_of_0_counts(
    answers: Answers,
) -> None:
    answers.add("projects", project(1, budget_by="person", budget=999))
    answers.add(
        "user_assignments",
        {"id": 1, "project_id": 1, "user_id": 5, "budget": 10},
        {"id": 2, "project_id": 1, "user_id": 6, "budget": None},
        {"id": 3, "project_id": 1, "user_id": 7, "budget": 0},
        {"id": 4, "project_id": 2, "user_id": 6, "budget": 50},
    )
    hours = {5: 4, 6: 3, 7: 2, 8: 1}
    answers.add("time_entries", *(entry(n, FIRST, hours[n], user_id=n) for n in hours))
    assert (burn(answers)["budget"], burn(answers)["spent"]) == (10, 6)


def test_a_blank_budget_of_a_task_counts_nothing_and_a_budget_of_0_counts(
    answers: Answers,
) -> None:
    answers.add("projects", project(1, budget_by="task_fees"))
    answers.add(
        "task_assignments",
        {"id": 1, "project_id": 1, "task_id": 3, "budget": 1000},
        {"id": 2, "project_id": 1, "task_id": 4, "budget": None},
        {"id": 3, "project_id": 1, "task_id": 9, "budget": 0},
    )
    hours = {3: 4, 4: 3, 9: 2}
    answers.add("time_entries", *(entry(n, FIRST, hours[n], task_id=n) for n in hours))
    row = burn(answers)
    assert (row["budget"], row["spent"], row["unit"]) == (1000, 600, "EUR")


def test_hours_that_are_not_billable_count_where_harvest_marks_them_so(answers: Answers) -> None:
    answers.add("projects", project(1, budget_by="project", budget=10))
    free: dict[str, Any] = {"billable": False, "billable_rate": None}
    answers.add(
        "time_entries",
        entry(1, FIRST, 2),
        entry(2, FIRST, 3, **free),
        entry(3, FIRST, 4, budgeted=False, **free),
        entry(4, FIRST, "1.1", rounded_hours="1.25"),
    )
    assert burn(answers)["spent"] == Decimal("6.25")


def test_expenses_count_for_total_fees_that_include_them(answers: Answers) -> None:
    fees: dict[str, Any] = {"budget_by": "project_cost", "cost_budget": 1000}
    answers.add("projects", project(1, **fees, client_currency="JPY"))
    answers.add("time_entries", entry(1, FIRST, "0.5", billable_rate=401))
    answers.add("expenses", expense(1, FIRST, 100), expense(2, LAST, 50, billable=False))
    assert burn(answers)["spent"] == 201
    answers.rows("UPDATE projects SET cost_budget_include_expenses = true")
    assert (burn(answers, FIRST)["spent"], burn(answers)["spent"]) == (301, 351)
    assert burn(answers)["unit"] == "JPY"


def test_it_runs_out_at_the_pace_of_the_last_28_days(answers: Answers) -> None:
    answers.add("projects", project(1, budget_by="project", budget=100))
    answers.add("time_entries", entry(1, date(2026, 9, 1), 30))
    assert burn(answers)["runs_out_on"] is None  # nobody has worked for four weeks
    answers.add("time_entries", entry(2, date(2026, 10, 24), 14), entry(3, LAST, 14))
    # 28 hours in 28 days, the 24th of October being the first of them, and 42 are left
    assert burn(answers)["daily_pace"] == 1
    assert burn(answers)["runs_out_on"] == LAST + timedelta(days=42)
    answers.rows("UPDATE projects SET budget = 58.01")
    assert burn(answers)["runs_out_on"] == LAST + timedelta(days=1)
    answers.rows("UPDATE projects SET budget = 58")
    row = burn(answers)
    assert (row["remaining"], row["runs_out_on"], row["is_over"]) == (0, None, False)
    answers.rows("UPDATE projects SET budget = 57")
    assert (burn(answers)["spent_percent"], burn(answers)["is_over"]) == (Decimal("101.8"), True)
    answers.rows("UPDATE projects SET budget = 1000000")
    assert burn(answers)["runs_out_on"] is None  # in more than ten years


def test_a_young_project_has_the_pace_of_its_days(answers: Answers) -> None:
    answers.add("projects", project(1, budget_by="project", budget=100))
    answers.add("time_entries", entry(1, LAST - timedelta(days=1), 10), entry(2, LAST, 10))
    assert burn(answers)["runs_out_on"] == LAST + timedelta(days=8)


def test_a_monthly_budget_that_lasts_until_the_end_of_the_month_does_not_run_out(
    answers: Answers,
) -> None:
    answers.add("projects", project(1, budget_by="project", budget=30, budget_is_monthly=True))
    answers.add("time_entries", entry(1, LAST - timedelta(days=1), 10), entry(2, LAST, 10))
    assert burn(answers)["runs_out_on"] == LAST + timedelta(days=1)
    answers.rows("UPDATE projects SET budget = 120")
    assert burn(answers)["runs_out_on"] == LAST + timedelta(days=10)  # the last of the month
    answers.rows("UPDATE projects SET budget = 121")
    assert burn(answers)["runs_out_on"] is None


def test_a_project_begins_with_its_first_entry_or_its_start_or_this_month(
    answers: Answers,
) -> None:
    budget: dict[str, Any] = {"budget_by": "project", "budget": 5}
    answers.add(
        "projects",
        project(1, **budget),
        project(2, **budget, starts_on=date(2026, 10, 20)),
        project(3, **budget, starts_on=date(2026, 10, 20)),
        project(4, **budget, starts_on=date(2027, 1, 1)),
        project(5),
    )
    answers.add("time_entries", entry(1, date(2026, 10, 15), 1, project_id=3))
    sql = "SELECT project_id, min(day), max(day) FROM budget_burn GROUP BY 1 ORDER BY 1"
    assert answers.rows(sql) == [
        (1, FIRST, LAST),
        (2, date(2026, 10, 20), LAST),
        (3, date(2026, 10, 15), LAST),
        (4, LAST, LAST),
    ]


def test_what_was_spent_before_the_first_loaded_day_is_taken_from_harvests_report(
    records: Records, account: Answers
) -> None:
    first = date(2026, 9, 1)
    reported = budget_rows(records, records.projects, TODAY, with_money=True)
    account.rows("BEGIN")
    try:
        whole = dict(account.rows("SELECT project_id, spent FROM budget_burn WHERE day = ?", TODAY))
        account.rows("DELETE FROM time_entries WHERE spent_date < ?", first)
        account.rows("DELETE FROM expenses WHERE spent_date < ?", first)
        for number, row in enumerate(reported):
            account.add("project_budgets", {"key": number, "day": TODAY, **row})
        account.rows("UPDATE _loads SET window_first = ? WHERE record = 'time_entries'", first)
        rows = account.records("FROM budget_burn WHERE day = ?", TODAY)
        assert {row["project_id"]: row["spent"] for row in rows} == whole
        assert any(row["spent_before"] for row in rows)
        assert all(not row["spent_before"] for row in rows if row["is_monthly"])
        [(wrong,)] = account.rows(
            "SELECT count(*) FROM budget_burn WHERE NOT is_monthly AND spent < spent_before"
        )
        assert wrong == 0
    finally:
        account.rows("ROLLBACK")


def test_a_night_that_is_the_day_before_in_utc_is_compared_with_its_own_report(
    records: Records, account: Answers
) -> None:
    tomorrow = TODAY + timedelta(days=1)  # in Auckland, as it is there already
    account.rows("BEGIN")
    try:
        models.create(account.connection, ["budget_differences"], "Pacific/Auckland")
        days = (TODAY, tomorrow)
        rows = budget_rows(records, records.projects, TODAY, with_money=True)
        for key, (day, row) in enumerate(product(days, rows)):
            account.add("project_budgets", {"key": key, "day": day, **row})
        # What was entered since yesterday's reading.
        account.rows("UPDATE project_budgets SET budget_spent = 0 WHERE day = ?", TODAY)
        assert account.rows("SELECT max(day) FROM budget_burn") == [(tomorrow,)]
        assert account.rows("FROM budget_differences") == []
    finally:
        account.rows("ROLLBACK")
