"""The truth about an account: everything that is in it, without pages, limits or roles."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from harvest_pipeline.sandbox.records import Records, Table

#: All kinds of record, by the names of their tables in the warehouse.
KINDS = (
    "clients", "contacts", "expense_categories", "expenses", "invoice_item_categories",
    "invoice_line_items", "invoice_messages", "invoice_payments", "invoices", "projects", "roles",
    "task_assignments", "tasks", "time_entries", "user_assignments", "users",
)  # fmt: skip


def truth(records: Records, kind: str) -> list[dict[str, Any]]:
    """All records of a kind, ascending, as the API shows them to an administrator.

    Values are Decimal, date and datetime; those inside an invoice have its `invoice_id` in front.
    Raises KeyError for an unknown kind.
    """
    if kind == "invoice_line_items":
        return [
            {"invoice_id": invoice.id, **_plain(line)}
            for invoice in records.invoices.ascending()
            for line in invoice.line_items
        ]
    if kind == "invoice_messages":
        return _children(records.messages.items())
    if kind == "invoice_payments":
        return _children(records.payments.items())
    return [_plain(record) for record in records.table(kind).ascending()]


def _children(tables: Iterable[tuple[int, Table[Any]]]) -> list[dict[str, Any]]:
    return [
        {"invoice_id": invoice_id, **_plain(record)}
        for invoice_id, table in tables
        for record in table.ascending()
    ]


def _plain(record: Any) -> dict[str, Any]:
    return msgspec.to_builtins(record, builtin_types=(Decimal, date, datetime))
