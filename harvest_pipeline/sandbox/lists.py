"""The lists that the sandbox serves: path, paging, and filter parameters.

A parameter with an invalid value gets a 422; a parameter that a list does not know is ignored.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum, auto
from operator import attrgetter
from typing import Any

from harvest_pipeline.sandbox.answers import unprocessable
from harvest_pipeline.sandbox.invoice import Invoice
from harvest_pipeline.sandbox.model import TimeEntry

Test = Callable[[Any], bool]
Value = Callable[[Any], Any]

#: The most that a page may hold, and the default of all lists but invoices.
MAXIMUM = 2000


class Paging(Enum):
    """Harvest's two ways of paging."""

    NUMBER = auto()
    CURSOR = auto()


@dataclass(frozen=True)
class Filter:
    """One parameter: its name, and the test that its text stands for."""

    name: str
    test: Callable[[str], Test]


@dataclass(frozen=True)
class Listing:
    """One list.

    `kind` names the table and the permission. `single`: one record can be requested by its id.
    `parent` is the table of the record whose id is in the path; `children`, where the record has
    tables for each parent, is the field that holds them. `dated`: the list has `from` and
    `to`. `module` is the `/company` flag that must be on.
    """

    path: str
    kind: str
    envelope: str
    paging: Paging
    filters: tuple[Filter, ...]
    single: bool = True
    parent: str | None = None
    children: str | None = None
    dated: bool = False
    per_page: int = MAXIMUM
    module: str | None = None


def _by(name: str, read: Callable[[str, str], Any], field: str) -> Filter:
    """The parameter's value, converted by `read`, must equal the field's."""
    value: Value = attrgetter(field)

    def test(text: str) -> Test:
        wanted = read(name, text)
        return lambda record: value(record) == wanted

    return Filter(name, test)


def _choice(*choices: str) -> Callable[[str, str], str]:
    def read(name: str, text: str) -> str:
        if text not in choices:
            raise unprocessable(f"{name} must be one of {', '.join(choices)}")
        return text

    return read


def _invoices_of_project(text: str) -> Test:
    wanted = whole_number("project_id", text)

    def test(invoice: Invoice) -> bool:
        return any(line.project and line.project.id == wanted for line in invoice.line_items)

    return test


def _by_external_reference(text: str) -> Test:
    def test(entry: TimeEntry) -> bool:
        return entry.external_reference is not None and entry.external_reference.id == text

    return test


def _since(text: str) -> Test:
    instant = instant_of("updated_since", text)
    # Harvest's documentation does not say whether the instant itself counts; the safe guess: yes
    return lambda record: record.updated_at >= instant


def tests(query: Mapping[str, str], filters: tuple[Filter, ...]) -> list[Test]:
    """The tests that a record must all pass. Raises ApiError 422 for an invalid value."""
    return [f.test(query[f.name]) for f in filters if query.get(f.name, "") != ""]


def day_of(query: Mapping[str, str], name: str) -> date | None:
    """The day in a parameter, as YYYY-MM-DD or YYYYMMDD; None if there is none."""
    text = query.get(name, "")
    if not text:
        return None
    form = "%Y%m%d" if text.isdigit() else "%Y-%m-%d"
    try:
        return datetime.strptime(text, form).date()
    except ValueError as error:
        raise unprocessable(f"{name} is not a valid date") from error


def instant_of(name: str, text: str) -> datetime:
    """The instant in a text; without an offset it is UTC."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise unprocessable(f"{name} is not a valid date and time") from error
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def truth_of(name: str, text: str) -> bool:
    """`true` or `false`, case-insensitive."""
    if text.lower() not in ("true", "false"):
        raise unprocessable(f"{name} must be true or false")
    return text.lower() == "true"


def whole_number(name: str, text: str) -> int:
    """The number of at most 18 digits in a parameter. Raises ApiError 422 for anything else."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise unprocessable(f"{name} must be a whole number")
    return int(text)


