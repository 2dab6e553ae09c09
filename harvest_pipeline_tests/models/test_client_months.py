"""The months of clients: revenue, shares, silence, and an estimate of retainers."""

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from harvest_pipeline.sandbox.records import Records
from harvest_pipeline_tests.models.conftest import TODAY
from harvest_pipeline_tests.models.warehouse import (
    Answers,
    entry,
    expense,
    invoice,
    line,
    project,
)

AUGUST, SEPTEMBER, OCTOBER, NOVEMBER = (date(2026, month, 1) for month in (8, 9, 10, 11))


def last_of(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def test_every_client_has_its_hours_and_its_silence_in_every_month(
    records: Records, account: Answers
) -> None:
    for client in records.clients:
        mine = [each for each in records.time_entries if each.client.id == client.id]
        rows = account.records("FROM client_months WHERE client_id = ? ORDER BY month", client.id)
        assert rows[-1]["month"] == TODAY.replace(day=1)
        for row, following in pairwise(rows):
            assert following["month"] == last_of(row["month"]) + timedelta(days=1)
        for row in rows:
            end = min(last_of(row["month"]), TODAY)
            until = [each for each in mine if each.spent_date <= end]
            within = [each for each in until if each.spent_date >= row["month"]]
            assert row["hours"] == sum(each.hours for each in within)
            assert row["billable_hours"] == sum(e.rounded_hours for e in within if e.billable)
            last = max((each.spent_date for each in until), default=None)
            assert row["days_since_last_entry"] == (None if last is None else (end - last).days)
            assert row["currency"] == client.currency


def test_revenue_is_that_of_the_projects_and_has_a_share_within_its_currency(
    account: Answers,
) -> None:
    sums: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for row in account.records("FROM profitability"):
        sums[row["client_id"], row["month"]].append((row["revenue"], row["margin"]))
    totals: dict[tuple[str, date], Decimal] = defaultdict(Decimal)
    rows = account.records("FROM client_months")
    for row in rows:
        revenues, margins = zip(*sums[row["client_id"], row["month"]] or [(0, 0)], strict=True)
        assert row["revenue"] == (None if None in revenues else sum(revenues))
        assert row["margin"] == (None if None in margins else sum(margins))
        assert (row["margin"] is None) == (row["reason"] is not None)
        totals[row["currency"], row["month"]] += row["revenue"] or 0
    for row in rows:
        total = totals[row["currency"], row["month"]]
        if row["revenue"] and total:
            share = (100 * row["revenue"] / total).quantize(Decimal("0.1"), "ROUND_HALF_UP")
            assert row["revenue_share_percent"] == share
    assert account.rows(
        "SELECT DISTINCT sum(hours_share_percent) BETWEEN 99.5 AND 100.5 FROM client_months"
        " WHERE hours_share_percent IS NOT NULL GROUP BY month"
    ) == [(True,)]


def test_a_client_that_went_quiet_keeps_its_months(answers: Answers) -> None:
    answers.add("clients", {"id": 7, "name": "Aster Foods", "currency": "EUR"})
    answers.add("clients", {"id": 8, "name": "Ember Energy", "currency": "EUR"})
    answers.add("projects", project(1), project(2, client_id=8))
    answers.add("time_entries", entry(1, date(2026, 8, 31), 3), entry(2, SEPTEMBER, 1, client_id=8))
    answers.rows("UPDATE time_entries SET project_id = 2 WHERE client_id = 8")
    answers.add("expenses", expense(1, NOVEMBER, 100))
    assert answers.rows(
        "SELECT month, hours, revenue, cost, margin, margin_percent, revenue_share_percent,"
        " days_since_last_entry FROM client_months WHERE client_id = 7 ORDER BY month"
    ) == [
        (AUGUST, 3, 300, 120, 180, 60, 100, 0),
        (SEPTEMBER, 0, 0, 0, 0, None, 0, 30),
        (OCTOBER, 0, 0, 0, 0, None, None, 61),
        (NOVEMBER, 0, 100, 100, 0, 0, 100, 81),
    ]


def test_what_fills_a_retainer_and_what_draws_on_it_is_estimated(answers: Answers) -> None:
    answers.add("clients", {"id": 7, "name": "Aster Foods", "currency": "EUR"})
    answers.add(
        "invoices",
        invoice(1, 5000, retainer_id=9, issue_date=SEPTEMBER),
        invoice(2, 1200, retainer_id=9),
        invoice(3, 300, retainer_id=9, period_start=OCTOBER),
        invoice(4, 70),
        invoice(5, 800, retainer_id=9, state="draft"),
        invoice(6, 900, retainer_id=9, state="closed"),
    )
    answers.add("invoice_line_items", line(1, 1, 5000, project_id=None), line(2, 2, 1200))
    assert answers.rows(
        "SELECT month, retainer_invoiced_estimate, retainer_drawn_estimate"
        " FROM client_months ORDER BY month"
    ) == [(SEPTEMBER, 5000, 0), (OCTOBER, 0, 1500), (NOVEMBER, 0, 0)]
