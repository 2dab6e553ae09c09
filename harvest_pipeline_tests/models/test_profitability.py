"""Profitability: revenue, cost and margin of a project in a month."""

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from harvest_pipeline.sandbox.model import Project
from harvest_pipeline.sandbox.records import Records
from harvest_pipeline_tests.models.conftest import RATES
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

ZERO = Decimal(0)
FEBRUARY, MARCH = date(2024, 2, 1), date(2024, 3, 1)


def rate_on(currency: str, day: date) -> Decimal | None:
    """What a euro gave on a day."""
    if currency == "EUR":
        return Decimal(1)
    known = [(since, rate) for (code, since), rate in RATES.items() if code == currency]
    return max(((since, rate) for since, rate in known if since <= day), default=(day, None))[1]


def first_of_month(day: date) -> date:
    return day.replace(day=1)


def expected(records: Records, one: Project) -> dict[date, tuple[Any, Any, Any]]:
    """Revenue, cost and margin of each month of a project."""
    months: dict[date, dict[str, Any]] = defaultdict(
        lambda: {"revenue": ZERO, "time": ZERO, "expenses": ZERO, "known": True, "rates": True}
    )
    for each in records.time_entries:
        if each.project.id != one.id:
            continue
        month = months[first_of_month(each.spent_date)]
        if each.billable and not one.is_fixed_fee:
            month["revenue"] += each.rounded_hours * (each.billable_rate or 0)
            month["known"] &= each.billable_rate is not None
        rate = rate_on(each.client.currency, each.spent_date)
        month["known"] &= each.cost_rate is not None
        if each.cost_rate:
            month["rates"] &= rate is not None
            month["time"] += each.hours * each.cost_rate * (rate or 0)
    for each in records.expenses:
        if each.project.id == one.id:
            month = months[first_of_month(each.spent_date)]
            month["expenses"] += each.total_cost
            if each.billable and one.is_billable and not one.is_fixed_fee:
                month["revenue"] += each.total_cost
    dated = not one.is_fixed_fee or (one.starts_on is not None and one.ends_on is not None)
    if one.is_fixed_fee and one.starts_on and one.ends_on:
        earned: dict[date, int] = defaultdict(int)
        day = one.starts_on
        while day <= one.ends_on:
            earned[first_of_month(day)] += 1
            day += timedelta(days=1)
        fee, days, whole, before = fee_of(records, one), 0, sum(earned.values()), ZERO
        for month, count in sorted(earned.items()):
            days += count
            until_then = rounded(fee * days / whole, one.client.currency)
            months[month]["revenue"] = until_then - before
            before = until_then
    found: dict[date, tuple[Any, Any, Any]] = {}
    currency = one.client.currency
    for month, sums in months.items():
        revenue = rounded(sums["revenue"], currency) if dated else None
        cost = rounded(sums["time"], currency) + rounded(sums["expenses"], currency)
        cost = cost if sums["rates"] else None
        complete = revenue is not None and cost is not None and sums["known"]
        found[month] = (revenue, cost, revenue - cost if complete else None)
    return found


def fee_of(records: Records, one: Project) -> Decimal:
    """The fee, or what was invoiced of it where that is more."""
    invoiced = sum(
        (
            each.amount * (100 - (invoice.discount or 0)) / 100
            for invoice in records.invoices
            for each in invoice.line_items
            if each.project and each.project.id == one.id and each.kind == "Service"
        ),
        ZERO,
    )
    assert one.fee is not None
    return max(one.fee, invoiced)


def test_every_project_of_an_account_has_its_revenue_cost_and_margin(
    records: Records, account: Answers
) -> None:
    found: dict[int, dict[date, Any]] = defaultdict(dict)
    for row in account.records("FROM profitability"):
        found[row["project_id"]][row["month"]] = (row["revenue"], row["cost"], row["margin"])
    for one in records.projects:
        assert found[one.id] == expected(records, one), one
    kinds = {
        (row["billing"], row["currency"], row["margin"] is None)
        for row in account.records("FROM profitability")
    }
    assert {("fixed fee", "JPY", True), ("non-billable", "EUR", True)} <= kinds
    assert ("time and materials", "USD", False) in kinds


def test_the_reason_says_what_is_missing(records: Records, account: Answers) -> None:
    reasons = {
        part
        for (reason,) in account.rows("SELECT DISTINCT reason FROM profitability")
        for part in (reason or "").split("; ")
    }
    assert reasons == {
        "",
        "hours have no cost rate",
        "the project has no start or no end date",
        "there is no exchange rate from the currency of the company",
    }
    assert account.rows("FROM profitability WHERE (margin IS NULL) <> (reason IS NOT NULL)") == []


def test_a_fixed_fee_is_spread_by_day_and_adds_up_even_through_a_leap_february(
    answers: Answers,
) -> None:
    days = {"starts_on": date(2024, 1, 31), "ends_on": MARCH}
    answers.add("projects", project(1, is_fixed_fee=True, fee=1000, **days))
    rows = answers.rows("SELECT month, revenue, cost, margin FROM profitability ORDER BY month")
    # 31 days in all: 1 in January, 29 in February, 1 in March
    revenues = [Decimal("32.26"), Decimal("935.48"), Decimal("32.26")]
    assert [row[1] for row in rows] == revenues
    assert sum(revenues) == 1000
    assert [row[0] for row in rows] == [date(2024, 1, 1), FEBRUARY, MARCH]
    assert [row[3] for row in rows] == revenues


