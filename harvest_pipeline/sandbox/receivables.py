"""What happens to an invoice after it was made: payments, messages, deletion.

Belongs here: the changes to one invoice and what they bring with them (REFERENCE 8, 11, 15). Does
not belong here: the arithmetic itself (billing.py), or finding the invoice (account.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from harvest_pipeline.sandbox.billing import expense_lock_reason, lock_reason, midnight, settle
from harvest_pipeline.sandbox.invoice import (
    Invoice,
    InvoiceMessage,
    InvoicePayment,
    PaymentGateway,
    Recipient,
)
from harvest_pipeline.sandbox.messages import new_message
from harvest_pipeline.sandbox.model import TimeEntry, User
from harvest_pipeline.sandbox.records import Records


@dataclass(frozen=True)
class Receivables:
    """One invoice at the instant `now`, worked on by `user`."""

    records: Records
    invoice: Invoice
    user: User
    now: datetime

    def add_payment(self, amount: Decimal, paid_date: date | None) -> InvoicePayment:
        """Record a payment by hand; the invoice moves in the same second."""
        day = paid_date or self.now.date()
        payment = InvoicePayment(
            id=_next_id(self.records.payments),
            amount=amount,
            paid_at=midnight(day),
            recorded_by=self.user.name,
            recorded_by_email=self.user.email,
            notes="",
            transaction_id=None,
            created_at=self.now,
            updated_at=self.now,
            paid_date=day,
            payment_gateway=PaymentGateway(None, None),
        )
        self.records.payments[self.invoice.id].add(payment)
        self._settle()
        return payment

    def delete_payment(self, payment_id: int) -> None:
        """Take a payment back; the invoice moves. Raises KeyError for an unknown payment."""
        self.records.payments[self.invoice.id].remove(payment_id)
        self._settle()

    def add_message(
        self, event_type: str | None, *, reminder: bool, thank_you: bool
    ) -> InvoiceMessage:
        """Send a message; only one that sends the invoice itself moves it."""
        invoice = self.invoice
        contacts = [c for c in self.records.contacts if c.client.id == invoice.client.id]
        message = new_message(
            invoice,
            company=self.records.company.name,
            sender=self.user,
            recipients=[Recipient(f"{c.first_name} {c.last_name}", c.email) for c in contacts],
            sent=self.now,
            event_type=event_type,
            reminder=reminder,
            thank_you=thank_you,
        )
        message.id = _next_id(self.records.messages)
        self.records.messages[invoice.id].add(message)
        if event_type in (None, "send") and not reminder and not thank_you:
            invoice.sent_at = invoice.updated_at = self.now
            invoice.state = "open" if invoice.state == "draft" else invoice.state
        return message

    def forget(self) -> None:
        """Let the invoice's messages and payments go, and what was on it be billed again."""
        del self.records.messages[self.invoice.id], self.records.payments[self.invoice.id]
        for record in self.records.on_invoice(self.invoice.id):
            record.is_billed, record.invoice = False, None
            record.is_locked = record.is_closed
            reason = lock_reason if isinstance(record, TimeEntry) else expense_lock_reason
            record.locked_reason = reason(record.is_closed, billed=False)
            record.updated_at = self.now

    def _settle(self) -> None:
        settle(self.invoice, self.records.payments[self.invoice.id])
        self.invoice.updated_at = self.now


def _next_id(tables: Mapping[int, Any]) -> int:
    """An id above those of the children of all invoices."""
    return max((table.next_id() for table in tables.values()), default=1)
