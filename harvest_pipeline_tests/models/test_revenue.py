"""Invoiced, paid and earned, by month, client and project, and what is accrued or deferred."""

from collections import defaultdict
from datetime import date
from decimal import Decimal
from typing import Any

from harvest_pipeline.sandbox.records import Records
from harvest_pipeline_tests.models.warehouse import (
    PRODUCT,
    Answers,
    entry,
    expense,
    invoice,
    line,
    payment,
    project,
    rounded,
)

ZERO = Decimal(0)
AUGUST, SEPTEMBER, OCTOBER, NOVEMBER = (date(2026, month, 1) for month in (8, 9, 10, 11))


def net(records: Records) -> dict[tuple[int, int | None], Decimal]:
    """What the lines of each invoice and project come to after the discount."""
    amounts: dict[tuple[int, int | None], Decimal] = defaultdict(Decimal)
    for each in records.invoices:
        for part in each.line_items:
            key = (each.id, part.project.id if part.project else None)
            amounts[key] += part.amount * (100 - (each.discount or 0)) / 100
    return amounts


def test_invoiced_are_the_lines_of_sent_invoices_net_of_discount_and_tax(
    records: Records, account: Answers
) -> None:
    expected: dict[tuple[date, int, int | None], Decimal] = defaultdict(Decimal)
    for (invoice_id, project_id), amount in net(records).items():
        one = records.invoices.get(invoice_id)
        assert one is not None
        if one.state != "draft":
            expected[one.issue_date.replace(day=1), one.client.id, project_id] += amount
    found = {
        (row["month"], row["client_id"], row["project_id"]): (row["invoiced"], row["currency"])
        for row in account.records("FROM revenue WHERE invoiced <> 0")
    }
    assert found.keys() == {key for key, amount in expected.items() if amount}
    for key, (amount, currency) in found.items():
        assert amount == rounded(expected[key], currency)


def test_the_cash_of_a_month_is_what_was_paid_in_it_and_split_by_the_lines(
    records: Records, account: Answers
) -> None:
    whole: dict[tuple[date, int], Decimal] = defaultdict(Decimal)
    parts: dict[tuple[date, int | None], Decimal] = defaultdict(Decimal)
    payments: dict[tuple[date, int | None], int] = defaultdict(int)
    shares = net(records)
    for one in records.invoices:
        of_invoice = {key: amount for key, amount in shares.items() if key[0] == one.id}
        for each in records.payments[one.id]:
            month = each.paid_date.replace(day=1)
            whole[month, one.client.id] += each.amount
            for (_, project_id), amount in of_invoice.items():
                part = each.amount * amount / sum(of_invoice.values(), ZERO)
                parts[month, project_id] += part
                payments[month, project_id] += 1
    found = {
        (month, client): (cash, currency)
        for month, client, currency, cash in account.rows(
            "SELECT month, client_id, currency, sum(cash) FROM revenue"
            " GROUP BY ALL HAVING sum(cash) <> 0"
        )
    }
    assert len(found) > 20
    # the sandbox has fractions of a yen
    assert {key: cash for key, (cash, _) in found.items()} == {
        key: rounded(amount, found[key][1]) for key, amount in whole.items()
    }
    for row in account.records("FROM revenue WHERE project_id IS NOT NULL"):
        key = (row["month"], row["project_id"])
        unit = 1 if row["currency"] == "JPY" else Decimal("0.01")
        assert abs(row["cash"] - parts[key]) <= unit * payments[key]


def test_earned_is_the_revenue_of_profitability(account: Answers) -> None:
    assert (
        account.rows(
            "SELECT p.month, p.project_id FROM profitability AS p"
            " LEFT JOIN revenue AS r ON r.month = p.month AND r.project_id = p.project_id"
            " WHERE r.earned IS DISTINCT FROM p.revenue AND p.revenue IS NOT NULL"
            " AND p.revenue <> 0 AND p.hours_without_rate = 0"
        )
        == []
    )
    assert account.rows("SELECT count(*) > 10 FROM revenue WHERE accrued > 0") == [(True,)]
    assert account.rows("SELECT count(*) > 10 FROM revenue WHERE deferred > 0") == [(True,)]


def test_the_balance_is_all_earned_less_all_invoiced(account: Answers) -> None:
    balances: dict[tuple[Any, ...], Decimal | None] = defaultdict(Decimal)
    for row in account.records("FROM revenue ORDER BY month"):
        key = (row["client_id"], row["project_id"], row["currency"])
        before, earned = balances[key], row["earned"]
        if before is None or earned is None:
            balances[key] = None
            assert row["accrued"] is row["deferred"] is None
            continue
        moved = earned - row["invoiced"] + row["invoiced_fee_expenses"]
        balances[key] = balance = before + moved
        assert row["earned_less_invoiced"] == moved
        assert (row["accrued"], row["deferred"]) == (max(balance, ZERO), max(-balance, ZERO))
    assert None in balances.values()


def months(answers: Answers, *columns: str) -> list[tuple[Any, ...]]:
    return answers.rows(
        f"SELECT month, {', '.join(columns)} FROM revenue ORDER BY month, project_id"
    )