def test_a_fixed_fee_without_an_end_date_has_no_revenue_and_says_why(answers: Answers) -> None:
    answers.add("projects", project(1, is_fixed_fee=True, fee=1000, starts_on=FEBRUARY))
    answers.add("time_entries", entry(1, date(2024, 2, 29), 2))
    (row,) = answers.records("FROM profitability")
    assert (row["month"], row["revenue"], row["cost"], row["margin"]) == (FEBRUARY, None, 80, None)
    assert row["reason"] == "the project has no start or no end date"


def test_more_invoiced_than_the_fee_takes_its_place(answers: Answers) -> None:
    days = {"starts_on": FEBRUARY, "ends_on": date(2024, 2, 29)}
    answers.add("projects", project(1, is_fixed_fee=True, fee=1000, **days))
    answers.add("invoice_item_categories", PRODUCT)
    answers.add("invoices", invoice(1, 1500, state="draft"), invoice(2, 500, discount=10))
    answers.add("invoice_line_items", line(1, 1, 900), line(2, 1, 600, kind="Product"))
    assert answers.rows("SELECT revenue FROM profitability") == [(1000,)]
    answers.add("invoice_line_items", line(3, 2, 500), line(4, 2, 70, project_id=None))
    assert answers.rows("SELECT revenue FROM profitability") == [(1350,)]


def test_work_for_a_client_in_yen_costs_yen_at_the_rate_of_its_day(answers: Answers) -> None:
    answers.add("projects", project(1, client_currency="JPY"))
    yen: dict[str, Any] = {"client_currency": "JPY", "billable_rate": 15001}
    answers.add(
        "time_entries",
        entry(1, date(2024, 2, 1), "1.5", **yen),
        entry(2, date(2024, 2, 29), 1, **yen),
        entry(3, MARCH, 1, **yen),
    )
    answers.add("expenses", expense(1, MARCH, 500, billable=False, client_currency="JPY"))
    sql = "SELECT month, revenue, cost, margin, reason FROM profitability ORDER BY month"
    reason = "there is no exchange rate from the currency of the company"
    # half a yen is rounded up, once a month
    assert answers.rows(sql) == [
        (FEBRUARY, 37503, None, None, reason),
        (MARCH, 15001, None, None, reason),
    ]
    rates = [(date(2024, 1, 1), "160.01"), (date(2024, 2, 29), "162"), (date(2024, 3, 2), "900")]
    for day, rate in rates:
        answers.add(
            "exchange_rates",
            {"day": day, "from_currency": "EUR", "to_currency": "JPY", "rate": rate},
        )
    february = 9601 + 6480  # 60 euros at 160.01, 9600.6 yen, and 40 at 162
    assert answers.rows(sql) == [
        (FEBRUARY, 37503, february, 37503 - february, None),
        (MARCH, 15001, 6980, 15001 - 6980, None),
    ]


def test_hours_without_a_rate_count_as_nothing_and_leave_no_margin(answers: Answers) -> None:
    answers.add("projects", project(1))
    answers.add(
        "time_entries",
        entry(1, FEBRUARY, 2),
        entry(2, FEBRUARY, 3, billable_rate=None),
        entry(3, FEBRUARY, 1, billable=False, billable_rate=None, cost_rate=None),
    )
    (row,) = answers.records("FROM profitability")
    assert (row["revenue"], row["cost"], row["margin"]) == (200, 200, None)
    assert (row["hours_without_rate"], row["hours_without_cost_rate"]) == (3, 1)
    assert row["reason"] == "hours have no billable rate; hours have no cost rate"


def test_the_last_day_of_a_month_belongs_to_it_and_dinars_have_three_digits(
    answers: Answers,
) -> None:
    answers.add("projects", project(1, client_currency="KWD"))
    dinars: dict[str, Any] = {"client_currency": "KWD", "billable_rate": "30.125", "cost_rate": 0}
    answers.add(
        "time_entries",
        entry(1, date(2024, 2, 29), "0.25", **dinars),
        entry(2, MARCH, 1, **dinars),
    )
    answers.add("expenses", expense(1, date(2024, 2, 29), "10.005", client_currency="KWD"))
    assert answers.rows("SELECT month, revenue, margin FROM profitability ORDER BY month") == [
        (FEBRUARY, Decimal("17.536"), Decimal("7.531")),
        (MARCH, Decimal("30.125"), Decimal("30.125")),
    ]


def test_a_project_that_is_not_billable_has_costs_only(answers: Answers) -> None:
    answers.add("projects", project(1, is_billable=False))
    answers.add("time_entries", entry(1, FEBRUARY, 2, billable=False, billable_rate=None))
    answers.add("expenses", expense(1, FEBRUARY, 30), expense(2, FEBRUARY, 5, billable=False))
    (row,) = answers.records("FROM profitability")
    assert (row["billing"], row["revenue"], row["cost"]) == ("non-billable", 0, 115)
    assert (row["margin"], row["reason"]) == (-115, None)
