"""The truth about an account: everything that is in it, without pages, limits or roles."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.sandbox.records import Records, Table
from harvest_pipeline.sandbox.reports import budget_rows

#: Records that have a list for each parent: their field of `Records`, and the column of the parent.
_CHILDREN = {
    "invoice_messages": ("messages", "invoice_id"),
    "invoice_payments": ("payments", "invoice_id"),
    "estimate_messages": ("estimate_messages", "estimate_id"),
    "billable_rates": ("billable_rates", "user_id"),
    "cost_rates": ("cost_rates", "user_id"),
}
#: Records that are a list inside another one: that one, and the column with its id.
_LINES = {
    "invoice_line_items": ("invoices", "invoice_id"),
    "estimate_line_items": ("estimates", "estimate_id"),
}
#: All kinds of record, by the names of their tables in the warehouse.
KINDS = (
    *_CHILDREN, *_LINES,
    "clients", "contacts", "estimate_item_categories", "estimates", "expense_categories",
    "expenses", "invoice_item_categories", "invoices", "projects", "roles", "task_assignments",
    "tasks", "teammates", "time_entries", "user_assignments", "users",
)  # fmt: skip


def truth(records: Records, kind: str, today: date | None = None) -> list[dict[str, Any]]:
    """All records of a kind, ascending, as the API shows them to an administrator.

    Values are Decimal, date and datetime; those with a parent have its id in front. Budgets are
    those of `today`. Raises KeyError for an unknown kind.
    """
    if kind in _LINES:
        parent, column = _LINES[kind]
        return [
            {column: record.id, **_plain(line)}
            for record in records.table(parent).ascending()
            for line in record.line_items
        ]
    if kind in _CHILDREN:
        field, column = _CHILDREN[kind]
        tables: dict[int, Table[Any]] = getattr(records, field)
        parents = records.table(
            {"invoice_id": "invoices", "estimate_id": "estimates", "user_id": "users"}[column]
        )
        return [
            {column: parent, **_plain(record)}
            for parent, table in tables.items()
            if parents.get(parent)
            for record in table.ascending()
        ]
    if kind == "company":
        return [_plain(records.company)]
    if kind == "people_snapshots":
        return truth(records, "users")
    if kind == "project_budgets":
        assert today, "a budget is that of a day"
        return budget_rows(records, records.projects.ascending(), today, with_money=True)
    if kind == "teammates":
        names = ("id", "first_name", "last_name", "email")
        return [
            {"user_id": manager, **{name: getattr(user, name) for name in names}}
            for manager, people in records.teammates.items()
            if (viewer := records.users.get(manager)) and "manager" in viewer.access_roles
            for user in records.users.ascending()
            if user.id in people
        ]
    return [_plain(record) for record in records.table(kind).ascending()]


def days_of(records: Records, kind: str) -> list[date]:
    """The days of all records of a kind that Harvest lists by day, ascending."""
    column = RECORDS[kind].day or ""
    return sorted(date.fromisoformat(str(row[column])) for row in truth(records, kind))


def identity(kind: str, row: dict[str, Any]) -> int:
    """What tells a row from all others of its kind: its id; of teammates the manager's too; of a
    budget its project's; of the company nothing."""
    if kind == "teammates":
        return (row["user_id"] << 32) + row["id"]
    return row["project_id"] if kind == "project_budgets" else row.get("id", 0)


def _plain(record: Any) -> dict[str, Any]:
    return msgspec.to_builtins(record, builtin_types=(Decimal, date, datetime))