_SINCE = Filter("updated_since", _since)
_ACTIVE = _by("is_active", truth_of, "is_active")
_USER = _by("user_id", whole_number, "user.id")
_CLIENT = _by("client_id", whole_number, "client.id")
_PROJECT = _by("project_id", whole_number, "project.id")
_TASK = _by("task_id", whole_number, "task.id")
_BILLED = _by("is_billed", truth_of, "is_billed")
_RUNNING = _by("is_running", truth_of, "is_running")
_APPROVAL = _by(
    "approval_status", _choice("unsubmitted", "submitted", "approved"), "approval_status"
)
_STATE = _by("state", _choice("draft", "open", "paid", "closed"), "state")
_ESTIMATE_STATE = _by("state", _choice("draft", "sent", "accepted", "declined"), "state")
_OF_PROJECT = Filter("project_id", _invoices_of_project)
_EXTERNAL = Filter("external_reference_id", _by_external_reference)


def _plain(kind: str, *filters: Filter, **more: Any) -> Listing:
    """A list by cursor whose path, table and envelope have one name."""
    return Listing(f"/{kind}", kind, kind, Paging.CURSOR, filters, **more)


def _dated(kind: str, *filters: Filter, **more: Any) -> Listing:
    """A list by page number that takes days."""
    return Listing(f"/{kind}", kind, kind, Paging.NUMBER, filters, dated=True, **more)


def _of_parent(parent: str, name: str, kind: str, *filters: Filter, **more: Any) -> Listing:
    """A list by cursor of the records of one parent, whose tables are `children`."""
    path = f"/{parent}/{{parent:int}}/{name}"
    return Listing(path, kind, kind, Paging.CURSOR, filters, parent=parent, **more)


def _of_invoice(kind: str) -> Listing:
    more: Any = {"single": False, "module": "invoice_feature", "children": kind}
    return _of_parent("invoices", kind, f"invoice_{kind}", _SINCE, **more)


def _of_project(kind: str, *filters: Filter) -> Listing:
    path = f"/projects/{{parent:int}}/{kind}"
    return Listing(path, kind, kind, Paging.NUMBER, filters, parent="projects")


LISTS: tuple[Listing, ...] = (
    _plain("clients", _ACTIVE, _SINCE),
    _plain("contacts", _CLIENT, _SINCE),
    _plain("expense_categories", _ACTIVE, _SINCE, module="expense_feature"),
    _plain("invoice_item_categories", _SINCE, module="invoice_feature"),
    _plain("projects", _ACTIVE, _CLIENT, _SINCE),
    _plain("roles"),
    _plain("task_assignments", _ACTIVE, _SINCE, single=False),
    _plain("tasks", _ACTIVE, _SINCE),
    _plain("user_assignments", _USER, _ACTIVE, _SINCE, single=False),
    _plain("users", _ACTIVE, _SINCE),
    _dated(
        "time_entries",
        *(_USER, _CLIENT, _PROJECT, _TASK, _EXTERNAL, _BILLED, _RUNNING, _APPROVAL, _SINCE),
    ),
    _dated(
        "expenses",
        *(_USER, _CLIENT, _PROJECT, _BILLED, _APPROVAL, _SINCE),
        module="expense_feature",
    ),
    _dated(
        "invoices",
        *(_CLIENT, _OF_PROJECT, _STATE, _SINCE),
        per_page=100,
        module="invoice_feature",
    ),
    _plain("estimate_item_categories", _SINCE, module="estimate_feature"),
    _dated("estimates", _CLIENT, _ESTIMATE_STATE, _SINCE, module="estimate_feature"),
    _of_parent(
        *("estimates", "messages", "estimate_messages", _SINCE),
        single=False,
        module="estimate_feature",
        children="estimate_messages",
    ),
    _of_parent("users", "billable_rates", "billable_rates", children="billable_rates"),
    _of_parent("users", "cost_rates", "cost_rates", children="cost_rates"),
    _of_parent("users", "teammates", "teammates", single=False),
    _of_invoice("messages"),
    _of_invoice("payments"),
    _of_project("task_assignments", _ACTIVE, _SINCE),
    _of_project("user_assignments", _USER, _ACTIVE, _SINCE),
)
