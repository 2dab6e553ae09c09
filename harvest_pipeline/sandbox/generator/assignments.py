"""Tasks, and who and what is assigned to which project.

Belongs here: tasks, task assignments and user assignments. Does not belong here: who worked when
(timesheets.py).
"""

from decimal import Decimal
from random import Random

from harvest_pipeline.sandbox.embedded import ProjectRef, TaskRef, UserRef
from harvest_pipeline.sandbox.generator import names
from harvest_pipeline.sandbox.generator.plan import Engagement, Ids, Person, Span, instant
from harvest_pipeline.sandbox.model import Task, TaskAssignment, UserAssignment
from harvest_pipeline.sandbox.numbers import exact
from harvest_pipeline.sandbox.records import Records

_TASK_RATE = 110


def add_tasks(records: Records, span: Span, random: Random) -> None:
    """Add the tasks of the account."""
    ids = Ids(20_900_400, random)
    made = instant(span.first, 6 * 60)
    for name, billable, default, _ in names.TASKS:
        active = name not in names.ARCHIVED
        records.tasks.add(Task(ids.next(), name, billable, None, default, active, made, made))


def assign_tasks(records: Records, engagements: list[Engagement], random: Random) -> None:
    """Assign the default tasks and some others to every project."""
    ids = Ids(412_000_500, random)
    for engagement in engagements:
        project = engagement.project
        for task, (_, _, default, share) in zip(
            records.tasks.ascending(), names.TASKS, strict=True
        ):
            if not default and random.random() < 0.6:
                continue
            rate = exact(int(_TASK_RATE * share * engagement.multiple))
            budgets = {"task": exact(40), "task_fees": exact(rate * 40)}
            assignment = TaskAssignment(
                id=ids.next(),
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
    ids = Ids(391_000_600, random)
    for assignment in sorted(assignments, key=lambda a: a.created_at):
        assignment.id = ids.next()
        records.user_assignments.add(assignment)


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
