"""Invoices with their lines, messages and payments, as Harvest sends them."""

from datetime import date, datetime, timedelta
from decimal import Decimal

from msgspec import Struct

from harvest_pipeline.sandbox.model import ClientName, ProjectRef, User, UserRef


class LineItem(Struct):
    """One line of an invoice; amount = quantity x unit_price."""

    id: int
    kind: str
    description: str
    quantity: Decimal
    unit_price: Decimal
    amount: Decimal
    taxed: bool
    taxed2: bool
    project: ProjectRef | None


class EstimateRef(Struct):
    """The estimate that an invoice was made from."""

    id: int


class RetainerRef(Struct):
    """The retainer that an invoice belongs to."""

    id: int


class Invoice(Struct, kw_only=True):
    """An invoice with its lines; billing.py has the arithmetic."""

    id: int
    client_key: str
    number: str
    purchase_order: str
    amount: Decimal = Decimal(0)
    due_amount: Decimal = Decimal(0)
    tax: Decimal | None
    tax_amount: Decimal = Decimal(0)
    tax2: Decimal | None
    tax2_amount: Decimal = Decimal(0)
    discount: Decimal | None
    discount_amount: Decimal = Decimal(0)
    subject: str
    notes: str | None
    state: str = "draft"
    period_start: date | None
    period_end: date | None
    issue_date: date
    due_date: date
    payment_term: str
    sent_at: datetime | None = None
    paid_at: datetime | None = None
    closed_at: datetime | None = None
    recurring_invoice_id: int | None
    created_at: datetime
    updated_at: datetime
    paid_date: date | None = None
    currency: str
    payment_options: list[str]
    client: ClientName
    estimate: EstimateRef | None
    retainer: RetainerRef | None
    creator: UserRef
    line_items: list[LineItem]


class Recipient(Struct):
    """Somebody to whom an invoice message went."""

    name: str
    email: str


class InvoiceMessage(Struct, kw_only=True):
    """A message about an invoice; `event_type` is null for an e-mail, the other ones are events."""

    id: int = 0
    sent_by: str
    sent_by_email: str
    sent_from: str
    sent_from_email: str
    include_link_to_client_invoice: bool
    send_me_a_copy: bool
    thank_you: bool
    reminder: bool
    send_reminder_on: date | None
    created_at: datetime
    updated_at: datetime
    attach_pdf: bool
    event_type: str | None
    recipients: list[Recipient]
    subject: str | None
    body: str | None


class PaymentGateway(Struct):
    """Where a payment came in; both members null for one entered by hand."""

    id: int | None
    name: str | None


class InvoicePayment(Struct, kw_only=True):
    """A payment of an invoice."""

    id: int = 0
    amount: Decimal
    paid_at: datetime
    recorded_by: str
    recorded_by_email: str
    notes: str
    transaction_id: str | None
    created_at: datetime
    updated_at: datetime
    paid_date: date
    payment_gateway: PaymentGateway


class InvoiceItemCategory(Struct):
    """The `kind` of an invoice line; lines name it, they do not hold its id."""

    id: int
    name: str
    use_as_service: bool
    use_as_expense: bool
    created_at: datetime
    updated_at: datetime


def new_message(
    invoice: Invoice,
    *,
    company: str,
    sender: User,
    recipients: list[Recipient],
    sent: datetime,
    event_type: str | None = None,
    reminder: bool = False,
    thank_you: bool = False,
) -> InvoiceMessage:
    """A message that has no id yet; one with an `event_type` is an event, not an e-mail."""
    mail = event_type is None
    opening = "Thank you for paying invoice" if thank_you else "Invoice"
    opening = "Reminder: invoice" if reminder else opening
    body = (
        f"Invoice ID: {invoice.number}\r\n"
        f"Amount: {invoice.amount:,.2f} {invoice.currency}\r\n"
        f"Due: {invoice.due_date:%m/%d/%Y} ({invoice.payment_term})\r\n\r\n"
        "The detailed invoice is attached as a PDF."
    )
    ordinary = mail and not reminder and not thank_you
    return InvoiceMessage(
        sent_by=sender.name,
        sent_by_email=sender.email,
        sent_from=sender.name,
        sent_from_email=sender.email,
        include_link_to_client_invoice=bool(invoice.payment_options),
        send_me_a_copy=mail and invoice.id % 3 == 0,
        thank_you=thank_you,
        reminder=reminder,
        send_reminder_on=invoice.due_date + timedelta(days=7) if ordinary else None,
        created_at=sent,
        updated_at=sent,
        attach_pdf=mail,
        event_type=event_type,
        recipients=recipients if mail else [],
        subject=f"{opening} #{invoice.number} from {company}" if mail else None,
        body=body if mail else None,
    )
