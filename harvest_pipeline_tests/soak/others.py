"""What people do to clients, projects, tasks, estimates and each other. Each says what it did;
None: nothing."""

from random import Random

from harvest_pipeline_tests.soak.people import NAMES, People, hours


def rename(people: People, chance: Random) -> str | None:
    kind, fields = chance.choice(
        [
            ("clients", ("name",)),
            ("projects", ("name", "code")),
            ("tasks", ("name",)),
            ("users", ("first_name", "last_name")),
            ("expense_categories", ("name",)),
            ("invoice_item_categories", ("name",)),
            ("contacts", ("first_name",)),
            ("roles", ("name",)),
            ("estimates", ("subject",)),
            ("estimate_item_categories", ("name",)),
        ]
    )
    record = people.any(chance, kind)
    if record is None:
        return None
    names = {field: f"{chance.choice(NAMES)} {chance.randint(1, 999)}" for field in fields}
    return people.change(kind, record, **names)


def reprice(people: People, chance: Random) -> str | None:
    kind, field = chance.choice(
        [("expense_categories", "unit_price"), ("users", "cost_rate"), ("projects", "fee")]
    )
    record = people.any(chance, kind)
    return record and people.change(kind, record, **{field: hours(chance)})


def archive(people: People, chance: Random) -> str | None:
    kind = chance.choice(["users", "clients", "projects", "tasks", "expense_categories"])
    record = people.any(chance, kind)
    return record and people.change(kind, record, is_active=not record.is_active)


def new_small(people: People, chance: Random) -> str | None:
    """A record that nothing refers to yet; what there are too many of is deleted instead."""
    kind = chance.choice(["contacts", "clients", "tasks", "expense_categories", "task_assignments"])
    if len(people.records.table(kind)) > 60:
        return delete_small(people, chance)
    like = people.any(chance, kind)
    if like is None:
        return None
    made = people.account.create(kind, like=like.id)
    return f"{kind} {made.id} new"


def delete_small(people: People, chance: Random) -> str | None:
    kind = chance.choice(["contacts", "clients", "tasks", "expense_categories", "task_assignments"])
    used = _used(people, kind)
    free = [each.id for each in people.records.table(kind).ascending() if each.id not in used]
    if not free:
        return None
    people.account.delete(kind, chance.choice(free))
    return f"{kind} deleted"


def _used(people: People, kind: str) -> set[int]:
    """The records of a kind that others refer to: Harvest lets nobody delete them."""
    records = people.records
    if kind == "clients":
        owners = (records.projects, records.contacts, records.invoices)
        return {each.client.id for table in owners for each in table}
    if kind == "tasks":
        return {
            each.task.id for t in (records.task_assignments, records.time_entries) for each in t
        }
    if kind == "task_assignments":
        # The last one of each project stays, so that its people have something to do.
        last = {each.project.id: each.id for each in records.task_assignments.ascending()}
        return {*last.values(), *(each.task_assignment.id for each in records.time_entries)}
    return {each.expense_category.id for each in records.expenses} if kind != "contacts" else set()


def move_contact(people: People, chance: Random) -> str | None:
    contact, client = people.any(chance, "contacts"), people.any(chance, "clients")
    return people.change("contacts", contact, client_id=client.id) if contact and client else None


def hand_over(people: People, chance: Random) -> str | None:
    """A project gets another client, and none of its entries moves."""
    project, client = people.any(chance, "projects"), people.any(chance, "clients")
    return people.change("projects", project, client_id=client.id) if project and client else None


def assign(people: People, chance: Random) -> str | None:
    assignment = people.any(chance, "task_assignments")
    fields = {"billable": chance.random() < 0.5, "hourly_rate": hours(chance), "budget": None}
    return assignment and people.change("task_assignments", assignment, **fields)


def assign_person(people: People, chance: Random) -> str | None:
    assignment = people.any(chance, "user_assignments")
    fields = {"budget": hours(chance), "use_default_rates": chance.random() < 0.5}
    return assignment and people.change("user_assignments", assignment, **fields)


def raise_rate(people: People, chance: Random) -> str | None:
    """A person costs more, which shows in the person, too."""
    person = people.any(chance, "users")
    rates = people.records.cost_rates.get(person.id) if person else None
    if not rates or not len(rates):
        return None
    rates.ascending()[-1].amount = hours(chance)
    return people.change("users", person, cost_rate=rates.ascending()[-1].amount)


def delete_estimate(people: People, chance: Random) -> str | None:
    """Rare, and never the last one; its lines and messages go with it."""
    if len(people.records.estimates) < 2 or chance.random() > 0.2:
        return None
    return people.delete(chance, "estimates")


def delete_project(people: People, chance: Random) -> str | None:
    """Rare, and never one of the last: with it go its time, its expenses and its assignments."""
    if len(people.records.projects) < 5 or chance.random() > 0.1:
        return None
    return people.delete(chance, "projects")
