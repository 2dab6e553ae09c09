"""Expense categories and expenses, with receipts.

Belongs here: what people spend on working days. Does not belong here: billing it (backlog.py).
"""

from datetime import date, timedelta
from decimal import Decimal
from random import Random

from harvest_pipeline.sandbox.billing import expense_lock_reason
from harvest_pipeline.sandbox.embedded import CategoryRef, Receipt, UserAssignmentRef
from harvest_pipeline.sandbox.generator import names
from harvest_pipeline.sandbox.generator.plan import Engagement, Ids, Person, Span, instant
from harvest_pipeline.sandbox.model import Expense, ExpenseCategory
from harvest_pipeline.sandbox.numbers import cents, exact
from harvest_pipeline.sandbox.records import Records

#: The chance that somebody has an expense on a working day.
_CHANCE = 0.065
_FILES = (("ticket.pdf", "application/pdf"), ("Quittung März.jpg", "image/jpeg"))


def add_expense_categories(records: Records, span: Span, random: Random) -> None:
    """Add the categories of the account."""
    ids = Ids(11_800_700, random)
    made = instant(span.first, 6 * 60)
    for name, unit, price, _ in names.EXPENSE_CATEGORIES:
        active = name not in names.ARCHIVED
        category = ExpenseCategory(ids.next(), name, unit, price, active, made, made)
        records.expense_categories.add(category)


def add_expenses(
    records: Records,
    span: Span,
    engagements: list[Engagement],
    people: list[Person],
    random: Random,
) -> None:
    """Add expenses of working days; those older than three weeks are approved."""
    desk = _Desk(records, span, random)
    expenses: list[Expense] = []
    for day in span.working_days():
        running = [e for e in engagements if e.runs_on(day)]
        for person in people:
            if person.works_on(day) and random.random() < _CHANCE:
                theirs = [e for e in running if person.user.id in e.team]
                expenses.append(desk.expense(person, random.choice(theirs), day))
    ids = Ids(47_600_100, random)
    for expense in sorted(expenses, key=lambda e: e.created_at):
        expense.id = ids.next()
        if expense.receipt is not None:
            site = records.company.base_uri
            expense.receipt.url = f"{site}/expenses/{expense.id}/receipt"
        records.expenses.add(expense)


class _Desk:
    """Makes up expenses."""

    def __init__(self, records: Records, span: Span, random: Random) -> None:
        self._records = records
        self._span = span
        self._random = random
        self._typical = {name: cost for name, _, _, cost in names.EXPENSE_CATEGORIES}

    def expense(self, person: Person, engagement: Engagement, day: date) -> Expense:
        """An expense, without an id yet."""
        random, span = self._random, self._span
        project, assignment = engagement.project, engagement.team[person.user.id]
        categories = [c for c in self._records.expense_categories.ascending() if c.is_active]
        category = random.choice(categories)
        units, cost = self._cost(category, engagement.multiple)
        made = instant(day, 18 * 60 + random.randrange(90), person.zone)
        approved = day < span.today - timedelta(days=21)
        submitted = day < span.today - timedelta(days=7)
        changed = made + timedelta(days=12) if approved else made
        return Expense(
            id=0,
            spent_date=day,
            notes=random.choice(names.EXPENSE_NOTES),
            total_cost=cost,
            units=units,
            billable=project.is_billable and random.random() < 0.75,
            receipt=self._receipt(),
            is_closed=approved,
            approval_status="approved" if approved else "submitted" if submitted else "unsubmitted",
            is_locked=approved,
            is_billed=False,
            locked_reason=expense_lock_reason(approved, billed=False),
            created_at=span.until_now(made),
            updated_at=span.until_now(changed),
            user=assignment.user,
            client=project.client,
            project=assignment.project,
            expense_category=self._records.copy(CategoryRef, category),
            user_assignment=self._records.copy(UserAssignmentRef, assignment),
            invoice=None,
        )

    def _cost(self, category: ExpenseCategory, multiple: Decimal) -> tuple[Decimal, Decimal]:
        """Units and total cost; with a price per unit the product is exact to the cent."""
        if category.unit_price is not None:
            units = exact(self._random.randrange(20, 400, 20))
            return units, exact(units * category.unit_price)
        typical = self._typical[category.name]
        amount = Decimal(self._random.randrange(typical * 30, typical * 200)) / 100
        return exact(1), cents(amount * multiple)

    def _receipt(self) -> Receipt | None:
        """For three of five expenses, a receipt whose address is still missing."""
        if self._random.random() < 0.4:
            return None
        name, kind = self._random.choice(_FILES)
        return Receipt("", name, self._random.randrange(9_000, 400_000), kind)
