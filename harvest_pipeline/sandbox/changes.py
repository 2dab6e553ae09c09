"""Changes that tests make to an account, as data.

Belongs here: what can be asked for. Does not belong here: doing it (account.py).
"""

from datetime import date
from decimal import Decimal
from typing import Any

from msgspec import Struct


class _Change(Struct, tag_field="do", kw_only=True):
    pass


class ChangeRecord(_Change, tag="change"):
    """Set fields of a record. With `touch` its `updated_at` moves to now."""

    kind: str
    id: int
    fields: dict[str, Any]
    touch: bool = True


class ChangeCompany(_Change, tag="change_company"):
    """Set fields of the account itself, e.g. switch a module off."""

    fields: dict[str, Any]


class CreateRecord(_Change, tag="create"):
    """Add a record that is like another one but for these fields."""

    kind: str
    fields: dict[str, Any]
    like: int | None = None


class DeleteRecord(_Change, tag="delete"):
    """Delete a record and what goes with it."""

    kind: str
    id: int


class AddPayment(_Change, tag="add_payment"):
    """Record a payment of an invoice; today if no day is given."""

    invoice_id: int
    amount: Decimal
    paid_date: date | None = None


class DeletePayment(_Change, tag="delete_payment"):
    """Take a payment back."""

    invoice_id: int
    id: int


class AddMessage(_Change, tag="add_message"):
    """Send a message about an invoice, or let one of the events happen."""

    invoice_id: int
    event_type: str | None = None
    reminder: bool = False
    thank_you: bool = False


Change = (
    ChangeRecord
    | ChangeCompany
    | CreateRecord
    | DeleteRecord
    | AddPayment
    | DeletePayment
    | AddMessage
)
