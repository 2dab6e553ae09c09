"""The time entries and expenses of every working day, and the timers that run now."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from harvest_pipeline.sandbox.billing import (
    billable_rate,
    cents,
    exact,
    hours_of,
    lock,
    rounded_up,
)
from harvest_pipeline.sandbox.generator import names
from harvest_pipeline.sandbox.generator.plan import (
    Engagement,
    Person,
    Span,
    add_in_order,
    ids,
    instant,
    is_working_day,
)
from harvest_pipeline.sandbox.model import (
    CategoryRef,
    Expense,
    ExpenseCategory,
    ExternalReference,
    Receipt,
    TaskAssignmentRef,
    TimeEntry,
    UserAssignmentRef,
)
from harvest_pipeline.sandbox.records import Records

#: How many entries a person makes on a day, and how often.
_ENTRIES_PER_DAY = ((1, 2, 3), (62, 28, 10))
#: The chance that somebody has an expense on a working day.
_EXPENSE = 0.065
_TRACKER = "tracker.example"
_FILES = (("ticket.pdf", "application/pdf"), ("Quittung März.jpg", "image/jpeg"))


def add_time_entries(
    records: Records,
    span: Span,
    engagements: list[Engagement],
    people: list[Person],
    random: Random,
) -> None:
    """Add the entries of all working days and, for today, up to three running timers."""
    timesheet = _Timesheet(records, span, random)
    entries: list[TimeEntry] = []
    for day, person, theirs in _working_days(span, engagements, people):
        entries += timesheet.day(person, day, theirs)
    for person, theirs in _at_work(span.today, engagements, people[1:5]):
        if theirs:
            entries.append(timesheet.timer(person, random.choice(theirs)))
    add_in_order(records.time_entries, entries, 2_380_000_000, random)


def add_expense_categories(records: Records, span: Span, random: Random) -> None:
    """Add the categories of the account."""
    made = span.opening
    for each, key in zip(names.EXPENSE_CATEGORIES, ids(11_800_700, random), strict=False):
        name, unit, price, _ = each
        active = name not in names.ARCHIVED
        records.expense_categories.add(ExpenseCategory(key, name, unit, price, active, made, made))


def add_expenses(
    records: Records,
    span: Span,
    engagements: list[Engagement],
    people: list[Person],
    random: Random,
) -> None:
    """Add expenses of working days; those older than three weeks are approved."""
    expenses = [
        _expense(records, span, person, random.choice(theirs), day, random)
        for day, person, theirs in _working_days(span, engagements, people)
        if random.random() < _EXPENSE
    ]
    add_in_order(records.expenses, expenses, 47_600_100, random)
    for expense in expenses:
        if expense.receipt is not None:
            expense.receipt.url = f"{records.company.base_uri}/expenses/{expense.id}/receipt"


def _at_work(
    day: date, engagements: list[Engagement], people: list[Person]
) -> Iterator[tuple[Person, list[Engagement]]]:
    """The people who work on a day, each with what they may work on."""
    running = [each for each in engagements if each.first <= day <= each.last]
    for person in people:
        if person.works_on(day):
            yield person, [each for each in running if person.user.id in each.team]


def _working_days(
    span: Span, engagements: list[Engagement], people: list[Person]
) -> Iterator[tuple[date, Person, list[Engagement]]]:
    """All days but weekends and holidays, with the people who work on them."""
    for number in range(span.days + 1):
        day = span.first + timedelta(days=number)
        if is_working_day(day):
            for person, theirs in _at_work(day, engagements, people):
                yield day, person, theirs


class _Timesheet:
    """Fills in the days of people."""

    def __init__(self, records: Records, span: Span, random: Random) -> None:
        self._records = records
        self._span = span
        self._random = random
        #: The beginning of the current week, which nobody has submitted yet.
        self._monday = span.today - timedelta(days=span.today.weekday())

    def day(self, person: Person, day: date, engagements: list[Engagement]) -> list[TimeEntry]:
        """The entries of one person on one day, none that would begin in the future."""
        random = self._random
        clock = 9 * 60 + random.choice((-30, 0, 0, 15, 30))
        weekly = person.user.weekly_capacity // 60
        left = weekly // 5 + random.choice((-60, -30, 0, 0, 30))
        count = random.choices(*_ENTRIES_PER_DAY)[0]
        entries: list[TimeEntry] = []
        for number in range(count, 0, -1):
            minutes = left // number
            # typed in by the quarter of an hour, or measured by a timer to the minute
            minutes = (
                minutes // 15 * 15 if random.random() < 0.7 else minutes - random.randrange(14)
            )
            minutes = max(minutes, 15)
            ended = instant(day, clock + minutes, person.zone)
            if ended > self._span.now:
                break
            engagement = random.choice(engagements)
            entry = self._entry(person, engagement, day, clock, minutes)
            self._file(entry)
            entries.append(entry)
            clock += minutes + (45 if clock < 12 * 60 <= clock + minutes else 0)
            left -= minutes
        return entries

    def timer(self, person: Person, engagement: Engagement) -> TimeEntry:
        """A timer that was started today and runs."""
        span, random = self._span, self._random
        since_midnight = (span.now - instant(span.today, 0)) // timedelta(minutes=1)
        minutes = min(random.randrange(12, 150), since_midnight)
        started = span.now - timedelta(minutes=minutes)
        before = random.choice((0, 0, 30, 75))
        local = started.astimezone(person.zone)
        clock = local.hour * 60 + local.minute
        entry = self._entry(person, engagement, span.today, clock, before + minutes)
        entry.hours_without_timer = hours_of(before)
        entry.is_running = True
        entry.timer_started_at = entry.created_at = entry.updated_at = started
        entry.ended_time = None
        return entry

    def _entry(
        self, person: Person, engagement: Engagement, day: date, clock: int, minutes: int
    ) -> TimeEntry:
        """An entry, without an id yet, begun `clock` minutes after local midnight."""
        records, random = self._records, self._random
        project, assignment = engagement.project, engagement.team[person.user.id]
        task = random.choice(engagement.tasks)
        hours = hours_of(minutes)
        made = instant(day, clock + minutes, person.zone)
        return TimeEntry(
            spent_date=day,
            hours=hours,
            hours_without_timer=hours,
            rounded_hours=rounded_up(hours),
            notes=random.choice(names.NOTES) if random.random() < 0.8 else None,
            started_time=self._time(clock),
            ended_time=self._time(clock + minutes),
            billable=task.billable,
            budgeted=project.budget_by != "none",
            billable_rate=billable_rate(project, task, assignment),
            cost_rate=person.cost_rate(day),
            created_at=made,
            updated_at=made,
            user=assignment.user,
            client=project.client,
            project=assignment.project,
            task=task.task,
            user_assignment=records.copy(UserAssignmentRef, assignment),
            task_assignment=records.copy(TaskAssignmentRef, task),
            external_reference=self._reference(project.code),
        )

    def _file(self, entry: TimeEntry) -> None:
        """Let an entry be made when it was (some are made days later), submitted and approved."""
        random, span = self._random, self._span
        late = random.randint(1, 9) if random.random() < 0.08 else 0
        made = entry.created_at + timedelta(days=late, seconds=random.randrange(1200))
        entry.created_at = entry.updated_at = span.until_now(made)
        week = entry.spent_date - timedelta(days=entry.spent_date.weekday())
        forgotten = (entry.user.id + week.toordinal() // 7) % 20 == 0
        if forgotten or week >= self._monday:
            return
        if week == self._monday - timedelta(days=7):
            entry.approval_status = "submitted"
            return
        approved = instant(week + timedelta(days=14), 10 * 60)
        entry.updated_at = span.until_now(max(entry.updated_at, approved))
        entry.approval_status, entry.is_closed = "approved", True
        lock(entry)

    def _time(self, minutes: int) -> str | None:
        """A time of day as the account's clock shows it; None where only durations are entered."""
        if not self._records.company.wants_timestamp_timers:
            return None
        hour, minute = divmod(minutes % (24 * 60), 60)
        return f"{hour % 12 or 12}:{minute:02}{'am' if hour < 12 else 'pm'}"

    def _reference(self, code: str | None) -> ExternalReference | None:
        """For every twentieth entry, an item of a tracker."""
        if not code or self._random.random() > 0.05:
            return None
        key = f"{code.split('-')[0]}-{self._random.randrange(100, 999)}"
        return ExternalReference(
            id=key,
            group_id=code,
            account_id=self._records.company.full_domain.split(".")[0],
            permalink=f"https://{_TRACKER}/browse/{key}",
            service=_TRACKER,
            service_icon_url=f"https://cache.harvestapp.com/external_reference_icons/{_TRACKER}.png",
        )


