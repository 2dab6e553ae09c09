"""Invoices with everything that hangs on them, in the shape and key order of the API's answers.

Belongs here: one struct per record and part of one. Does not belong here: the arithmetic
(billing.py), or the texts of messages (messages.py).
"""

from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct

from harvest_pipeline.sandbox.embedded import ClientName, ProjectRef, UserRef


class LineItem(Struct):
    """One line of an invoice; amount = quantity x unit_price (REFERENCE 11)."""

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


class Invoice(Struct):
    """An invoice with its lines. For the arithmetic see REFERENCE 11."""

    id: int
    client_key: str
    number: str
    purchase_order: str
    amount: Decimal
    due_amount: Decimal
    tax: Decimal | None
    tax_amount: Decimal
    tax2: Decimal | None
    tax2_amount: Decimal
    discount: Decimal | None
    discount_amount: Decimal
    subject: str
    notes: str | None
    state: str
    period_start: date | None
    period_end: date | None
    issue_date: date
    due_date: date
    payment_term: str
    sent_at: datetime | None
    paid_at: datetime | None
    closed_at: datetime | None
    recurring_invoice_id: int | None
    created_at: datetime
    updated_at: datetime
    paid_date: date | None
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


class InvoiceMessage(Struct):
    """A message about an invoice; `event_type` is null for an ordinary e-mail (REFERENCE 11)."""

    id: int
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


class MessagePreview(Struct):
    """The text that a message about an invoice would have."""

    invoice_id: int
    subject: str
    body: str
    reminder: bool
    thank_you: bool


class PaymentGateway(Struct):
    """Where a payment came in; both members null for one entered by hand."""

    id: int | None
    name: str | None


class InvoicePayment(Struct):
    """A payment of an invoice."""

    id: int
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
