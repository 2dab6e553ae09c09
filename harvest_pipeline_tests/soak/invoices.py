"""What people do to invoices, payments and messages. Each says what it did; None: nothing."""

from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any, cast

import msgspec

from harvest_pipeline.sandbox.billing import compute_amounts, due_on, settle
from harvest_pipeline.sandbox.invoice import Invoice
from harvest_pipeline.sandbox.model import InvoiceRef
from harvest_pipeline_tests.soak.people import A_WEEK, NAMES, NOTES, People, hours

#: The sweep of messages and payments goes back 400 days.
_SWEPT = 390


def new_invoice(people: People, chance: Random) -> str | None:
    like: Invoice | None = people.any(chance, "invoices")
    if like is None:
        return None
    now, key = people.account.clock.now(), people.records.invoices.next_id()
    issued = people.day(chance)
    invoice = msgspec.structs.replace(
        like,
        id=key,
        client_key=f"{key:x}",
        number=str(key),
        state="draft",
        issue_date=issued,
        due_date=due_on(issued, "net 30"),
        payment_term="net 30",
        sent_at=None,
        created_at=now,
        updated_at=now,
        line_items=[
            msgspec.structs.replace(line, id=people.next_line()) for line in like.line_items
        ],
    )
    settle(invoice, [])
    invoice.paid_at = invoice.paid_date = invoice.closed_at = None
    people.records.add_invoice(invoice)
    return f"invoices {key} new"


def edit_invoice(people: People, chance: Random) -> str | None:
    invoice = people.any(chance, "invoices")
    if invoice is None:
        return None
    fields: dict[str, Any] = {"notes": chance.choice(NOTES), "subject": chance.choice(NAMES)}
    if chance.random() < 0.3:
        fields["issue_date"] = people.day(chance)
    if chance.random() < 0.2:
        fields["state"] = chance.choice(["draft", "open", "closed"])
    if chance.random() < 0.2:
        fields["number"] = f"{invoice.id}-{chance.randint(1, 99)}"
    return people.change("invoices", invoice, **fields)


def edit_lines(people: People, chance: Random) -> str | None:
    invoice = people.any(chance, "invoices")
    if invoice is None or not invoice.line_items:
        return None
    lines = [msgspec.structs.replace(line) for line in invoice.line_items]
    lines[0].quantity = hours(chance)
    lines[0].amount = (lines[0].quantity * lines[0].unit_price).quantize(Decimal("0.01"))
    if len(lines) > 1 and chance.random() < 0.4:
        del lines[-1]
    people.account.change("invoices", invoice.id, line_items=lines)
    compute_amounts(invoice)
    settle(invoice, people.records.payments[invoice.id])
    return f"invoices {invoice.id} lines"


def bill(people: People, chance: Random) -> str | None:
    entry, invoice = people.any(chance, "time_entries"), people.any(chance, "invoices")
    if entry is None or invoice is None:
        return None
    copy = people.records.copy(InvoiceRef, invoice)
    return people.change("time_entries", entry, is_billed=True, invoice=copy)


def delete_invoice(people: People, chance: Random) -> str | None:
    return people.delete(chance, "invoices")


def pay(people: People, chance: Random) -> str | None:
    invoice = people.any(chance, "invoices")
    if invoice is None:
        return None
    amount = chance.choice([invoice.due_amount, Decimal("10.50"), Decimal("-10.50")])
    people.account.add_payment(invoice.id, amount, people.today)
    return f"invoices {invoice.id} paid"


def take_payment_back(people: People, chance: Random) -> str | None:
    paid = sorted(key for key, table in people.records.payments.items() if len(table))
    if not paid:
        return None
    key = chance.choice(paid)
    payment = chance.choice(people.records.payments[key].ascending())
    people.account.delete_payment(key, payment.id)
    return f"invoices {key} payment {payment.id} taken back"


def send(people: People, chance: Random) -> str | None:
    invoice = people.any(chance, "invoices")
    if invoice is None:
        return None
    people.account.add_message(invoice.id, chance.choice([None, "send"]))
    return f"invoices {invoice.id} sent"


def _recent(people: People, chance: Random) -> Any:
    """An invoice that the weekly sweep looks at."""
    first = people.today - timedelta(days=_SWEPT)
    recent = [each for each in people.records.invoices.ascending() if each.issue_date >= first]
    return chance.choice(recent) if recent else None


def remind(people: People, chance: Random) -> str | None:
    invoice = _recent(people, chance)
    if invoice is None:
        return None
    kind = chance.choice(["reminder", "thank_you"])
    message = people.account.add_message(invoice.id, **cast("Any", {kind: True}))
    people.silent["invoice_messages", message.id] = A_WEEK
    return f"invoice_messages {message.id} {kind} of {invoice.id}, silently"


def edit_children(people: People, chance: Random) -> str | None:
    """Change or delete a message or payment in a way that does not move its invoice."""
    invoice = _recent(people, chance)
    name = chance.choice(["messages", "payments"])
    table = getattr(people.records, name)[invoice.id] if invoice else ()
    if invoice is None or not len(table):
        return None
    child = chance.choice(table.ascending())
    people.silent[f"invoice_{name}", child.id] = A_WEEK
    if name == "messages" and chance.random() < 0.5:
        table.remove(child.id)
        return f"invoice_messages {child.id} deleted, silently"
    setattr(child, "sent_by" if name == "messages" else "recorded_by", chance.choice(NAMES))
    child.updated_at = people.account.clock.now()
    return f"invoice_{name} {child.id} of {invoice.id} changed, silently"
