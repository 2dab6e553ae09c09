"""The history of the invoices: sent, reminded of, paid in full or in part, written off."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from harvest_pipeline.sandbox.billing import cents, midnight, settle
from harvest_pipeline.sandbox.generator import names
from harvest_pipeline.sandbox.generator.plan import Span, ids, instant
from harvest_pipeline.sandbox.invoice import (
    Invoice,
    InvoiceMessage,
    InvoicePayment,
    PaymentGateway,
    Recipient,
    new_message,
)
from harvest_pipeline.sandbox.records import Records


@dataclass
class _History:
    """What happened to one invoice."""

    invoice: Invoice
    messages: list[InvoiceMessage] = field(default_factory=list[InvoiceMessage])
    payments: list[InvoicePayment] = field(default_factory=list[InvoicePayment])


def settle_invoices(records: Records, span: Span, invoices: list[Invoice], random: Random) -> None:
    """Send, collect and close the invoices, in turn so that every state occurs."""
    collector = _Collector(records, span, random)
    histories = [collector.history(number, invoice) for number, invoice in enumerate(invoices)]
    message_ids, payment_ids = ids(76_300_100, random), ids(27_100_900, random)
    messages = [(message, each.invoice.id) for each in histories for message in each.messages]
    for message, invoice_id in sorted(messages, key=lambda pair: pair[0].created_at):
        message.id = next(message_ids)
        records.messages[invoice_id].add(message)
    payments = [(payment, each.invoice.id) for each in histories for payment in each.payments]
    for payment, invoice_id in sorted(payments, key=lambda pair: pair[0].created_at):
        payment.id = next(payment_ids)
        records.payments[invoice_id].add(payment)


class _Collector:
    """Decides the history of each invoice."""

    def __init__(self, records: Records, span: Span, random: Random) -> None:
        self._records = records
        self._span = span
        self._random = random
        self._user = records.users.ascending()[0]

    def history(self, number: int, invoice: Invoice) -> _History:
        """What happened to an invoice up to now."""
        history = _History(invoice)
        late = invoice.due_date < self._span.today
        turn = number % 12 if late else 12 + number % 4
        if turn in (11, 12):
            if turn == 11 or number % 8 == 0:
                self._pay(history, cents(invoice.amount / 4))
        else:
            self._send(history, number)
            self._collect(history, turn)
        settle(invoice, history.payments)
        return history

    def _send(self, history: _History, number: int) -> None:
        """By e-mail, or only marked as sent; some were taken back to draft and sent again."""
        invoice = history.invoice
        sent = invoice.created_at + timedelta(minutes=self._random.randint(5, 90))
        if number % 7 == 5:
            self._message(history, sent, event_type="send")
        else:
            self._message(history, sent)
            if number % 9 == 2:
                self._message(history, sent + timedelta(minutes=20), event_type="draft")
                sent += timedelta(hours=2)
                self._message(history, sent)
        invoice.state, invoice.sent_at = "open", self._span.until_now(sent)
        self._moved(invoice, sent)

    def _collect(self, history: _History, turn: int) -> None:
        """Turns 0 to 10 are of invoices past due, 13 to 15 of younger ones."""
        invoice = history.invoice
        if turn in (1, 2):
            self._message(history, instant(invoice.due_date, 8 * 60 + 7 * 24 * 60), reminder=True)
        if turn in (2, 3, 14):
            self._pay(history, cents(invoice.amount * Decimal("0.4")))
        if turn in (3, 4, 5, 6, 7, 8, 9, 10, 15):
            paid = sum(payment.amount for payment in history.payments)
            self._pay(history, invoice.amount - paid)
            if turn % 3 == 0:
                thanked = history.payments[-1].created_at + timedelta(minutes=30)
                self._message(history, thanked, thank_you=True)
        if turn in (0, 1):
            closed = self._span.until_now(instant(invoice.due_date, 30 * 24 * 60))
            self._message(history, closed, event_type="close")
            if turn == 0:
                invoice.state, invoice.closed_at = "closed", closed
            else:
                self._message(history, closed + timedelta(hours=1), event_type="re-open")
            self._moved(invoice, closed)

    def _pay(self, history: _History, amount: Decimal) -> None:
        """A payment on a day between the last one (or the issue) and today."""
        invoice, random, span = history.invoice, self._random, self._span
        earliest = history.payments[-1].paid_date if history.payments else invoice.issue_date
        latest = max(earliest, min(span.today, invoice.due_date + timedelta(days=10)))
        day = earliest + timedelta(days=random.randint(0, (latest - earliest).days))
        entered = instant(min(day + timedelta(days=random.choice((0, 0, 3))), span.today), 16 * 60)
        gateway = random.choice(names.GATEWAYS) if invoice.payment_options else (None, None)
        made = span.until_now(max(entered, invoice.updated_at))
        reference = f"ch_{random.getrandbits(48):012x}" if gateway[0] else None
        self._moved(invoice, made)
        history.payments.append(
            InvoicePayment(
                amount=amount,
                paid_at=made if gateway[0] and made.date() == day else midnight(day),
                recorded_by=self._user.name,
                recorded_by_email=self._user.email,
                notes=random.choice(names.PAYMENT_NOTES),
                transaction_id=reference,
                created_at=made,
                updated_at=made,
                paid_date=day,
                payment_gateway=PaymentGateway(*gateway),
            )
        )

    def _message(
        self, history: _History, sent: datetime, event_type: str | None = None, **kind: bool
    ) -> None:
        recipients = [
            Recipient(f"{contact.first_name} {contact.last_name}", contact.email)
            for contact in self._records.contacts
            if contact.client.id == history.invoice.client.id
        ]
        history.messages.append(
            new_message(
                history.invoice,
                company=self._records.company.name,
                sender=self._user,
                recipients=recipients,
                sent=self._span.until_now(sent),
                event_type=event_type,
                **kind,
            )
        )

    def _moved(self, invoice: Invoice, moment: datetime) -> None:
        invoice.updated_at = max(invoice.updated_at, self._span.until_now(moment))
