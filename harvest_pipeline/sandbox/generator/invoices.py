"""Invoices: the time, expenses and fees of the months before, billed to each client."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import TypeVar

from harvest_pipeline.sandbox.billing import (
    TERMS,
    ZERO,
    cents,
    compute_amounts,
    due_on,
    exact,
    lock,
    total,
)
from harvest_pipeline.sandbox.generator.plan import (
    Customer,
    Engagement,
    Span,
    ids,
    instant,
    is_working_day,
)
from harvest_pipeline.sandbox.invoice import (
    EstimateRef,
    Invoice,
    InvoiceItemCategory,
    LineItem,
    RetainerRef,
)
from harvest_pipeline.sandbox.model import (
    Client,
    ClientName,
    Expense,
    InvoiceRef,
    Project,
    ProjectRef,
    TimeEntry,
    UserRef,
)
from harvest_pipeline.sandbox.records import Records

R = TypeVar("R", TimeEntry, Expense)

#: An invoice that was an estimate names it by this and its own number.
FIRST_ESTIMATE = 9_900_100

#: A fixed fee is billed in this many equal parts.
_PARTS = 4
_OPTIONS: tuple[list[str], ...] = ([], ["ach", "credit_card"], ["credit_card", "paypal"])
_NOTES = (None, "", "Thank you.", "Vielen Dank!\r\nIBAN auf Seite 2")


def add_invoice_item_categories(records: Records, span: Span, random: Random) -> None:
    """Add the two kinds of invoice line that a new account has."""
    keys, made = ids(3_400_800, random), span.opening
    for name, service in (("Service", True), ("Product", False)):
        category = InvoiceItemCategory(next(keys), name, service, not service, made, made)
        records.invoice_item_categories.add(category)


def add_invoices(
    records: Records,
    span: Span,
    customers: list[Customer],
    engagements: list[Engagement],
    random: Random,
) -> list[Invoice]:
    """Add the invoices of all months, as drafts, in the order in which they were made."""
    office = _Office(records, _Backlog(records, engagements, random), random)
    for number, (first, last) in enumerate(_months(span.first, span.today)):
        issued = last + timedelta(days=3)
        while not is_working_day(issued):
            issued += timedelta(days=1)
        for place, customer in enumerate(customers[1:]):
            # every third client wants an invoice only every other month
            rhythm = 2 if place % 3 == 1 else 1
            made = instant(issued, 9 * 60 + place * 2)
            if (number + place) % rhythm == 0 and made < span.now:
                start = first if rhythm == 1 else (first - timedelta(days=1)).replace(day=1)
                office.bill(customer, (start, last), made, place)
    return office.invoices


def _months(first: date, last: date) -> Iterator[tuple[date, date]]:
    """First and last day of every calendar month that has ended by `last`."""
    start = first.replace(day=1)
    while (following := (start + timedelta(days=32)).replace(day=1)) <= last:
        yield start, following - timedelta(days=1)
        start = following


@dataclass
class _Bill:
    """Lines, and the entries and expenses that are in them."""

    lines: list[LineItem] = field(default_factory=list[LineItem])
    records: list[TimeEntry | Expense] = field(default_factory=list[TimeEntry | Expense])


class _Backlog:
    """Everything billable of an account that is on no invoice yet."""

    def __init__(self, records: Records, engagements: list[Engagement], random: Random) -> None:
        self._records = records
        self._ids = ids(182_000_900, random)
        self._projects: dict[int, list[Project]] = defaultdict(list)
        self._parts_billed: dict[int, int] = defaultdict(int)
        for engagement in engagements:
            self._projects[engagement.project.client.id].append(engagement.project)
        self._time = _by_project(e for e in records.time_entries if not e.is_running)
        self._expenses = _by_project(records.expenses)

    def take(self, client_id: int, first: date, last: date, made: datetime) -> _Bill:
        """Everything of a client that was spent by `last` and entered before `made`.

        `first` is only used in the text of the lines.
        """
        bill = _Bill()
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
            if expenses:
                cost = total(expense.total_cost for expense in expenses)
                bill.lines.append(self._line("Product", "expenses", exact(1), cost, project))
            bill.records += expenses
        return bill

    def line_without_project(self) -> LineItem:
        """A line for work that nobody tracked."""
        return LineItem(
            id=next(self._ids),
            kind="Product",
            description="Shipping",
            quantity=exact(2),
            unit_price=exact("12.5"),
            amount=exact(25),
            taxed=False,
            taxed2=False,
            project=None,
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
            self._line("Service", f"{task} {period}", total(parts), rate, project)
            for (task, rate), parts in sorted(hours.items())
        ]

    def _fee_line(self, project: Project, last: date) -> list[LineItem]:
        """The next part of a fixed fee, until all of it is billed."""
        part = self._parts_billed[project.id] + 1
        begun = project.starts_on is not None and project.starts_on <= last
        if project.fee is None or part > _PARTS or not begun:
            return []
        self._parts_billed[project.id] = part
        share, text = cents(project.fee / _PARTS), f"part {part} of {_PARTS}"
        return [self._line("Service", text, exact(1), share, project)]

    def _line(
        self, kind: str, text: str, quantity: Decimal, price: Decimal, project: Project
    ) -> LineItem:
        copy = self._records.copy(ProjectRef, project)
        return LineItem(
            id=next(self._ids),
            kind=kind,
            description=f"{copy.label}: {text}",
            quantity=quantity,
            unit_price=price,
            amount=cents(quantity * price),
            taxed=kind == "Service",
            taxed2=True,
            project=copy,
        )


def _by_project(records: Iterable[R]) -> dict[int, list[R]]:
    """What can be billed, by project."""
    found: dict[int, list[R]] = defaultdict(list)
    for record in records:
        if record.billable:
            found[record.project.id].append(record)
    return found


def _take(waiting: list[R], last: date, made: datetime) -> list[R]:
    """Take out what was spent by `last` and entered before the invoice is made."""
    taken = [r for r in waiting if r.spent_date <= last and r.created_at < made]
    waiting[:] = [r for r in waiting if r.spent_date > last or r.created_at >= made]
    return taken


class _Office:
    """Writes invoices."""

    def __init__(self, records: Records, backlog: _Backlog, random: Random) -> None:
        self.invoices: list[Invoice] = []
        self._records = records
        self._backlog = backlog
        self._random = random
        self._ids = ids(41_900_800, random)

    def bill(
        self, customer: Customer, period: tuple[date, date], made: datetime, place: int
    ) -> None:
        """Bill a client for everything up to the end of a period, if there is anything."""
        bill = self._backlog.take(customer.client.id, *period, made)
        if not bill.lines:
            return
        if len(self.invoices) % 11 == 3:
            bill.lines.append(self._backlog.line_without_project())
        invoice = self._invoice(customer.client, bill.lines, period, made, place)
        compute_amounts(invoice)
        invoice.due_amount = invoice.amount
        self._records.add_invoice(invoice)
        self.invoices.append(invoice)
        customer.client.updated_at = max(customer.client.updated_at, made)
        for record in bill.records:
            record.is_billed = True
            record.invoice = self._records.copy(InvoiceRef, invoice)
            lock(record)
            record.updated_at = max(record.updated_at, made)

    def _invoice(
        self,
        client: Client,
        lines: list[LineItem],
        period: tuple[date, date],
        made: datetime,
        place: int,
    ) -> Invoice:
        """A draft whose amounts are not computed yet; rare cases occur in turn."""
        random, records = self._random, self._records
        number, issued = len(self.invoices), made.date()
        term = "custom" if number % 9 == 4 else random.choice(tuple(TERMS))
        return Invoice(
            id=next(self._ids),
            client_key=f"{random.getrandbits(160):040x}",
            number=str(1001 + number),
            purchase_order=f"PO-{7000 + number}" if place % 4 == 0 else "",
            tax=(None, exact(19), exact("7.7"))[place % 3],
            tax2=exact(2) if place % 5 == 0 else None,
            discount=exact("2.5") if number % 6 == 1 else exact(10) if number % 13 == 5 else None,
            subject=f"{client.name} – {period[1]:%B %Y}" if number % 8 else "",
            notes=random.choice(_NOTES),
            period_start=period[0],
            period_end=period[1],
            issue_date=issued,
            due_date=issued + timedelta(days=21) if term == "custom" else due_on(issued, term),
            payment_term=term,
            recurring_invoice_id=88_100 + place if number % 17 == 6 else None,
            created_at=made,
            updated_at=made,
            currency=client.currency,
            payment_options=random.choice(_OPTIONS),
            client=records.copy(ClientName, client),
            estimate=EstimateRef(FIRST_ESTIMATE + number) if number % 19 == 7 else None,
            retainer=RetainerRef(2_200_100 + place) if number % 23 == 8 else None,
            creator=records.copy(UserRef, records.users.ascending()[0]),
            line_items=lines,
        )
