"""A live account: its records, and the changes that people make to them.

Belongs here: what a change brings with it (REFERENCE 8, 11): `updated_at`, copies of names, sums of
invoices, what is deleted along. Does not belong here: HTTP, or which request causes a change.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from threading import RLock
from typing import Any, cast, get_type_hints

import msgspec
from msgspec import Struct

from harvest_pipeline.sandbox import changes
from harvest_pipeline.sandbox.clock import Clock
from harvest_pipeline.sandbox.faults import Faults
from harvest_pipeline.sandbox.invoice import (
    Invoice,
    InvoiceMessage,
    InvoicePayment,
)
from harvest_pipeline.sandbox.log import RequestLog
from harvest_pipeline.sandbox.model import Expense, TimeEntry, User
from harvest_pipeline.sandbox.moves import move
from harvest_pipeline.sandbox.numbers import exact, rounded_up
from harvest_pipeline.sandbox.permissions import Viewer
from harvest_pipeline.sandbox.receivables import Receivables
from harvest_pipeline.sandbox.records import Records

#: The people whose tokens are known are the first ones of the account.
_KNOWN: tuple[str, ...] = ("administrator", "manager", "member")
#: What a new entry or expense is not yet.
_FRESH: dict[str, Any] = {
    "is_locked": False,
    "locked_reason": None,
    "is_closed": False,
    "approval_status": "unsubmitted",
    "is_billed": False,
    "invoice": None,
}
_FRESH_ENTRY = {**_FRESH, "is_running": False, "timer_started_at": None, "external_reference": None}


class Account:
    """One account of a sandbox. `clock`, `faults` and `request_log` are shared by all accounts.

    `lock` is held while records are read for an answer or changed, so that tests may change them
    from another thread.
    """

    def __init__(
        self, id: int, records: Records, clock: Clock, faults: Faults, request_log: RequestLog
    ) -> None:
        self.id = id
        self.records = records
        self.clock = clock
        self.faults = faults
        self.request_log = request_log
        self.lock = RLock()
        self.people = dict(zip(_KNOWN, (u.id for u in records.users.ascending()), strict=False))

    @property
    def name(self) -> str:
        """The account's name."""
        return self.records.company.name

    @property
    def instance(self) -> str:
        """The `fernhill` of `fernhill.harvestapp.com`."""
        return self.records.company.full_domain.split(".")[0]

    def viewer(self, person: str) -> Viewer:
        """The account as the administrator, manager or member sees it; raises KeyError."""
        return Viewer(self.records, self._record("users", self.people[person]))

    def apply(self, change: changes.Change) -> int | None:
        """Make a change that is given as data; the id of what was created, if anything was."""
        match change:
            case changes.ChangeRecord():
                self.change(change.kind, change.id, touch=change.touch, **change.fields)
            case changes.ChangeCompany():
                self.change_company(**change.fields)
            case changes.CreateRecord():
                return self.create(change.kind, like=change.like, **change.fields).id
            case changes.DeleteRecord():
                self.delete(change.kind, change.id)
            case changes.AddPayment():
                return self.add_payment(change.invoice_id, change.amount, change.paid_date).id
            case changes.DeletePayment():
                self.delete_payment(change.invoice_id, change.id)
            case changes.AddMessage():
                flags = {"reminder": change.reminder, "thank_you": change.thank_you}
                return self.add_message(change.invoice_id, change.event_type, **flags).id
        return None

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
        """Set fields of the account itself. Raises ValueError as `change` does."""
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
            record = msgspec.structs.replace(
                model, id=table.next_id(), created_at=now, updated_at=now
            )
            for name, value in _new(record).items():
                setattr(record, name, value)
            self._set(record, fields)
            table.add(record)
            return record

    def delete(self, kind: str, id: int) -> None:
        """Delete a record without a trace (REFERENCE 8).

        With a project go its time, expenses and assignments, but not its invoices; what was on a
        deleted invoice is not billed any more. Raises KeyError for an unknown record.
        """
        with self.lock:
            self._record(kind, id)
            if kind == "projects":
                self._delete_of_project(id)
            elif kind == "invoices":
                self._receivables(id).forget()
            self.records.table(kind).remove(id)

    def add_payment(
        self, invoice_id: int, amount: Decimal | int | str, paid_date: date | None = None
    ) -> InvoicePayment:
        """Record a payment, of today if no day is given. Raises KeyError."""
        with self.lock:
            return self._receivables(invoice_id).add_payment(exact(amount), paid_date)

    def delete_payment(self, invoice_id: int, payment_id: int) -> None:
        """Take a payment back. Raises KeyError."""
        with self.lock:
            self._receivables(invoice_id).delete_payment(payment_id)

    def add_message(
        self,
        invoice_id: int,
        event_type: str | None = None,
        *,
        reminder: bool = False,
        thank_you: bool = False,
    ) -> InvoiceMessage:
        """Send a message, or let one of the events happen. Raises KeyError."""
        with self.lock:
            receivables = self._receivables(invoice_id)
            return receivables.add_message(event_type, reminder=reminder, thank_you=thank_you)

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

    def _receivables(self, invoice_id: int) -> Receivables:
        administrator: User = self._record("users", self.people["administrator"])
        invoice: Invoice = self._record("invoices", invoice_id)
        return Receivables(self.records, invoice, administrator, self.clock.now())

    def _delete_of_project(self, project_id: int) -> None:
        for kind in ("time_entries", "expenses", "task_assignments", "user_assignments"):
            table = self.records.table(kind)
            for key in [record.id for record in table if record.project.id == project_id]:
                table.remove(key)


def _new(record: Any) -> Mapping[str, Any]:
    if isinstance(record, TimeEntry):
        return _FRESH_ENTRY
    return _FRESH if isinstance(record, Expense) else {}


def _set_plain(record: Any, fields: Mapping[str, Any]) -> None:
    """Set fields to values of their type. Raises ValueError for an unknown field or wrong type."""
    types = get_type_hints(cast("type[Struct]", type(record)))
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
