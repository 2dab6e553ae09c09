"""Projects and their billing, tasks, and the assignments of people and tasks."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random

from harvest_pipeline.sandbox.billing import exact
from harvest_pipeline.sandbox.generator import names
from harvest_pipeline.sandbox.generator.plan import (
    Customer,
    Engagement,
    Person,
    Span,
    add_in_order,
    ids,
    instant,
)
from harvest_pipeline.sandbox.model import (
    ClientRef,
    Project,
    ProjectRef,
    Task,
    TaskAssignment,
    TaskRef,
    UserAssignment,
    UserRef,
)
from harvest_pipeline.sandbox.records import Records

#: bill_by, budget_by, fixed fee, billable: the billing methods of projects, in turn.
_DEALS = (
    ("Project", "project", False, True),
    ("Tasks", "task_fees", False, True),
    ("People", "person", False, True),
    ("People", "project_cost", True, True),
    ("Tasks", "task", False, True),
    ("Project", "project_cost", False, True),
    ("none", "none", False, False),
    ("Project", "none", True, True),
)
#: The billing of the house's own project.
_INTERNAL = 6
_TASK_RATE = 110


@dataclass(frozen=True)
class _Draft:
    customer: Customer
    number: int
    first: date
    last: date

    @property
    def made(self) -> datetime:
        return instant(self.first, 9 * 60 + self.number % 50)


def add_tasks(records: Records, span: Span, random: Random) -> None:
    """Add the tasks of the account."""
    made = span.opening
    for task, key in zip(names.TASKS, ids(20_900_400, random), strict=False):
        name, billable, default, _ = task
        active = name not in names.ARCHIVED
        records.tasks.add(Task(key, name, billable, None, default, active, made, made))


def add_projects(
    records: Records, span: Span, customers: list[Customer], random: Random
) -> list[Engagement]:
    """Add up to three projects per client and the house's own, in the order of their creation."""
    house = customers[0]
    drafts = [_Draft(house, _INTERNAL, house.first, house.last)]
    for number, customer in enumerate(customers[1:]):
        drafts += _drafts(customer, number * 3, span, random)
    keys = ids(38_800_300, random)
    engagements: list[Engagement] = []
    for draft in sorted(drafts, key=lambda each: each.made):
        project = _project(records, draft, next(keys), span, random)
        records.projects.add(project)
        engagements.append(Engagement(project, draft.first, draft.last, draft.customer.multiple))
    return engagements


