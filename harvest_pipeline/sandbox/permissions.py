"""Who may read what, and which fields are hidden, by a person's access roles."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast

import msgspec

from harvest_pipeline.sandbox.answers import forbidden
from harvest_pipeline.sandbox.model import User
from harvest_pipeline.sandbox.records import Records

Visible = Callable[[Any], bool]

_ALL_DATA = (
    "billable_rates", "clients", "cost_rates", "estimates", "expenses", "invoices", "projects",
    "tasks", "timers", "users",
)  # fmt: skip
_CLAIMS = {
    "administrator": [
        *(f"{data}:{verb}:all" for data in _ALL_DATA for verb in ("read", "write")),
        *(f"{data}:{verb}:own" for data in ("billing", "company") for verb in ("read", "write")),
    ],
    "manager": [
        "expenses:read:managed",
        "expenses:write:own",
        "projects:read:managed",
        "timers:read:managed",
        "timers:write:own",
    ],
    "member": ["expenses:read:own", "expenses:write:own", "timers:read:own", "timers:write:own"],
}


def claims(access_roles: Iterable[str]) -> list[str]:
    """The `permissions_claims` of a person with these access roles, sorted by name."""
    return sorted({claim for role in access_roles for claim in _CLAIMS.get(role, ())})


@dataclass(frozen=True)
class Viewer:
    """The person behind a token, looking at an account."""

    records: Records
    user: User

    @property
    def is_administrator(self) -> bool:
        """Whether everything is visible."""
        return "administrator" in self.user.access_roles

    @property
    def is_manager(self) -> bool:
        """Whether the person manages projects or people."""
        return "manager" in self.user.access_roles

    def may(self, extra: str) -> bool:
        """Whether an administrator, or a manager with that extra permission."""
        return self.is_administrator or (self.is_manager and extra in self.user.access_roles)

    @property
    def invoices(self) -> bool:
        """Whether invoices may be seen."""
        return self.may("managed_projects_invoice_manager") or self.may(
            "managed_projects_invoice_drafter"
        )

    @property
    def rates(self) -> bool:
        """Whether billable rates and amounts may be seen."""
        return self.may("billable_rates_manager")

    def managed_projects(self) -> set[int]:
        """The ids of the projects that a manager manages."""
        return {
            assignment.project.id
            for assignment in self.records.user_assignments
            if self.is_manager
            and assignment.is_project_manager
            and assignment.user.id == self.user.id
        }

    def people(self) -> set[int]:
        """The ids of the teammates of a manager."""
        return self.records.teammates.get(self.user.id, set()) if self.is_manager else set()


def hidden_fields(viewer: Viewer) -> frozenset[str]:
    """The keys to leave out: rates and costs, for those who may not see them.

    Harvest documents this for people and projects; for entries and assignments it is assumed.
    """
    if viewer.is_administrator:
        return frozenset()
    if viewer.rates:
        return frozenset({"cost_rate"})
    return frozenset({"cost_rate", "billable_rate", "hourly_rate", "default_hourly_rate"})


def without(hidden: Collection[str], record: Any) -> Any:
    """The record without these keys, in objects inside it either; itself if nothing is hidden."""
    if not hidden:
        return record
    return _strip(msgspec.to_builtins(record, builtin_types=(Decimal, date, datetime)), hidden)


def _strip(value: Any, hidden: Collection[str]) -> Any:
    if isinstance(value, dict):
        parts = cast("dict[str, Any]", value)
        return {key: _strip(part, hidden) for key, part in parts.items() if key not in hidden}
    return value


def visible(kind: str, viewer: Viewer) -> Visible | None:
    """Which records of a kind the viewer sees; None means all. Raises ApiError 403."""
    if viewer.is_administrator:
        return None
    people, projects = viewer.people(), viewer.managed_projects()
    match kind:
        case "time_entries" | "expenses":
            # a member's own; of a manager also the teammates' and those of managed projects
            own = people | {viewer.user.id}
            return lambda record: record.user.id in own or record.project.id in projects
        case "projects" if projects:
            return lambda record: record.id in projects
        case "task_assignments" if projects:
            return lambda record: record.project.id in projects
        case "user_assignments" if people or projects:
            return lambda record: record.user.id in people or record.project.id in projects
        case "users" if people:
            return lambda record: record.id in people
        case "invoice_item_categories" if projects:
            return None
        case "clients" | "contacts" | "tasks" if viewer.may("client_and_task_manager"):
            return None
        case "invoices" | "invoice_messages" | "invoice_payments" if viewer.invoices:
            return None
        case "estimates" | "estimate_messages" if viewer.may("estimates_manager"):
            return None
        case "billable_rates" if viewer.rates:
            return None
        case _:
            raise forbidden()
