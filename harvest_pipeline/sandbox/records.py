"""All records of one account, in tables, and the copies of them inside other records."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from datetime import date
from operator import attrgetter
from typing import Any, Generic, TypeVar, cast

from msgspec import Struct

from harvest_pipeline.sandbox.estimate import Estimate, EstimateItemCategory, EstimateMessage
from harvest_pipeline.sandbox.invoice import (
    Invoice,
    InvoiceItemCategory,
    InvoiceMessage,
    InvoicePayment,
)
from harvest_pipeline.sandbox.model import (
    CategoryRef,
    Client,
    ClientName,
    ClientRef,
    Company,
    Contact,
    Entity,
    Expense,
    ExpenseCategory,
    InvoiceRef,
    Project,
    ProjectRef,
    Rate,
    Role,
    Task,
    TaskAssignment,
    TaskAssignmentRef,
    TaskRef,
    TimeEntry,
    User,
    UserAssignment,
    UserAssignmentRef,
    UserRef,
)

C = TypeVar("C", bound=Struct)
E = TypeVar("E", bound=Entity)

#: The shapes in which other records hold a copy of a record.
COPIES: dict[type[Struct], tuple[type[Struct], ...]] = {
    Client: (ClientName, ClientRef),
    Project: (ProjectRef,),
    Task: (TaskRef,),
    User: (UserRef,),
    ExpenseCategory: (CategoryRef,),
    UserAssignment: (UserAssignmentRef,),
    TaskAssignment: (TaskAssignmentRef,),
    Invoice: (InvoiceRef,),
}


class Table(Generic[E]):
    """Records of one kind, ascending: by `day` and id if a day is given, by id otherwise.

    Harvest sorts the lists without a day by `created_at`; ids grow with creation, so that is the
    same order.
    """

    def __init__(self, day: Callable[[E], date] | None = None) -> None:
        self._by_id: dict[int, E] = {}
        self._day = day
        self._ascending: list[E] | None = None
        self._days: list[date] = []
        self._highest = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[E]:
        return iter(self._by_id.values())

    def get(self, key: int) -> E | None:
        """The record of that id, None if there is none."""
        return self._by_id.get(key)

    def add(self, record: E) -> None:
        """Add a record; one with the same id is replaced."""
        self._by_id[record.id] = record
        self._highest = max(self._highest, record.id)
        self._ascending = None

    def remove(self, key: int) -> None:
        """Remove a record; raises KeyError if there is none of that id."""
        del self._by_id[key]
        self._ascending = None

    def reorder(self) -> None:
        """Sort again after the day of a record was changed."""
        self._ascending = None

    def next_id(self) -> int:
        """An id higher than every one that was ever used."""
        return self._highest + 1

    def ascending(self) -> list[E]:
        """All records, the last of the list first. Not to be changed by the caller."""
        if self._ascending is None:
            day = self._day
            ordered = sorted(self._by_id.values(), key=lambda record: record.id)
            if day is not None:
                # stable: records of one day stay in the order of their ids
                ordered.sort(key=day)
                self._days = [day(record) for record in ordered]
            self._ascending = ordered
        return self._ascending

    def between(self, first: date | None, last: date | None) -> list[E]:
        """The records of the days `first` to `last`, ascending; None leaves an end open."""
        records = self.ascending()
        start = 0 if first is None else bisect_left(self._days, first)
        end = len(records) if last is None else bisect_right(self._days, last)
        return records if (start, end) == (0, len(records)) else records[start:end]


class Records:
    """The records of an account. `teammates`: the people whom a manager sees, by the manager's id.

    `messages` and `payments` have one table per invoice, by the invoice's id, `estimate_messages`
    one per estimate, the rates one per person.
    """

    def __init__(self, company: Company) -> None:
        self.company = company
        self.roles = Table[Role]()
        self.users = Table[User]()
        self.clients = Table[Client]()
        self.contacts = Table[Contact]()
        self.tasks = Table[Task]()
        self.projects = Table[Project]()
        self.user_assignments = Table[UserAssignment]()
        self.task_assignments = Table[TaskAssignment]()
        self.time_entries = Table[TimeEntry](attrgetter("spent_date"))
        self.expense_categories = Table[ExpenseCategory]()
        self.expenses = Table[Expense](attrgetter("spent_date"))
        self.invoice_item_categories = Table[InvoiceItemCategory]()
        self.invoices = Table[Invoice](attrgetter("issue_date"))
        self.estimate_item_categories = Table[EstimateItemCategory]()
        self.estimates = Table[Estimate](attrgetter("issue_date"))
        self.estimate_messages: dict[int, Table[EstimateMessage]] = {}
        self.billable_rates: dict[int, Table[Rate]] = {}
        self.cost_rates: dict[int, Table[Rate]] = {}
        self.messages: dict[int, Table[InvoiceMessage]] = {}
        self.payments: dict[int, Table[InvoicePayment]] = {}
        self.teammates: dict[int, set[int]] = {}
        self._copies: dict[tuple[type[Struct], int], Struct] = {}

    def table(self, kind: str) -> Table[Any]:
        """The table of a kind of record, by the name of its list; raises KeyError."""
        table = getattr(self, kind, None)
        if not isinstance(table, Table):
            raise KeyError(f"the sandbox has no table {kind}")
        return cast("Table[Any]", table)

    def copy(self, shape: type[C], record: Entity) -> C:
        """The copy of a record in that shape: one object, shared by all records that hold it."""
        copy = self._copies.get((shape, record.id))
        if copy is None:
            copy = shape(**{name: getattr(record, name) for name in shape.__struct_fields__})
            self._copies[shape, record.id] = copy
        return cast("C", copy)

    def refresh(self, record: Entity) -> None:
        """Make the copies of a record equal to it, after it was changed.

        The records that hold them keep their `updated_at`, as in Harvest.
        """
        for shape in COPIES.get(cast("type[Struct]", type(record)), ()):
            copy = self._copies.get((shape, record.id))
            if copy is not None:
                for name in shape.__struct_fields__:
                    setattr(copy, name, getattr(record, name))

    def add_invoice(self, invoice: Invoice) -> None:
        """Add an invoice, with tables for its messages and payments."""
        self.invoices.add(invoice)
        self.messages[invoice.id] = Table[InvoiceMessage]()
        self.payments[invoice.id] = Table[InvoicePayment]()

    def add_estimate(self, estimate: Estimate) -> None:
        """Add an estimate, with a table for its messages."""
        self.estimates.add(estimate)
        self.estimate_messages[estimate.id] = Table[EstimateMessage]()

    def user_assignment(self, user_id: int, project_id: int) -> UserAssignment | None:
        """The assignment of a person to a project, None if there is none."""
        key = (user_id, project_id)
        return next((a for a in self.user_assignments if (a.user.id, a.project.id) == key), None)

    def task_assignment(self, task_id: int, project_id: int) -> TaskAssignment | None:
        """The assignment of a task to a project, None if there is none."""
        key = (task_id, project_id)
        return next((a for a in self.task_assignments if (a.task.id, a.project.id) == key), None)

    def on_invoice(self, invoice_id: int) -> Iterator[TimeEntry | Expense]:
        """The entries and expenses that were put on an invoice."""
        for table in (self.time_entries, self.expenses):
            for record in table:
                if record.invoice is not None and record.invoice.id == invoice_id:
                    yield record
