"""A live account: what people change, and what each change brings with it, as at Harvest.

A change moves the record's `updated_at`, but not that of the records that hold a copy of its name;
a deletion leaves no trace; what happens to an invoice's payments moves the invoice.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from harvest_pipeline.sandbox import world
from harvest_pipeline.sandbox.billing import exact, lock, midnight, rounded_up, settle
from harvest_pipeline.sandbox.clock import Clock
from harvest_pipeline.sandbox.invoice import (
    Invoice,
    InvoiceMessage,
    InvoicePayment,
    PaymentGateway,
    Recipient,
    new_message,
)
from harvest_pipeline.sandbox.model import TimeEntry
from harvest_pipeline.sandbox.world import RequestLog
from harvest_pipeline_tests.sandbox.faults import Faults
from harvest_pipeline_tests.sandbox.moves import move

if TYPE_CHECKING:
    from harvest_pipeline_tests.sandbox.server import SandboxServer


class Account(world.Account):
    """One account of a sandbox; `clock`, `faults` and `request_log` are those of all of them."""

    def __init__(self, served: world.Account, server: "SandboxServer") -> None:
        super().__init__(served.id, served.records)
        self.lock = served.lock
        self._server = server

    @property
    def clock(self) -> Clock:
        """What time it is for Harvest."""
        return self._server.world.clock

    @property
    def faults(self) -> Faults:
        """What goes wrong."""
        return self._server.faults

    @property
    def request_log(self) -> RequestLog:
        """What was asked."""
        return self._server.world.request_log

    def change(self, kind: str, id: int, *, touch: bool = True, **fields: Any) -> Any:
        """Set fields of a record and return it; with `touch` its `updated_at` moves to now.

        `user_id`, `client_id`, `project_id`, `task_id` and `expense_category_id` move a time entry,
        an expense or a contact to another owner. Raises KeyError for an unknown record and
        ValueError for an unknown field or a value of another type.
        """
        with self.lock:
            record = self._record(kind, id)
            self._set(record, fields)
            if touch:
                record.updated_at = self.clock.now()
            self.records.table(kind).reorder()
            self.records.refresh(record)
            return record

    def change_company(self, **fields: Any) -> None:
        """Set fields of the account itself, e.g. switch a module off. Raises ValueError."""
        with self.lock:
            _set_plain(self.records.company, fields)

    def create(self, kind: str, *, like: int | None = None, **fields: Any) -> Any:
        """Add a record and return it: a copy of the newest one (or of `like`) but for `fields`.

        A new entry or expense is neither approved nor billed; an invoice cannot be created.
        Raises KeyError and ValueError as `change` does.
        """
        with self.lock:
            table = self.records.table(kind)
            if kind == "invoices":
                raise ValueError("the sandbox cannot create invoices")
            model = self._record(kind, like if like is not None else table.next_id() - 1)
            now = self.clock.now()
            new = {
                each.name: each.default
                for each in msgspec.structs.fields(model)
                if each.default is not msgspec.NODEFAULT
            }
            new |= {"id": table.next_id(), "created_at": now, "updated_at": now}
            record = msgspec.structs.replace(model, **new)
            self._set(record, fields)
            table.add(record)
            return record

    def delete(self, kind: str, id: int) -> None:
        """Delete a record without a trace.

        With a project go its time, expenses and assignments, but not its invoices; what was on a
        deleted invoice can be billed again. Raises KeyError for an unknown record.
        """
        with self.lock:
            self._record(kind, id)
            if kind == "projects":
                for name in ("time_entries", "expenses", "task_assignments", "user_assignments"):
                    table = self.records.table(name)
                    for key in [record.id for record in table if record.project.id == id]:
                        table.remove(key)
            elif kind == "invoices":
                del self.records.messages[id], self.records.payments[id]
                for record in self.records.on_invoice(id):
                    record.is_billed, record.invoice = False, None
                    lock(record)
                    record.updated_at = self.clock.now()
            self.records.table(kind).remove(id)

    def add_payment(
        self, invoice_id: int, amount: Decimal | int | str, paid_date: date | None = None
    ) -> InvoicePayment:
        """Record a payment by hand, of today if no day is given. Raises KeyError."""
        with self.lock:
            invoice, now = self._record("invoices", invoice_id), self.clock.now()
            user = self._record("users", self.people["administrator"])
            day = paid_date or now.date()
            payment = InvoicePayment(
                id=_next_id(self.records.payments),
                amount=exact(amount),
                paid_at=midnight(day),
                recorded_by=user.name,
                recorded_by_email=user.email,
                notes="",
                transaction_id=None,
                created_at=now,
                updated_at=now,
                paid_date=day,
                payment_gateway=PaymentGateway(None, None),
            )
            self.records.payments[invoice_id].add(payment)
            self._settle(invoice)
            return payment

    def delete_payment(self, invoice_id: int, payment_id: int) -> None:
        """Take a payment back. Raises KeyError."""
        with self.lock:
            self.records.payments[invoice_id].remove(payment_id)
            self._settle(self._record("invoices", invoice_id))

    def add_message(
        self, invoice_id: int, event_type: str | None = None, **kind: bool
    ) -> InvoiceMessage:
        """Send a message (`reminder` or `thank_you`), or let one of the events happen.

        Only one that sends the invoice itself moves it. Raises KeyError.
        """
        with self.lock:
            invoice, now = self._record("invoices", invoice_id), self.clock.now()
            contacts = [c for c in self.records.contacts if c.client.id == invoice.client.id]
            message = new_message(
                invoice,
                company=self.name,
                sender=self._record("users", self.people["administrator"]),
                recipients=[Recipient(f"{c.first_name} {c.last_name}", c.email) for c in contacts],
                sent=now,
                event_type=event_type,
                **kind,
            )
            message.id = _next_id(self.records.messages)
            self.records.messages[invoice_id].add(message)
            if event_type in (None, "send") and not any(kind.values()):
                invoice.sent_at = invoice.updated_at = now
                invoice.state = "open" if invoice.state == "draft" else invoice.state
            return message

    def _settle(self, invoice: Invoice) -> None:
        settle(invoice, self.records.payments[invoice.id])
        invoice.updated_at = self.clock.now()

    def _record(self, kind: str, id: int) -> Any:
        record = self.records.table(kind).get(id)
        if record is None:
            raise KeyError(f"the sandbox has no {kind} with the id {id}")
        return record

    def _set(self, record: Any, fields: Mapping[str, Any]) -> None:
        """Set plain fields, then move the record to other owners, then what follows from both."""
        owners = {name: key for name, key in fields.items() if name.endswith("_id")}
        owners = {name: key for name, key in owners.items() if not hasattr(record, name)}
        _set_plain(record, {n: v for n, v in fields.items() if n not in owners})
        move(self.records, record, owners)
        if isinstance(record, TimeEntry) and "hours" in fields:
            record.rounded_hours = rounded_up(record.hours)
            record.hours_without_timer = record.hours


def _next_id(tables: Mapping[int, Any]) -> int:
    """An id above those of the children of all invoices."""
    return max((table.next_id() for table in tables.values()), default=1)


def _set_plain(record: Any, fields: Mapping[str, Any]) -> None:
    """Set fields to values of their type. Raises ValueError for an unknown field or wrong type."""
    types = get_type_hints(type(record))
    for name, value in fields.items():
        if name not in record.__struct_fields__:
            raise ValueError(f"{type(record).__name__} has no field {name}")
        number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        if number and types[name] in (Decimal, Decimal | None):
            value = exact(str(value))
        try:
            converted = msgspec.convert(value, types[name])
        except msgspec.ValidationError as error:
            raise ValueError(f"{type(record).__name__}.{name}: {error}") from error
        setattr(record, name, converted)
