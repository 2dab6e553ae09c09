"""Estimates: sent a few weeks before some invoices, accepted, declined, or still open."""

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from harvest_pipeline.sandbox.billing import ZERO, cents, exact, total
from harvest_pipeline.sandbox.estimate import (
    Estimate,
    EstimateItemCategory,
    EstimateLine,
    EstimateMessage,
)
from harvest_pipeline.sandbox.generator.invoices import FIRST_ESTIMATE
from harvest_pipeline.sandbox.generator.plan import Span, ids, instant
from harvest_pipeline.sandbox.invoice import Invoice, Recipient
from harvest_pipeline.sandbox.records import Records

#: By the number of the invoice, modulo 19, before which it was sent; 7 is the one that became it.
_STATES = {2: "declined", 7: "accepted", 11: "sent", 15: "draft"}


def add_estimates(records: Records, span: Span, invoices: list[Invoice], random: Random) -> None:
    """Add estimates, their messages and their item categories."""
    for name, key in zip(("Service", "Product"), ids(3_300_700, random), strict=False):
        records.estimate_item_categories.add(
            EstimateItemCategory(key, name, span.opening, span.opening)
        )
    line_ids, message_ids = ids(91_200_200, random), ids(8_800_200, random)
    messages: list[tuple[int, EstimateMessage]] = []
    for number, invoice in enumerate(invoices):
        if state := _STATES.get(number % 19):
            estimate = _estimate(records, span, number, invoice, state, random)
            for line in estimate.line_items:
                line.id = next(line_ids)
            records.add_estimate(estimate)
            messages += [(estimate.id, message) for message in _messages(records, estimate)]
    for estimate_id, message in sorted(messages, key=lambda pair: pair[1].created_at):
        message.id = next(message_ids)
        records.estimate_messages[estimate_id].add(message)


def _estimate(
    records: Records, span: Span, number: int, invoice: Invoice, state: str, random: Random
) -> Estimate:
    made = max(instant(span.first, 10 * 60), invoice.created_at - timedelta(days=35))
    lines = [
        EstimateLine(0, "Service", text, hours, price, cents(hours * price), True, True)
        for text in ("Design and development", "Project management")[: 1 + number % 2]
        for hours in [exact(random.randrange(8, 200))]
        for price in [exact(random.randrange(80, 160, 5))]
    ]
    whole = total(line.amount for line in lines)
    discount = exact(5) if number % 2 else None
    off = cents(whole * (discount or ZERO) / 100)
    tax_amount = cents((whole - off) * (invoice.tax or ZERO) / 100)
    tax2_amount = cents((whole - off) * (invoice.tax2 or ZERO) / 100)
    sent = made + timedelta(minutes=25) if state != "draft" else None
    ended = span.until_now(made + timedelta(days=3, hours=2))
    return Estimate(
        id=FIRST_ESTIMATE + number,
        client_key=f"{random.getrandbits(160):040x}",
        number=f"E-{number + 1}",
        purchase_order="",
        amount=exact(whole - off + tax_amount + tax2_amount),
        tax=invoice.tax,
        tax_amount=tax_amount,
        tax2=invoice.tax2,
        tax2_amount=tax2_amount,
        discount=discount,
        discount_amount=off,
        subject=f"Work for {invoice.client.name}",
        notes="" if number % 3 else "Valid for 30 days.",
        state=state,
        issue_date=made.date(),
        sent_at=sent,
        created_at=made,
        updated_at=ended if state in ("accepted", "declined") else sent or made,
        accepted_at=ended if state == "accepted" else None,
        declined_at=ended if state == "declined" else None,
        currency=invoice.currency,
        client=invoice.client,
        creator=invoice.creator,
        line_items=lines,
    )


def _messages(records: Records, estimate: Estimate) -> list[EstimateMessage]:
    user = records.users.ascending()[0]
    contacts = [each for each in records.contacts if each.client.id == estimate.client.id]
    recipients = [Recipient(f"{each.first_name} {each.last_name}", each.email) for each in contacts]

    def message(at: datetime, event: str | None) -> EstimateMessage:
        mail = event is None
        return EstimateMessage(
            id=0,
            sent_by=user.name,
            sent_by_email=user.email,
            sent_from=user.name,
            sent_from_email=user.email,
            send_me_a_copy=mail and estimate.id % 2 == 0,
            created_at=at,
            updated_at=at,
            recipients=recipients if mail else [],
            event_type=event,
            subject=f"Estimate #{estimate.number} from {records.company.name}" if mail else None,
            body=f"Estimate ID: {estimate.number}\r\nAmount: {_shown(estimate.amount)} "
            f"{estimate.currency}\r\n\r\n%estimate_url%"
            if mail
            else None,
        )

    ended = estimate.accepted_at or estimate.declined_at
    event = "accept" if estimate.accepted_at else "decline"
    sent = [message(estimate.sent_at, None)] if estimate.sent_at else []
    return [*sent, *([message(ended, event)] if ended else [])]


def _shown(amount: Decimal) -> str:
    return f"{amount:,.2f}"
