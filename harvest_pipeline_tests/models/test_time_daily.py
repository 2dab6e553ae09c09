"""Who worked on what on each day, against the same sums in Python over the sandbox's records."""

from collections import defaultdict
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from harvest_pipeline.sandbox.model import TimeEntry
from harvest_pipeline.sandbox.records import Records
from harvest_pipeline_tests.models.conftest import NOW
from harvest_pipeline_tests.models.warehouse import Answers, entry, project, rounded

DAY = date(2026, 11, 2)


def test_every_day_of_the_sandbox_is_the_sum_of_its_entries(
    records: Records, account: Answers
) -> None:
    groups: dict[Any, list[TimeEntry]] = defaultdict(list)
    for each in records.time_entries:
        groups[each.user.id, each.project.id, each.task.id, each.spent_date].append(each)
    rows = account.records("FROM time_daily")
    assert len(rows) == len(groups)
    for row in rows:
        group = groups[row["user_id"], row["project_id"], row["task_id"], row["day"]]
        billable = [each for each in group if each.billable]
        value = {each.id: each.rounded_hours * (each.billable_rate or 0) for each in billable}
        expected = {
            "client_id": group[0].client.id,
            "currency": group[0].client.currency,
            "user_name": group[0].user.name,
            "entries": len(group),
            "hours": sum(each.hours for each in group),
            "rounded_hours": sum(each.rounded_hours for each in group),
            "billable_hours": sum(each.rounded_hours for each in billable),
            "billed_hours": sum(each.rounded_hours for each in billable if each.is_billed),
            "billable_amount": rounded(sum(value.values(), Decimal(0)), row["currency"]),
            "billed_amount": rounded(
                sum((value[each.id] for each in billable if each.is_billed), Decimal(0)),
                row["currency"],
            ),
            "cost_currency": "EUR",
            "cost_amount": rounded(
                sum((each.hours * (each.cost_rate or 0) for each in group), Decimal(0)), "EUR"
            ),
            "approved_hours": sum(e.hours for e in group if e.approval_status == "approved"),
            "submitted_hours": sum(e.hours for e in group if e.approval_status == "submitted"),
            "as_of": NOW,
        }
        assert {name: row[name] for name in expected} == expected
        assert row["billed_amount"] + row["unbilled_amount"] == row["billable_amount"]
    assert {row["currency"] for row in rows} >= {"EUR", "JPY"}


@pytest.mark.parametrize(
    ("currency", "amount"), [("EUR", "33.34"), ("JPY", "33"), ("KWD", "33.338"), (None, "33.34")]
)
def test_an_amount_has_the_digits_of_its_currency_and_the_cost_those_of_the_company(
    answers: Answers, currency: str, amount: str
) -> None:
    answers.add("projects", project(client_currency=currency))
    third = Decimal("0.333375")
    answers.add("time_entries", entry(1, DAY, third, client_currency=currency))
    found = answers.rows("SELECT billable_amount, cost_currency, cost_amount FROM time_daily")
    assert found == [(Decimal(amount), "EUR", Decimal("13.34"))]


def test_each_entry_counts_on_the_day_that_it_was_entered_for(answers: Answers) -> None:
    answers.add("projects", project())
    # Both were made in one minute, around midnight; Harvest's day is the one in the timesheet.
    answers.add(
        "time_entries",
        entry(1, DAY, 2, started_time="11:30pm", created_at="2026-11-03 00:00:00Z"),
        entry(2, date(2026, 11, 3), 1, started_time="12:00am", created_at="2026-11-02 23:59:59Z"),
        entry(3, DAY, 4, user_id=6),
    )
    found = answers.rows("SELECT day, user_id, hours FROM time_daily ORDER BY ALL")
    assert found == [(DAY, 5, 2), (DAY, 6, 4), (date(2026, 11, 3), 5, 1)]


def test_what_is_not_billable_or_has_no_rate_has_no_amount_and_says_so(answers: Answers) -> None:
    answers.add("projects", project())
    answers.add(
        "time_entries",
        entry(1, DAY, 1, billable=False, billable_rate=None),
        entry(2, DAY, 2, billable_rate=None, cost_rate=None),
        entry(3, DAY, 4, rounded_hours=None, approval_status="submitted", is_billed=True),
    )
    (row,) = answers.records("FROM time_daily")
    assert (row["hours"], row["billable_hours"], row["billable_amount"]) == (7, 6, 400)
    assert (row["hours_without_rate"], row["hours_without_cost_rate"]) == (2, 2)
    assert (row["cost_amount"], row["billed_hours"], row["unbilled_hours"]) == (200, 4, 2)
    assert (row["unsubmitted_hours"], row["submitted_hours"]) == (3, 4)


def test_work_for_a_fixed_fee_has_an_amount_at_its_list_price(answers: Answers) -> None:
    answers.add("projects", project(is_fixed_fee=True))
    answers.add("time_entries", entry(1, DAY, 2))
    found = answers.rows("SELECT is_fixed_fee, billable_amount FROM time_daily")
    assert found == [(True, 200)]
    assert answers.rows("SELECT hourly_amount FROM entry_values") == [(0,)]
