"""Exact decimals, and values computed from others: rates, locks, sums, and paid invoices.

Harvest writes decimals with as many digits as they need and at least one: `100.0`, `0.655`.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from functools import lru_cache

from harvest_pipeline.sandbox.invoice import Invoice, InvoicePayment
from harvest_pipeline.sandbox.model import (
    Expense,
    Project,
    TaskAssignment,
    TimeEntry,
    UserAssignment,
)

ZERO = Decimal("0.0")
_CENT = Decimal("0.01")
_TENTH = Decimal("0.1")
_QUARTER = Decimal("0.25")

_INVOICED = "Item Invoiced and Locked for this Time Period"
_APPROVED = "Item Approved and Locked for this Time Period"
_INVOICED_AND_APPROVED = "Item Invoiced and Approved and Locked for this Time Period"
_EXPENSE_INVOICED = "Expense is invoiced."

#: Days until an invoice is due; `custom` has none.
TERMS = {"upon receipt": 0, "net 15": 15, "net 30": 30, "net 45": 45, "net 60": 60}


@lru_cache(maxsize=65536)
def exact(value: Decimal | int | str) -> Decimal:
    """The value with as many decimals as it needs, at least one."""
    number = Decimal(value).normalize()
    exponent = number.as_tuple().exponent
    return number if isinstance(exponent, int) and exponent < 0 else number.quantize(_TENTH)


def cents(value: Decimal | int) -> Decimal:
    """Money or hours rounded to two decimals, half up."""
    return exact(Decimal(value).quantize(_CENT, ROUND_HALF_UP))


@lru_cache(maxsize=4096)
def hours_of(minutes: int) -> Decimal:
    """Minutes as hours with two decimals, as Harvest stores them."""
    return cents(Decimal(minutes) / 60)


@lru_cache(maxsize=65536)
def rounded_up(hours: Decimal) -> Decimal:
    """Hours after the sandbox's time rounding: up to the next quarter of an hour."""
    return exact((hours / _QUARTER).to_integral_value(ROUND_CEILING) * _QUARTER)


def total(values: Iterable[Decimal]) -> Decimal:
    """The sum, with at least one decimal."""
    return exact(sum(values, ZERO))


def billable_rate(project: Project, task: TaskAssignment, person: UserAssignment) -> Decimal | None:
    """The hourly rate of an entry; None when it is not billable."""
    if not task.billable:
        return None
    by = {"Project": project.hourly_rate, "Tasks": task.hourly_rate, "People": person.hourly_rate}
    return by.get(project.bill_by)


def lock(record: TimeEntry | Expense) -> None:
    """Lock a record if it is approved or billed, and say why; otherwise unlock it."""
    approved, billed = record.is_closed, record.is_billed
    record.is_locked = approved or billed
    if not billed:
        record.locked_reason = _APPROVED if approved else None
    elif isinstance(record, Expense):
        record.locked_reason = _EXPENSE_INVOICED
    else:
        record.locked_reason = _INVOICED_AND_APPROVED if approved else _INVOICED


def due_on(issued: date, term: str) -> date:
    """When an invoice is due; raises KeyError for `custom`."""
    return issued + timedelta(days=TERMS[term])


def compute_amounts(invoice: Invoice) -> None:
    """Set discount, taxes and amount of an invoice from its lines and percentages."""

    def share(amount: Decimal, percentage: Decimal | None) -> Decimal:
        return ZERO if percentage is None else cents(amount * percentage / 100)

    lines = invoice.line_items
    whole = total(line.amount for line in lines)
    kept = 1 - (invoice.discount or ZERO) / 100
    invoice.discount_amount = share(whole, invoice.discount)
    invoice.tax_amount = share(total(ln.amount for ln in lines if ln.taxed) * kept, invoice.tax)
    invoice.tax2_amount = share(total(ln.amount for ln in lines if ln.taxed2) * kept, invoice.tax2)
    taxes = invoice.tax_amount + invoice.tax2_amount
    invoice.amount = exact(whole - invoice.discount_amount + taxes)


def settle(invoice: Invoice, payments: Iterable[InvoicePayment]) -> None:
    """Set what is due and, unless the invoice is a draft or written off, whether it is paid.

    A payment on a draft leaves it a draft; `paid_at` and `paid_date` are those of the payment that
    settled the invoice.
    """
    received = list(payments)
    invoice.due_amount = exact(invoice.amount - sum((p.amount for p in received), ZERO))
    if invoice.state not in ("open", "paid"):
        return
    last = max(received, key=lambda p: p.paid_at, default=None)
    if last is not None and invoice.due_amount <= 0:
        invoice.state, invoice.paid_at, invoice.paid_date = "paid", last.paid_at, last.paid_date
    else:
        invoice.state, invoice.paid_at, invoice.paid_date = "open", None, None


def midnight(day: date) -> datetime:
    """Midnight UTC of a day: the `paid_at` of a payment for which only a day was given."""
    return datetime.combine(day, time(), UTC)
