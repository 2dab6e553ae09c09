"""Estimates with their lines and messages, as Harvest sends them."""

from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct

from harvest_pipeline.sandbox.invoice import Recipient
from harvest_pipeline.sandbox.model import ClientName, UserRef


class EstimateLine(Struct):
    """One line of an estimate; unlike an invoice's, it names no project."""

    id: int
    kind: str
    description: str
    quantity: Decimal
    unit_price: Decimal
    amount: Decimal
    taxed: bool
    taxed2: bool


class Estimate(Struct, kw_only=True):
    """An estimate with its lines. `amount` is net of the discount and includes both taxes."""

    id: int
    client_key: str
    number: str
    purchase_order: str
    amount: Decimal
    tax: Decimal | None
    tax_amount: Decimal
    tax2: Decimal | None
    tax2_amount: Decimal
    discount: Decimal | None
    discount_amount: Decimal
    subject: str
    notes: str
    state: str
    issue_date: date
    sent_at: datetime | None
    created_at: datetime
    updated_at: datetime
    accepted_at: datetime | None
    declined_at: datetime | None
    currency: str
    client: ClientName
    creator: UserRef
    line_items: list[EstimateLine]


class EstimateMessage(Struct, kw_only=True):
    """A message about an estimate; `event_type` is null for an e-mail, else it names an event."""

    id: int
    sent_by: str
    sent_by_email: str
    sent_from: str
    sent_from_email: str
    send_me_a_copy: bool
    created_at: datetime
    updated_at: datetime
    recipients: list[Recipient]
    event_type: str | None
    subject: str | None
    body: str | None


class EstimateItemCategory(Struct):
    """The `kind` of an estimate's line; lines name it, they do not hold its id."""

    id: int
    name: str
    created_at: datetime
    updated_at: datetime
