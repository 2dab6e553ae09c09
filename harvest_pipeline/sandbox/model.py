"""The records of a Harvest account, in the shape and key order of the API's answers.

Belongs here: one struct per record, fields in the order of REFERENCE.md's endpoint files, since an
answer is the struct written as JSON. Does not belong here: values, rules, or who may see what.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from msgspec import Struct

from harvest_pipeline.sandbox.embedded import (
    CategoryRef,
    ClientName,
    ClientRef,
    ExternalReference,
    InvoiceRef,
    ProjectRef,
    Receipt,
    TaskAssignmentRef,
    TaskRef,
    UserAssignmentRef,
    UserRef,
)


class Entity(Protocol):
    """What every record has."""

    id: int
    created_at: datetime
    updated_at: datetime


class Company(Struct):
    """The account itself; the only record without an id."""

    base_uri: str
    full_domain: str
    name: str
    is_active: bool
    week_start_day: str
    wants_timestamp_timers: bool
    time_format: str
    date_format: str
    plan_type: str
    expense_feature: bool
    invoice_feature: bool
    estimate_feature: bool
    team_feature: bool
    weekly_capacity: int
    approval_feature: bool
    clock: str
    currency: str
    currency_code_display: str
    currency_symbol_display: str
    decimal_symbol: str
    thousands_separator: str
    color_scheme: str


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


class UserAssignment(Struct):
    """A person on a project."""

    id: int
    is_project_manager: bool
    is_active: bool
    use_default_rates: bool
    budget: Decimal | None
    created_at: datetime
    updated_at: datetime
    hourly_rate: Decimal | None
    project: ProjectRef
    user: UserRef


class TaskAssignment(Struct):
    """A task on a project."""

    id: int
    billable: bool
    is_active: bool
    created_at: datetime
    updated_at: datetime
    hourly_rate: Decimal | None
    budget: Decimal | None
    project: ProjectRef
    task: TaskRef


class TimeEntry(Struct):
    """Time of one person on one task of a project on one day."""

    id: int
    spent_date: date
    hours: Decimal
    hours_without_timer: Decimal
    rounded_hours: Decimal
    notes: str | None
    is_locked: bool
    locked_reason: str | None
    is_closed: bool
    approval_status: str
    is_billed: bool
    timer_started_at: datetime | None
    started_time: str | None
    ended_time: str | None
    is_running: bool
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
    invoice: InvoiceRef | None
    external_reference: ExternalReference | None


class ExpenseCategory(Struct):
    """A kind of expense, perhaps with a price per unit."""

    id: int
    name: str
    unit_name: str | None
    unit_price: Decimal | None
    is_active: bool
    created_at: datetime
    updated_at: datetime


class Expense(Struct):
    """An expense of one person on a project on one day."""

    id: int
    spent_date: date
    notes: str | None
    total_cost: Decimal
    units: Decimal
    billable: bool
    receipt: Receipt | None
    is_closed: bool
    approval_status: str
    is_locked: bool
    is_billed: bool
    locked_reason: str | None
    created_at: datetime
    updated_at: datetime
    user: UserRef
    client: ClientRef
    project: ProjectRef
    expense_category: CategoryRef
    user_assignment: UserAssignmentRef
    invoice: InvoiceRef | None
