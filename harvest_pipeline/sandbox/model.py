"""The records of a Harvest account, and the copies of them inside other records.

An answer is a struct written as JSON, so the fields are in the order in which Harvest sends them.
A default is the value of a new record.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from msgspec import Struct


class Entity(Protocol):
    """What every record has."""

    id: int
    created_at: datetime
    updated_at: datetime


class ClientName(Struct):
    """The client of a contact and of an invoice."""

    id: int
    name: str


class ClientRef(ClientName):
    """The client of a project, a time entry and an expense; Harvest does not document the currency,
    but sends it in all real records.
    """

    currency: str


class ProjectRef(Struct):
    """The project of everything that belongs to one."""

    id: int
    name: str
    code: str | None

    @property
    def label(self) -> str:
        """The name with the code in front, as reports and the lines of invoices show it."""
        return f"[{self.code}] {self.name}" if self.code else self.name


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


class Company(Struct, kw_only=True):
    """The account itself; the only record without an id."""

    base_uri: str
    full_domain: str
    name: str
    is_active: bool = True
    week_start_day: str = "Monday"
    wants_timestamp_timers: bool
    time_format: str = "decimal"
    date_format: str = "%d.%m.%Y"
    plan_type: str = "simple-v4"
    expense_feature: bool = True
    invoice_feature: bool = True
    estimate_feature: bool = True
    team_feature: bool = True
    weekly_capacity: int = 144000
    approval_feature: bool = True
    clock: str = "12h"
    currency: str
    currency_code_display: str = "iso_code_after"
    currency_symbol_display: str = "symbol_none"
    decimal_symbol: str = ","
    thousands_separator: str = "."
    color_scheme: str = "orange"


class Role(Struct):
    """A business role such as Developer; no effect on permissions."""

    id: int
    name: str
    created_at: datetime
    updated_at: datetime
    user_ids: list[int]


class User(Struct):
    """A person with access to the account. `weekly_capacity` is in seconds."""

    id: int
    first_name: str
    last_name: str
    email: str
    telephone: str
    timezone: str
    weekly_capacity: int
    has_access_to_all_future_projects: bool
    is_contractor: bool
    is_active: bool
    calendar_integration_enabled: bool
    calendar_integration_source: str | None
    created_at: datetime
    updated_at: datetime
    can_create_projects: bool
    default_hourly_rate: Decimal | None
    cost_rate: Decimal | None
    roles: list[str]
    access_roles: list[str]
    permissions_claims: list[str]
    avatar_url: str

    @property
    def name(self) -> str:
        """First and last name, as copies of the person show it."""
        return f"{self.first_name} {self.last_name}"


class Rate(Struct):
    """A billable or cost rate of a person; null days: since the beginning, and until further
    notice."""

    id: int
    amount: Decimal
    start_date: date | None
    end_date: date | None
    created_at: datetime
    updated_at: datetime


class Teammate(Struct):
    """A person whose time a manager sees."""

    id: int
    first_name: str
    last_name: str
    email: str


class Client(Struct):
    """A client; its currency is that of everything done for it."""

    id: int
    name: str
    is_active: bool
    address: str | None
    statement_key: str
    created_at: datetime
    updated_at: datetime
    currency: str


class Contact(Struct):
    """A person at a client."""

    id: int
    title: str | None
    first_name: str
    last_name: str
    email: str
    phone_office: str
    phone_mobile: str
    fax: str
    created_at: datetime
    updated_at: datetime
    client: ClientName


class Task(Struct):
    """A kind of work."""

    id: int
    name: str
    billable_by_default: bool
    default_hourly_rate: Decimal | None
    is_default: bool
    is_active: bool
    created_at: datetime
    updated_at: datetime


class Project(Struct):
    """A project. `budget` is in hours, `cost_budget`, `hourly_rate` and `fee` in money."""

    id: int
    name: str
    code: str | None
    is_active: bool
    is_billable: bool
    is_fixed_fee: bool
    bill_by: str
    budget: Decimal | None
    budget_by: str
    budget_is_monthly: bool
    notify_when_over_budget: bool
    over_budget_notification_percentage: Decimal
    show_budget_to_all: bool
    created_at: datetime
    updated_at: datetime
    starts_on: date | None
    ends_on: date | None
    over_budget_notification_date: date | None
    notes: str | None
    cost_budget: Decimal | None
    cost_budget_include_expenses: bool
    hourly_rate: Decimal | None
    fee: Decimal | None
    client: ClientRef


class UserAssignment(UserAssignmentRef):
    """A person on a project."""

    project: ProjectRef
    user: UserRef


class TaskAssignment(TaskAssignmentRef):
    """A task on a project."""

    project: ProjectRef
    task: TaskRef


class TimeEntry(Struct, kw_only=True):
    """Time of one person on one task of a project on one day."""

    id: int = 0
    spent_date: date
    hours: Decimal
    hours_without_timer: Decimal
    rounded_hours: Decimal
    notes: str | None
    is_locked: bool = False
    locked_reason: str | None = None
    is_closed: bool = False
    approval_status: str = "unsubmitted"
    is_billed: bool = False
    timer_started_at: datetime | None = None
    started_time: str | None
    ended_time: str | None
    is_running: bool = False
    billable: bool
    budgeted: bool
    billable_rate: Decimal | None
    cost_rate: Decimal | None
    created_at: datetime
    updated_at: datetime
    user: UserRef
    client: ClientRef
    project: ProjectRef
    task: TaskRef
    user_assignment: UserAssignmentRef
    task_assignment: TaskAssignmentRef
    invoice: InvoiceRef | None = None
    external_reference: ExternalReference | None = None


class ExpenseCategory(Struct):
    """A kind of expense, perhaps with a price per unit."""

    id: int
    name: str
    unit_name: str | None
    unit_price: Decimal | None
    is_active: bool
    created_at: datetime
    updated_at: datetime


class Expense(Struct, kw_only=True):
    """An expense of one person on a project on one day."""

    id: int = 0
    spent_date: date
    notes: str | None
    total_cost: Decimal
    units: Decimal
    billable: bool
    receipt: Receipt | None
    is_closed: bool = False
    approval_status: str = "unsubmitted"
    is_locked: bool = False
    is_billed: bool = False
    locked_reason: str | None = None
    created_at: datetime
    updated_at: datetime
    user: UserRef
    client: ClientRef
    project: ProjectRef
    expense_category: CategoryRef
    user_assignment: UserAssignmentRef
    invoice: InvoiceRef | None = None