def _expense(
    records: Records, span: Span, person: Person, engagement: Engagement, day: date, random: Random
) -> Expense:
    """An expense, without an id yet."""
    project, assignment = engagement.project, engagement.team[person.user.id]
    category = random.choice([c for c in records.expense_categories.ascending() if c.is_active])
    units, cost = _cost(category, engagement.multiple, random)
    made = instant(day, 18 * 60 + random.randrange(90), person.zone)
    approved = day < span.today - timedelta(days=21)
    submitted = day < span.today - timedelta(days=7)
    expense = Expense(
        spent_date=day,
        notes=random.choice(names.EXPENSE_NOTES),
        total_cost=cost,
        units=units,
        billable=project.is_billable and random.random() < 0.75,
        receipt=_receipt(random),
        is_closed=approved,
        approval_status="approved" if approved else "submitted" if submitted else "unsubmitted",
        created_at=span.until_now(made),
        updated_at=span.until_now(made + timedelta(days=12) if approved else made),
        user=assignment.user,
        client=project.client,
        project=assignment.project,
        expense_category=records.copy(CategoryRef, category),
        user_assignment=records.copy(UserAssignmentRef, assignment),
    )
    lock(expense)
    return expense


def _cost(category: ExpenseCategory, multiple: Decimal, random: Random) -> tuple[Decimal, Decimal]:
    """Units and total cost; with a price per unit the product is exact to the cent."""
    if category.unit_price is not None:
        units = exact(random.randrange(20, 400, 20))
        return units, exact(units * category.unit_price)
    typical = next(cost for name, _, _, cost in names.EXPENSE_CATEGORIES if name == category.name)
    amount = Decimal(random.randrange(typical * 30, typical * 200)) / 100
    return exact(1), cents(amount * multiple)


def _receipt(random: Random) -> Receipt | None:
    """For three of five expenses, a receipt whose address is still missing."""
    if random.random() < 0.4:
        return None
    name, kind = random.choice(_FILES)
    return Receipt("", name, random.randrange(9_000, 400_000), kind)
