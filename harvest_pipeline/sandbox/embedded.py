"""The copies of records that other records hold, e.g. the `client` of a time entry.

Belongs here: one struct per shape of copy, in the key order of REFERENCE.md's endpoint files.
Does not belong here: the records themselves (model.py), or keeping the copies up to date
(account.py).
"""

from datetime import datetime
from decimal import Decimal

from msgspec import Struct


class ClientName(Struct):
    """The client of a contact and of an invoice."""

    id: int
    name: str


class ClientRef(Struct):
    """The client of a project, a time entry and an expense; the currency is undocumented, but in
    all real records (REFERENCE 14).
    """

    id: int
    name: str
    currency: str


class ProjectRef(Struct):
    """The project of everything that belongs to one."""

    id: int
    name: str
    code: str | None


class TaskRef(Struct):
    """The task of an entry and of a task assignment."""

    id: int
    name: str


class UserRef(Struct):
    """A person, by full name."""

    id: int
    name: str


class CategoryRef(Struct):
    """The category of an expense."""

    id: int
    name: str
    unit_price: Decimal | None
    unit_name: str | None


class UserAssignmentRef(Struct):
    """The person's assignment to the project of an entry or expense."""

    id: int
    is_project_manager: bool
    is_active: bool
    use_default_rates: bool
    budget: Decimal | None
    created_at: datetime
    updated_at: datetime
    hourly_rate: Decimal | None


class TaskAssignmentRef(Struct):
    """The task's assignment to the project of an entry."""

    id: int
    billable: bool
    is_active: bool
    created_at: datetime
    updated_at: datetime
    hourly_rate: Decimal | None
    budget: Decimal | None


class InvoiceRef(Struct):
    """The invoice that an entry or expense was put on."""

    id: int
    number: str


class ExternalReference(Struct):
    """A link to an item of another system."""

    id: str
    group_id: str
    account_id: str
    permalink: str
    service: str
    service_icon_url: str


class Receipt(Struct):
    """The receipt of an expense."""

    url: str
    file_name: str
    file_size: int
    content_type: str
