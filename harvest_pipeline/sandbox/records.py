"""All records of one account, and the copies of them that other records hold.

Belongs here: the tables, and keeping every copy equal to its record. Does not belong here: how the
records come about (generator/) or change (account.py).
"""

from collections.abc import Iterator
from operator import attrgetter
from typing import Any, TypeVar, cast

from msgspec import Struct

from harvest_pipeline.sandbox.embedded import (
    CategoryRef,
    ClientName,
    ClientRef,
    InvoiceRef,
    ProjectRef,
    TaskAssignmentRef,
    TaskRef,
    UserAssignmentRef,
    UserRef,
)
from harvest_pipeline.sandbox.invoice import (
    Invoice,
    InvoiceItemCategory,
    InvoiceMessage,
    InvoicePayment,
)
from harvest_pipeline.sandbox.model import (
    Client,
    Company,
    Contact,
    Entity,
    Expense,
    ExpenseCategory,
    Project,
    Role,
    Task,
    TaskAssignment,
    TimeEntry,
    User,
    UserAssignment,
)
from harvest_pipeline.sandbox.table import Table

C = TypeVar("C", bound=Struct)

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


class Records:
    """The records of an account. `teammates`: the people whom a manager sees, by the manager's id.

    `messages` and `payments` have one table per invoice, by the invoice's id.
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

        The `updated_at` of the records that hold them stays (REFERENCE 8).
        """
        for shape in COPIES.get(cast("type[Struct]", type(record)), ()):
            copy = self._copies.get((shape, record.id))
            if copy is not None:
                for name in shape.__struct_fields__:
                    setattr(copy, name, getattr(record, name))

    def add_invoice(self, invoice: Invoice) -> None:
        """Take in an invoice, with room for its messages and payments."""
        self.invoices.add(invoice)
        self.messages[invoice.id] = Table[InvoiceMessage]()
        self.payments[invoice.id] = Table[InvoicePayment]()

    def user_assignment(self, user_id: int, project_id: int) -> UserAssignment | None:
        """The assignment of a person to a project, None if there is none."""
        return next(
            (
                a
                for a in self.user_assignments
                if (a.user.id, a.project.id) == (user_id, project_id)
            ),
            None,
        )

    def task_assignment(self, task_id: int, project_id: int) -> TaskAssignment | None:
        """The assignment of a task to a project, None if there is none."""
        return next(
            (
                a
                for a in self.task_assignments
                if (a.task.id, a.project.id) == (task_id, project_id)
            ),
            None,
        )

    def on_invoice(self, invoice_id: int) -> Iterator[TimeEntry | Expense]:
        """The entries and expenses that were put on an invoice."""
        for table in (self.time_entries, self.expenses):
            for record in table:
                if record.invoice is not None and record.invoice.id == invoice_id:
                    yield record
