"""What waits to be billed, and the invoice lines that it becomes.

Belongs here: collecting time, expenses and fees into lines. What is in one line is in no other.
Does not belong here: the invoices around the lines (invoices.py).
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from random import Random
from typing import TypeVar

from harvest_pipeline.sandbox.embedded import ProjectRef
from harvest_pipeline.sandbox.generator.plan import Engagement, Ids
from harvest_pipeline.sandbox.invoice import LineItem
from harvest_pipeline.sandbox.model import Expense, Project, TimeEntry
from harvest_pipeline.sandbox.numbers import ZERO, cents, exact, total
from harvest_pipeline.sandbox.records import Records

R = TypeVar("R", TimeEntry, Expense)

#: A fixed fee is billed in this many equal parts.
_PARTS = 4


@dataclass
class Bill:
    """Lines, and the entries and expenses that are in them."""

    lines: list[LineItem] = field(default_factory=list[LineItem])
    records: list[TimeEntry | Expense] = field(default_factory=list[TimeEntry | Expense])


class Backlog:
    """Everything billable of an account that is on no invoice yet."""

    def __init__(self, records: Records, engagements: list[Engagement], random: Random) -> None:
        self._records = records
        self._ids = Ids(182_000_900, random)
        self._projects: dict[int, list[Project]] = defaultdict(list)
        self._parts_billed: dict[int, int] = defaultdict(int)
        for engagement in engagements:
            self._projects[engagement.project.client.id].append(engagement.project)
        self._time = _by_project(records.time_entries)
        self._expenses = _by_project(records.expenses)

    def take(self, client_id: int, first: date, last: date, made: datetime) -> Bill:
        """Everything of a client that was spent by `last` and entered before `made`.

        `first` is only what the lines say.
        """
        bill = Bill()
        for project in self._projects[client_id]:
            if not project.is_billable:
                continue
            expenses = _take(self._expenses[project.id], last, made)
            if project.is_fixed_fee:
                bill.lines += self._fee_line(project, last)
            else:
                entries = _take(self._time[project.id], last, made)
                bill.lines += self._time_lines(project, entries, first, last)
                bill.records += entries
            bill.lines += self._expense_line(project, expenses)
            bill.records += expenses
        return bill

    def line_without_project(self) -> LineItem:
        """A line that nobody tracked."""
        price, quantity = exact("12.5"), exact(2)
        return LineItem(
            self._ids.next(), "Product", "Shipping", quantity, price, exact(25), False, False, None
        )

    def _time_lines(
        self, project: Project, entries: list[TimeEntry], first: date, last: date
    ) -> list[LineItem]:
        """One line per task and rate; the quantity is the sum of the rounded hours."""
        hours: dict[tuple[str, Decimal], list[Decimal]] = defaultdict(list)
        for entry in entries:
            hours[entry.task.name, entry.billable_rate or ZERO].append(entry.rounded_hours)
        period = f"({first:%m/%d/%Y} - {last:%m/%d/%Y})"
        return [
            self._line(
                "Service", f"{_label(project)}: {task} {period}", total(parts), rate, project
            )
            for (task, rate), parts in sorted(hours.items())
        ]

    def _expense_line(self, project: Project, expenses: list[Expense]) -> list[LineItem]:
        if not expenses:
            return []
        cost = total([expense.total_cost for expense in expenses])
        return [self._line("Product", f"{_label(project)}: expenses", exact(1), cost, project)]

    def _fee_line(self, project: Project, last: date) -> list[LineItem]:
        """The next part of a fixed fee, until all of it is billed."""
        part = self._parts_billed[project.id] + 1
        begun = project.starts_on is not None and project.starts_on <= last
        if project.fee is None or part > _PARTS or not begun:
            return []
        self._parts_billed[project.id] = part
        share = cents(project.fee / _PARTS)
        text = f"{_label(project)}: part {part} of {_PARTS}"
        return [self._line("Service", text, exact(1), share, project)]

    def _line(
        self, kind: str, text: str, quantity: Decimal, price: Decimal, project: Project
    ) -> LineItem:
        return LineItem(
            id=self._ids.next(),
            kind=kind,
            description=text,
            quantity=quantity,
            unit_price=price,
            amount=cents(quantity * price),
            taxed=kind == "Service",
            taxed2=True,
            project=self._records.copy(ProjectRef, project),
        )


def _by_project(records: Iterable[R]) -> dict[int, list[R]]:
    """What can be billed, by project."""
    found: dict[int, list[R]] = defaultdict(list)
    for record in records:
        if record.billable and (not isinstance(record, TimeEntry) or not record.is_running):
            found[record.project.id].append(record)
    return found


def _take(waiting: list[R], last: date, made: datetime) -> list[R]:
    """Take out what was spent by `last` and entered before the invoice is made."""
    taken = [r for r in waiting if r.spent_date <= last and r.created_at < made]
    waiting[:] = [r for r in waiting if r.spent_date > last or r.created_at >= made]
    return taken


def _label(project: Project) -> str:
    return f"[{project.code}] {project.name}" if project.code else project.name
