"""Receivables: today, by client, and on any past day."""

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from harvest_pipeline.sandbox.records import Records
from harvest_pipeline.warehouse import models
from harvest_pipeline_tests.models.conftest import TODAY
from harvest_pipeline_tests.models.warehouse import Answers, invoice, payment, rounded


def bucket_of(days: int) -> str:
    for most, bucket in ((0, "0"), (30, "1–30"), (60, "31–60"), (90, "61–90")):
        if days <= most:
            return bucket
    return "90+"


def test_open_invoices_have_what_is_due_and_since_when(records: Records, account: Answers) -> None:
    expected = {
        each.id: (
            each.client.id,
            each.currency,
            rounded(each.due_amount, each.currency),
            max((TODAY - each.due_date).days, 0),
        )
        for each in records.invoices
        if each.state == "open"
    }
    rows = account.records("FROM receivables")
    assert {
        row["invoice_id"]: (
            row["client_id"], row["currency"], row["due_amount"], row["days_past_due"]
        )
        for row in rows
    } == expected  # fmt: skip
    assert all(row["bucket"] == bucket_of(row["days_past_due"]) for row in rows)
    assert {invoice.state for invoice in records.invoices} == {"draft", "open", "paid", "closed"}
    assert any(each.due_amount for each in records.invoices if each.state == "closed")
    took: dict[tuple[int, str], list[int]] = defaultdict(list)
    for each in records.invoices:
        if each.state == "paid":
            assert each.paid_date is not None
            took[each.client.id, each.currency].append((each.paid_date - each.issue_date).days)
    for row in rows:
        days = took[row["client_id"], row["currency"]]
        mean = Decimal(sum(days)) / len(days)
        assert row["client_days_to_pay"] == mean.quantize(Decimal("0.1"), "ROUND_HALF_UP")


def test_the_buckets_of_a_client_are_the_sums_of_its_invoices(
    records: Records, account: Answers
) -> None:
    expected: dict[tuple[int, str, str], list[Any]] = defaultdict(lambda: [0, Decimal(0)])
    for each in records.invoices:
        if each.state == "open":
            bucket = bucket_of(max((TODAY - each.due_date).days, 0))
            sums = expected[each.client.id, each.currency, bucket]
            sums[0] += 1
            sums[1] += rounded(each.due_amount, each.currency)
    found = {
        (row["client_id"], row["currency"], row["bucket"]): [row["invoices"], row["due_amount"]]
        for row in account.records("FROM receivables_by_client")
    }
    assert found == expected


@pytest.mark.parametrize("ago", [0, 1, 31, 100, 250])
def test_a_past_day_is_rebuilt_from_the_payments(
    ago: int, records: Records, account: Answers
) -> None:
    day = TODAY - timedelta(days=ago)
    expected: dict[int, Any] = {}
    for each in records.invoices:
        payments = records.payments[each.id]
        paid = sum((p.amount for p in payments if p.paid_date <= day), Decimal(0))
        closed = each.closed_at is not None and each.closed_at.date() <= day
        due = rounded(each.amount - paid, each.currency)
        if each.state != "draft" and each.issue_date <= day and not closed and due > 0:
            days = max((day - each.due_date).days, 0)
            expected[each.id] = (due, days, bucket_of(days))
    found = {
        row["invoice_id"]: (row["due_amount"], row["days_past_due"], row["bucket"])
        for row in account.records("FROM receivables_history WHERE day = ?", day)
    }
    assert found == expected
    assert len(expected) > 2


def test_the_last_day_of_the_history_is_what_is_receivable_now(account: Answers) -> None:
    columns = "invoice_id, due_amount, days_past_due, bucket"
    assert account.rows(
        f"SELECT {columns} FROM receivables_history"
        " WHERE day = (SELECT max(day) FROM receivables_history) ORDER BY ALL"
    ) == account.rows(f"SELECT {columns} FROM receivables ORDER BY ALL")


