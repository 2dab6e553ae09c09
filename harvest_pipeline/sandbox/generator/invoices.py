"""Invoices: what each client is billed for the time and expenses of the months before.

Belongs here: when an invoice is made and what is said on it. Does not belong here: its lines
(backlog.py), or what becomes of it (payments.py).
"""

from datetime import date, datetime, timedelta
from random import Random

from harvest_pipeline.sandbox.billing import (
    TERMS,
    compute_amounts,
    due_on,
    expense_lock_reason,
    lock_reason,
)
from harvest_pipeline.sandbox.embedded import ClientName, InvoiceRef, UserRef
from harvest_pipeline.sandbox.generator.backlog import Backlog
from harvest_pipeline.sandbox.generator.plan import (
    Customer,
    Engagement,
    Ids,
    Span,
    instant,
    months,
    next_working_day,
)
from harvest_pipeline.sandbox.invoice import (
    EstimateRef,
    Invoice,
    InvoiceItemCategory,
    LineItem,
    RetainerRef,
)
from harvest_pipeline.sandbox.model import Client, Expense, TimeEntry
from harvest_pipeline.sandbox.numbers import ZERO, exact
from harvest_pipeline.sandbox.records import Records

_OPTIONS: tuple[list[str], ...] = ([], ["ach", "credit_card"], ["credit_card", "paypal"])
_NOTES = (None, "", "Thank you.", "Vielen Dank!\r\nIBAN auf Seite 2")


def add_invoice_item_categories(records: Records, span: Span, random: Random) -> None:
    """Add the two kinds of invoice line that a new account has (REFERENCE 11)."""
    ids = Ids(3_400_800, random)
    made = instant(span.first, 6 * 60)
    for name, service in (("Service", True), ("Product", False)):
        category = InvoiceItemCategory(ids.next(), name, service, not service, made, made)
        records.invoice_item_categories.add(category)


def add_invoices(
    records: Records,
    span: Span,
    customers: list[Customer],
    engagements: list[Engagement],
    random: Random,
) -> list[Invoice]:
    """Add the invoices of all months, as drafts, in the order in which they were made."""
    office = _Office(records, Backlog(records, engagements, random), random)
    for number, (first, last) in enumerate(months(span.first, span.today)):
        issued = next_working_day(last + timedelta(days=3))
        for place, customer in enumerate(customers[1:]):
            # every third client wants an invoice only every other month
            rhythm = 2 if place % 3 == 1 else 1
            made = instant(issued, 9 * 60 + place * 2)
            if (number + place) % rhythm == 0 and made < span.now:
                start = first if rhythm == 1 else (first - timedelta(days=1)).replace(day=1)
                office.bill(customer, (start, last), made, place)
    return office.invoices


class _Office:
    """Writes invoices."""

    def __init__(self, records: Records, backlog: Backlog, random: Random) -> None:
        self.invoices: list[Invoice] = []
        self._records = records
        self._backlog = backlog
        self._random = random
        self._ids = Ids(41_900_800, random)

    def bill(
        self, customer: Customer, period: tuple[date, date], made: datetime, place: int
    ) -> None:
        """Bill a client for everything up to the end of a period; not if there is nothing."""
        bill = self._backlog.take(customer.client.id, *period, made)
        if not bill.lines:
            return
        number = len(self.invoices)
        if number % 11 == 3:
            bill.lines.append(self._backlog.line_without_project())
        invoice = self._invoice(customer.client, bill.lines, period, made, place)
        compute_amounts(invoice)
        invoice.due_amount = invoice.amount
        self._records.add_invoice(invoice)
        self.invoices.append(invoice)
        customer.client.updated_at = max(customer.client.updated_at, made)
        for record in bill.records:
            _put_on(record, self._records.copy(InvoiceRef, invoice), invoice)

    def _invoice(
        self,
        client: Client,
        lines: list[LineItem],
        period: tuple[date, date],
        made: datetime,
        place: int,
    ) -> Invoice:
        """A draft whose amounts are still to be computed; rare things come in turn."""
        random, records = self._random, self._records
        creator = records.users.ascending()[0]
        number, issued = len(self.invoices), made.date()
        term = "custom" if number % 9 == 4 else random.choice(tuple(TERMS))
        return Invoice(
            id=self._ids.next(),
            client_key=f"{random.getrandbits(160):040x}",
            number=str(1001 + number),
            purchase_order=f"PO-{7000 + number}" if place % 4 == 0 else "",
            amount=ZERO,
            due_amount=ZERO,
            tax=(None, exact(19), exact("7.7"))[place % 3],
            tax_amount=ZERO,
            tax2=exact(2) if place % 5 == 0 else None,
            tax2_amount=ZERO,
            discount=exact("2.5") if number % 6 == 1 else exact(10) if number % 13 == 5 else None,
            discount_amount=ZERO,
            subject=f"{client.name} – {period[1]:%B %Y}" if number % 8 else "",
            notes=random.choice(_NOTES),
            state="draft",
            period_start=period[0],
            period_end=period[1],
            issue_date=issued,
            due_date=issued + timedelta(days=21) if term == "custom" else due_on(issued, term),
            payment_term=term,
            sent_at=None,
            paid_at=None,
            closed_at=None,
            recurring_invoice_id=88_100 + place if number % 17 == 6 else None,
            created_at=made,
            updated_at=made,
            paid_date=None,
            currency=client.currency,
            payment_options=random.choice(_OPTIONS),
            client=records.copy(ClientName, client),
            estimate=EstimateRef(9_900_100 + number) if number % 19 == 7 else None,
            retainer=RetainerRef(2_200_100 + place) if number % 23 == 8 else None,
            creator=records.copy(UserRef, creator),
            line_items=lines,
        )


def _put_on(record: TimeEntry | Expense, copy: InvoiceRef, invoice: Invoice) -> None:
    """Mark an entry or expense as billed (REFERENCE 11)."""
    record.is_billed = record.is_locked = True
    record.invoice = copy
    approved = record.is_closed
    if isinstance(record, TimeEntry):
        record.locked_reason = lock_reason(approved, billed=True)
    else:
        record.locked_reason = expense_lock_reason(approved, billed=True)
    record.updated_at = max(record.updated_at, invoice.created_at)
