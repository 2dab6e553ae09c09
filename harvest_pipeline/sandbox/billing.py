"""The arithmetic of rates, invoices and payments (REFERENCE 11).

Belongs here: what follows from numbers that are given. Does not belong here: choosing them.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from harvest_pipeline.sandbox.invoice import Invoice, InvoicePayment, LineItem
from harvest_pipeline.sandbox.model import Project, TaskAssignment, UserAssignment
from harvest_pipeline.sandbox.numbers import ZERO, cents, exact

INVOICED = "Item Invoiced and Locked for this Time Period"
APPROVED = "Item Approved and Locked for this Time Period"
INVOICED_AND_APPROVED = "Item Invoiced and Approved and Locked for this Time Period"
EXPENSE_INVOICED = "Expense is invoiced."

#: Days until an invoice is due; `custom` has none.
TERMS = {"upon receipt": 0, "net 15": 15, "net 30": 30, "net 45": 45, "net 60": 60}


def billable_rate(project: Project, task: TaskAssignment, person: UserAssignment) -> Decimal | None:
    """The hourly rate of an entry; None when it is not billable."""
    if not task.billable:
        return None
    by = {"Project": project.hourly_rate, "Tasks": task.hourly_rate, "People": person.hourly_rate}
    return by.get(project.bill_by)


def lock_reason(approved: bool, billed: bool) -> str | None:
    """The `locked_reason` of a time entry; None when it is not locked."""
    if billed:
        return INVOICED_AND_APPROVED if approved else INVOICED
    return APPROVED if approved else None


def expense_lock_reason(approved: bool, billed: bool) -> str | None:
    """The `locked_reason` of an expense; None when it is not locked."""
    return EXPENSE_INVOICED if billed else APPROVED if approved else None


def due_on(issued: date, term: str) -> date:
    """When an invoice is due; raises KeyError for `custom`."""
    return issued + timedelta(days=TERMS[term])


def subtotal(lines: Iterable[LineItem]) -> Decimal:
    """The sum of the lines."""
    return exact(sum((line.amount for line in lines), ZERO))


def compute_amounts(invoice: Invoice) -> None:
    """Set discount, taxes and amount of an invoice from its lines and percentages."""
    whole = subtotal(invoice.line_items)
    invoice.discount_amount = _share(whole, invoice.discount)
    kept = Decimal(1) - (invoice.discount or ZERO) / 100
    taxed = subtotal(line for line in invoice.line_items if line.taxed) * kept
    taxed2 = subtotal(line for line in invoice.line_items if line.taxed2) * kept
    invoice.tax_amount = _share(taxed, invoice.tax)
    invoice.tax2_amount = _share(taxed2, invoice.tax2)
    invoice.amount = exact(
        whole - invoice.discount_amount + invoice.tax_amount + invoice.tax2_amount
    )


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


def _share(amount: Decimal, percentage: Decimal | None) -> Decimal:
    return ZERO if percentage is None else cents(amount * percentage / 100)