def _drafts(customer: Customer, number: int, span: Span, random: Random) -> list[_Draft]:
    """One project after another, overlapping; the last one of an active client still runs."""
    drafts: list[_Draft] = []
    first = customer.first
    for turn in range(3):
        if turn and first >= customer.last:
            break
        last = first + timedelta(days=random.randrange(span.days // 5 + 20, span.days // 2 + 40))
        drafts.append(_Draft(customer, number + turn, first, min(last, customer.last)))
        first += timedelta(days=random.randrange(span.days // 8 + 10, span.days // 4 + 20))
    if customer.client.is_active:
        latest = drafts.pop()
        drafts.append(_Draft(customer, latest.number, latest.first, span.today))
    return drafts


def _project(records: Records, draft: _Draft, key: int, span: Span, random: Random) -> Project:
    number, customer = draft.number, draft.customer
    name, suffix = names.PROJECTS[number % len(names.PROJECTS)]
    bill_by, budget_by, fixed, billable = _DEALS[number % len(_DEALS)]
    ended = draft.last < span.today
    rate = exact(int(random.randrange(90, 150, 5) * customer.multiple))
    fee = exact(int(rate * random.randrange(80, 300, 20))) if fixed else None
    in_hours = budget_by in ("project", "task", "person")
    in_money = budget_by in ("project_cost", "task_fees")
    # an empty code and a missing one both occur at Harvest
    code = f"{customer.code}-{suffix}" if number % 7 != 5 else ""
    return Project(
        id=key,
        name=name if customer.code else "Internal",
        code=code if customer.code else None,
        is_active=not ended,
        is_billable=billable,
        is_fixed_fee=fixed,
        bill_by=bill_by,
        budget=exact(random.randrange(100, 900, 20)) if in_hours else None,
        budget_by=budget_by,
        budget_is_monthly=number % 6 == 2,
        notify_when_over_budget=budget_by != "none",
        over_budget_notification_percentage=exact(80),
        show_budget_to_all=number % 4 == 0,
        created_at=draft.made,
        updated_at=span.until_now(instant(draft.last, 17 * 60)) if ended else draft.made,
        starts_on=draft.first if customer.code else None,
        ends_on=draft.last if ended else None,
        over_budget_notification_date=draft.last if ended and number % 4 == 1 else None,
        notes=random.choice(names.PROJECT_NOTES),
        cost_budget=(fee or exact(int(rate * random.randrange(100, 400, 20))))
        if in_money
        else None,
        cost_budget_include_expenses=budget_by == "project_cost" and number % 2 == 1,
        hourly_rate=rate if bill_by == "Project" else None,
        fee=fee,
        client=records.copy(ClientRef, customer.client),
    )


def assign_tasks(records: Records, engagements: list[Engagement], random: Random) -> None:
    """Assign the default tasks and some others to every project."""
    keys = ids(412_000_500, random)
    for engagement in engagements:
        project = engagement.project
        for task, (_, _, default, share) in zip(records.tasks, names.TASKS, strict=True):
            if not default and random.random() < 0.6:
                continue
            rate = exact(int(_TASK_RATE * share * engagement.multiple))
            budgets = {"task": exact(40), "task_fees": exact(rate * 40)}
            assignment = TaskAssignment(
                id=next(keys),
                billable=task.billable_by_default and project.is_billable,
                is_active=task.is_active and random.random() < 0.95,
                created_at=project.created_at,
                updated_at=project.created_at,
                hourly_rate=rate if project.bill_by == "Tasks" else None,
                budget=budgets.get(project.budget_by),
                project=records.copy(ProjectRef, project),
                task=records.copy(TaskRef, task),
            )
            records.task_assignments.add(assignment)
            if task.is_active:
                engagement.tasks.append(assignment)


def assign_people(
    records: Records, engagements: list[Engagement], people: list[Person], random: Random
) -> None:
    """Assign three to five people to every project and everybody to the house's own.

    The second person manages every third project.
    """
    manager = people[1]
    assignments: list[UserAssignment] = []
    for number, engagement in enumerate(engagements):
        there = [p for p in people if p.left is None or p.left > engagement.first]
        house = engagement.project.code is None
        team = there if house else random.sample(there, min(len(there), random.randint(3, 5)))
        manages = not house and number % 3 == 1
        if manages and manager not in team:
            team = [*team, manager]
        for person in team:
            assignment = _assignment(records, engagement, person)
            assignment.is_project_manager = manages and person is manager
            engagement.team[person.user.id] = assignment
            assignments.append(assignment)
    add_in_order(records.user_assignments, assignments, 391_000_600, random)


def _assignment(records: Records, engagement: Engagement, person: Person) -> UserAssignment:
    """The assignment, without an id yet; nobody is assigned before being hired."""
    project = engagement.project
    own_rate = person.user.default_hourly_rate
    special = exact(int((own_rate or Decimal(100)) * engagement.multiple))
    foreign = project.bill_by == "People" and project.client.currency != names.HOME_CURRENCY
    default = own_rate is not None and not foreign
    made = max(project.created_at, person.user.created_at)
    return UserAssignment(
        id=0,
        is_project_manager=False,
        is_active=person.user.is_active,
        use_default_rates=default,
        budget=exact(60) if project.budget_by == "person" else None,
        created_at=made,
        updated_at=made,
        hourly_rate=own_rate if default else special,
        project=records.copy(ProjectRef, project),
        user=records.copy(UserRef, person.user),
    )
