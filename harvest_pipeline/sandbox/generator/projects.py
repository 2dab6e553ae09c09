"""Projects: how they are agreed upon, when they run, what they may cost.

Belongs here: projects. Does not belong here: who works on them (assignments.py).
"""

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from harvest_pipeline.sandbox.embedded import ClientRef
from harvest_pipeline.sandbox.generator import names
from harvest_pipeline.sandbox.generator.plan import Customer, Engagement, Ids, Span, instant
from harvest_pipeline.sandbox.model import Project
from harvest_pipeline.sandbox.numbers import exact
from harvest_pipeline.sandbox.records import Records

#: bill_by, budget_by, fixed fee, billable: the ways in which projects are agreed upon, in turn.
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
#: The house's own project is agreed upon like this.
_INTERNAL = 6


@dataclass(frozen=True)
class _Draft:
    customer: Customer
    number: int
    first: date
    last: date


def add_projects(
    records: Records, span: Span, customers: list[Customer], random: Random
) -> list[Engagement]:
    """Add up to three projects per client and the house's own, in the order of their creation."""
    house = customers[0]
    drafts = [_Draft(house, _INTERNAL, house.first, house.last)]
    for number, customer in enumerate(customers[1:]):
        drafts += _drafts(customer, number * 3, span, random)
    ids = Ids(38_800_300, random)
    engagements: list[Engagement] = []
    for draft in sorted(drafts, key=_made):
        project = _project(records, draft, ids.next(), span, random)
        records.projects.add(project)
        multiple = draft.customer.multiple
        engagements.append(Engagement(project, draft.first, draft.last, multiple))
    return engagements


def _drafts(customer: Customer, number: int, span: Span, random: Random) -> list[_Draft]:
    """One project after another, overlapping; the last one of an active client still runs."""
    days = (span.today - span.first).days
    drafts: list[_Draft] = []
    first = customer.first
    for turn in range(3):
        if turn and first >= customer.last:
            break
        last = first + timedelta(days=random.randrange(days // 5 + 20, days // 2 + 40))
        drafts.append(_Draft(customer, number + turn, first, min(last, customer.last)))
        first += timedelta(days=random.randrange(days // 8 + 10, days // 4 + 20))
    if customer.client.is_active:
        latest = drafts.pop()
        drafts.append(_Draft(customer, latest.number, latest.first, span.today))
    return drafts


def _made(draft: _Draft) -> tuple[date, int]:
    return draft.first, 9 * 60 + draft.number % 50


def _project(records: Records, draft: _Draft, key: int, span: Span, random: Random) -> Project:
    number, customer = draft.number, draft.customer
    name, suffix = names.PROJECTS[number % len(names.PROJECTS)]
    bill_by, budget_by, fixed, billable = _DEALS[number % len(_DEALS)]
    made = instant(*_made(draft))
    ended = draft.last < span.today
    rate = exact(int(random.randrange(90, 150, 5) * customer.multiple))
    fee = exact(int(rate * random.randrange(80, 300, 20))) if fixed else None
    in_hours = budget_by in ("project", "task", "person")
    in_money = budget_by in ("project_cost", "task_fees")
    return Project(
        id=key,
        name=name if customer.code else "Internal",
        # an empty code and none at all both occur (REFERENCE 3)
        code=(f"{customer.code}-{suffix}" if number % 7 != 5 else "") if customer.code else None,
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
        created_at=made,
        updated_at=span.until_now(instant(draft.last, 17 * 60)) if ended else made,
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
