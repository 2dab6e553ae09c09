"""The lists that the sandbox serves: path, paging, filters (REFERENCE 13).

Belongs here: the table of lists, written down from the reference. Does not belong here: answering.
"""

from dataclasses import dataclass
from enum import Enum, auto
from operator import attrgetter

from harvest_pipeline.sandbox.filters import (
    UPDATED_SINCE,
    Filter,
    by_choice,
    by_flag,
    by_id,
    by_member,
    by_text,
)
from harvest_pipeline.sandbox.invoice import Invoice
from harvest_pipeline.sandbox.model import TimeEntry
from harvest_pipeline.sandbox.paging import MAXIMUM


class Paging(Enum):
    """The two ways of paging (REFERENCE 4)."""

    NUMBER = auto()
    CURSOR = auto()


@dataclass(frozen=True)
class Listing:
    """One list.

    `kind` names the table and the permission. `single` is the path of one record, if there is one.
    `parent` is the table of the record whose id stands in the path. `dated`: the list takes `from`
    and `to`. `module` is the `/company` flag that must be on.
    """

    path: str
    kind: str
    envelope: str
    paging: Paging
    filters: tuple[Filter, ...] = (UPDATED_SINCE,)
    single: str | None = None
    parent: str | None = None
    dated: bool = False
    per_page: int = MAXIMUM
    module: str | None = None


def _external_id(entry: TimeEntry) -> str | None:
    return entry.external_reference.id if entry.external_reference else None


def _projects(invoice: Invoice) -> set[int]:
    return {line.project.id for line in invoice.line_items if line.project is not None}


_ACTIVE = by_flag("is_active", attrgetter("is_active"))
_USER = by_id("user_id", attrgetter("user.id"))
_CLIENT = by_id("client_id", attrgetter("client.id"))
_PROJECT = by_id("project_id", attrgetter("project.id"))
_BILLED = by_flag("is_billed", attrgetter("is_billed"))
_APPROVAL = by_choice(
    "approval_status", ("unsubmitted", "submitted", "approved"), attrgetter("approval_status")
)

LISTS: tuple[Listing, ...] = (
    Listing(
        "/clients",
        "clients",
        "clients",
        Paging.CURSOR,
        (_ACTIVE, UPDATED_SINCE),
        single="/clients/{id:int}",
    ),
    Listing(
        "/contacts",
        "contacts",
        "contacts",
        Paging.CURSOR,
        (_CLIENT, UPDATED_SINCE),
        single="/contacts/{id:int}",
    ),
    Listing(
        "/invoices",
        "invoices",
        "invoices",
        Paging.NUMBER,
        (
            _CLIENT,
            by_member("project_id", _projects),
            by_choice("state", ("draft", "open", "paid", "closed"), attrgetter("state")),
            UPDATED_SINCE,
        ),
        single="/invoices/{id:int}",
        dated=True,
        per_page=100,
        module="invoice_feature",
    ),
    Listing(
        "/invoices/{parent:int}/messages",
        "messages",
        "invoice_messages",
        Paging.CURSOR,
        parent="invoices",
        module="invoice_feature",
    ),
    Listing(
        "/invoices/{parent:int}/payments",
        "payments",
        "invoice_payments",
        Paging.CURSOR,
        parent="invoices",
        module="invoice_feature",
    ),
    Listing(
        "/invoice_item_categories",
        "invoice_item_categories",
        "invoice_item_categories",
        Paging.CURSOR,
        single="/invoice_item_categories/{id:int}",
        module="invoice_feature",
    ),
    Listing(
        "/expenses",
        "expenses",
        "expenses",
        Paging.NUMBER,
        (_USER, _CLIENT, _PROJECT, _BILLED, _APPROVAL, UPDATED_SINCE),
        single="/expenses/{id:int}",
        dated=True,
        module="expense_feature",
    ),
    Listing(
        "/expense_categories",
        "expense_categories",
        "expense_categories",
        Paging.CURSOR,
        (_ACTIVE, UPDATED_SINCE),
        single="/expense_categories/{id:int}",
        module="expense_feature",
    ),
    Listing(
        "/tasks",
        "tasks",
        "tasks",
        Paging.CURSOR,
        (_ACTIVE, UPDATED_SINCE),
        single="/tasks/{id:int}",
    ),
    Listing(
        "/time_entries",
        "time_entries",
        "time_entries",
        Paging.NUMBER,
        (
            _USER,
            _CLIENT,
            _PROJECT,
            by_id("task_id", attrgetter("task.id")),
            by_text("external_reference_id", _external_id),
            _BILLED,
            by_flag("is_running", attrgetter("is_running")),
            _APPROVAL,
            UPDATED_SINCE,
        ),
        single="/time_entries/{id:int}",
        dated=True,
    ),
    Listing(
        "/user_assignments",
        "user_assignments",
        "user_assignments",
        Paging.CURSOR,
        (_USER, _ACTIVE, UPDATED_SINCE),
    ),
    Listing(
        "/projects/{parent:int}/user_assignments",
        "user_assignments",
        "user_assignments",
        Paging.NUMBER,
        (_USER, _ACTIVE, UPDATED_SINCE),
        single="/projects/{parent:int}/user_assignments/{id:int}",
        parent="projects",
    ),
    Listing(
        "/task_assignments",
        "task_assignments",
        "task_assignments",
        Paging.CURSOR,
        (_ACTIVE, UPDATED_SINCE),
    ),
    Listing(
        "/projects/{parent:int}/task_assignments",
        "task_assignments",
        "task_assignments",
        Paging.NUMBER,
        (_ACTIVE, UPDATED_SINCE),
        single="/projects/{parent:int}/task_assignments/{id:int}",
        parent="projects",
    ),
    Listing(
        "/projects",
        "projects",
        "projects",
        Paging.CURSOR,
        (_ACTIVE, _CLIENT, UPDATED_SINCE),
        single="/projects/{id:int}",
    ),
    Listing("/roles", "roles", "roles", Paging.CURSOR, (), single="/roles/{id:int}"),
    Listing(
        "/users",
        "users",
        "users",
        Paging.CURSOR,
        (_ACTIVE, UPDATED_SINCE),
        single="/users/{id:int}",
    ),
)