@pytest.mark.parametrize(
    ("days", "bucket"),
    [
        (-5, "0"), (0, "0"), (1, "1–30"), (30, "1–30"), (31, "31–60"), (60, "31–60"),
        (61, "61–90"), (90, "61–90"), (91, "90+"),
    ],
)  # fmt: skip
def test_a_bucket_has_both_its_ends(days: int, bucket: str, answers: Answers) -> None:
    due = TODAY - timedelta(days=days)
    issued = due - timedelta(days=30)
    answers.add("invoices", invoice(1, 100, issue_date=issued, due_date=due))
    assert answers.rows("SELECT days_past_due, bucket FROM receivables") == [(max(days, 0), bucket)]
    assert answers.rows("SELECT bucket FROM receivables_history WHERE day = ?", TODAY) == [
        (bucket,)
    ]


def test_drafts_and_written_off_invoices_are_not_receivable_whatever_is_due(
    answers: Answers,
) -> None:
    answers.add(
        "invoices",
        invoice(1, 100),
        invoice(2, 200, state="draft"),
        invoice(3, 300, state="closed", closed_at="2026-11-10 08:00:00Z"),
    )
    assert answers.rows("SELECT invoice_id FROM receivables") == [(1,)]
    until = dict(
        answers.rows("SELECT invoice_id, max(day) FROM receivables_history GROUP BY invoice_id")
    )
    assert until == {1: TODAY, 3: date(2026, 11, 9)}


def test_what_a_client_has_with_us_is_a_credit(answers: Answers) -> None:
    paid = {"state": "paid", "due_amount": -40, "paid_date": date(2026, 10, 30)}
    answers.add(
        "invoices",
        invoice(1, 100),
        invoice(2, -25),
        invoice(3, 300, **paid),
        invoice(4, 50, currency="KWD", due_amount="12.345"),
    )
    answers.add("invoice_payments", payment(1, 3, 340, date(2026, 10, 30)))
    assert answers.rows(
        "SELECT invoice_id, due_amount, bucket FROM receivables ORDER BY invoice_id"
    ) == [(1, 100, "1–30"), (2, -25, "credit"), (4, Decimal("12.345"), "1–30")]
    assert answers.rows(
        "SELECT currency, bucket, invoices, due_amount FROM receivables_by_client ORDER BY 1, 2"
    ) == [
        ("EUR", "1–30", 1, 100),
        ("EUR", "credit", 2, -65),
        ("KWD", "1–30", 1, Decimal("12.345")),
    ]
    overpaid = answers.rows("SELECT max(day) FROM receivables_history WHERE invoice_id = 3")
    assert overpaid == [(date(2026, 10, 29),)]


def test_part_of_an_invoice_was_due_until_the_rest_was_paid(answers: Answers) -> None:
    answers.add("invoices", invoice(1, 100, state="paid", due_amount=0, paid_date=TODAY))
    answers.add(
        "invoice_payments",
        payment(1, 1, 30, date(2026, 10, 20)),
        payment(2, 1, 70, TODAY),
    )
    sql = "SELECT day, due_amount FROM receivables_history ORDER BY day"
    dues = dict(answers.rows(sql))
    assert (min(dues), max(dues)) == (date(2026, 10, 16), TODAY - timedelta(days=1))
    assert (dues[date(2026, 10, 19)], dues[date(2026, 10, 20)]) == (100, 70)
    assert answers.rows("FROM receivables") == []


def test_a_day_is_one_in_the_time_zone_of_the_project(answers: Answers) -> None:
    answers.add("invoices", invoice(1, 100, due_date=TODAY))
    # It was read at noon in UTC, which is an hour past midnight in Auckland.
    for timezone, late in (("UTC", 0), ("Pacific/Auckland", 1), ("America/New_York", 0)):
        models.create(answers.connection, ["receivables"], timezone)
        assert answers.rows("SELECT days_past_due FROM receivables") == [(late,)]
