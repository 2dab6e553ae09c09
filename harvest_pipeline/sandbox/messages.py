"""The texts of messages about invoices.

Belongs here: subject and body of a message, sent or only previewed. Does not belong here: when
messages are sent.
"""

from datetime import datetime, timedelta

from harvest_pipeline.sandbox.invoice import Invoice, InvoiceMessage, MessagePreview, Recipient
from harvest_pipeline.sandbox.model import User


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
    """A message, without an id yet; one with an `event_type` is no e-mail (REFERENCE 11)."""
    mail = event_type is None
    preview = preview_message(invoice, company, reminder=reminder, thank_you=thank_you)
    ordinary = mail and not reminder and not thank_you
    return InvoiceMessage(
        id=0,
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
        subject=preview.subject if mail else None,
        body=preview.body if mail else None,
    )


def preview_message(
    invoice: Invoice, company: str, *, reminder: bool = False, thank_you: bool = False
) -> MessagePreview:
    """What a message about an invoice would say."""
    what = "Reminder: invoice" if reminder else "Thank you for paying invoice"
    opening = what if reminder or thank_you else "Invoice"
    body = (
        f"Invoice ID: {invoice.number}\r\n"
        f"Amount: {invoice.amount:,.2f} {invoice.currency}\r\n"
        f"Due: {invoice.due_date:%m/%d/%Y} ({invoice.payment_term})\r\n\r\n"
        "The detailed invoice is attached as a PDF."
    )
    subject = f"{opening} #{invoice.number} from {company}"
    return MessagePreview(invoice.id, subject, body, reminder, thank_you)