def test_a_fee_invoiced_in_advance_is_deferred_until_it_is_earned(answers: Answers) -> None:
    days = {"starts_on": AUGUST, "ends_on": date(2026, 10, 31)}
    answers.add("projects", project(1, is_fixed_fee=True, fee=920, **days))
    answers.add("invoice_item_categories", PRODUCT)
    answers.add("invoices", invoice(1, 1200, issue_date=date(2026, 8, 31)))
    answers.add("invoice_line_items", line(1, 1, 920), line(2, 1, 280, kind="Product"))
    # 92 days in all; when the fee is earned, no balance and no row is left
    assert months(
        answers, "invoiced", "invoiced_fee_expenses", "earned", "accrued", "deferred"
    ) == [
        (AUGUST, 1200, 280, 310, 0, 610),
        (SEPTEMBER, 0, 0, 300, 0, 310),
        (OCTOBER, 0, 0, 310, 0, 0),
    ]


def test_work_that_is_invoiced_later_is_accrued_until_then(answers: Answers) -> None:
    answers.add("projects", project(1))
    answers.add("time_entries", entry(1, date(2026, 8, 31), 3))
    answers.add("expenses", expense(1, SEPTEMBER, 50))
    answers.add("invoices", invoice(1, 0), invoice(2, 0, state="draft"))
    answers.add("invoice_line_items", line(1, 1, 300), line(2, 2, 50, kind="Product"))
    assert months(answers, "invoiced", "earned", "accrued", "deferred") == [
        (AUGUST, 0, 300, 300, 0),
        (SEPTEMBER, 0, 50, 350, 0),
        (OCTOBER, 300, 0, 50, 0),
        (NOVEMBER, 0, 0, 50, 0),  # nothing moved, but the balance stands
    ]


def test_a_fee_that_cannot_be_spread_has_no_balance(answers: Answers) -> None:
    answers.add("projects", project(1, is_fixed_fee=True, fee=920, starts_on=AUGUST))
    answers.add("time_entries", entry(1, OCTOBER, 3))
    answers.add("invoices", invoice(1, 500))
    answers.add("invoice_line_items", line(1, 1, 500))
    assert months(answers, "invoiced", "earned", "accrued", "deferred") == [
        (OCTOBER, 500, None, None, None),
        (NOVEMBER, 0, 0, None, None),
    ]


def test_discounts_taxes_drafts_and_lines_of_no_project(answers: Answers) -> None:
    answers.add("projects", project(1), project(2))
    answers.add(
        "invoices",
        invoice(1, "428.40", discount=10, tax=19, tax_amount="68.40"),
        invoice(2, 1000, state="draft"),
    )
    answers.add(
        "invoice_line_items",
        line(1, 1, 100),
        line(2, 1, "200.05", project_id=2),
        line(3, 1, "99.95", project_id=None),
        line(4, 2, 1000),
    )
    columns = ("project_id", "invoiced", "earned", "accrued", "deferred")
    assert months(answers, *columns)[:3] == [
        (OCTOBER, 1, 90, 0, 0, 90),
        (OCTOBER, 2, Decimal("180.05"), 0, 0, Decimal("180.05")),
        (OCTOBER, None, Decimal("89.96"), Decimal("89.96"), 0, 0),
    ]


def test_the_parts_of_a_payment_in_yen_add_up_to_it(answers: Answers) -> None:
    answers.add("projects", *(project(n, client_currency="JPY") for n in (1, 2, 3)))
    answers.add("invoices", invoice(1, 300, currency="JPY"), invoice(2, 5, currency="JPY"))
    answers.add("invoice_line_items", *(line(n, 1, 100, project_id=n) for n in (1, 2, 3)))
    answers.add(
        "invoice_payments",
        payment(1, 1, 100, date(2026, 10, 31)),
        payment(2, 1, 100, NOVEMBER),
        payment(3, 2, 5, NOVEMBER),  # of an invoice without lines
    )
    assert months(answers, "project_id", "cash") == [
        (OCTOBER, 1, 33),
        (OCTOBER, 2, 34),
        (OCTOBER, 3, 33),
        (NOVEMBER, 1, 33),
        (NOVEMBER, 2, 34),
        (NOVEMBER, 3, 33),
        (NOVEMBER, None, 5),
    ]


def test_what_is_not_paid_of_a_closed_invoice_is_written_off_when_it_is_closed(
    answers: Answers,
) -> None:
    answers.add("projects", project(1), project(2))
    closed: dict[str, Any] = {"state": "closed", "closed_at": "2026-11-30 23:59:00Z"}
    answers.add("invoices", invoice(1, 476, due_amount=238, **closed))
    answers.add("invoice_line_items", line(1, 1, 100), line(2, 1, 300, project_id=2))
    answers.add("invoice_payments", payment(1, 1, 238, date(2026, 10, 31)))
    assert months(answers, "project_id", "invoiced", "cash", "written_off") == [
        (OCTOBER, 1, 100, Decimal("59.5"), 0),
        (OCTOBER, 2, 300, Decimal("178.5"), 0),
        (NOVEMBER, 1, 0, 0, 50),
        (NOVEMBER, 2, 0, 0, 150),
    ]
