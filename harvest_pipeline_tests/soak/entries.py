"""What people do to time entries and expenses. Each says what it did; None: nothing."""

from random import Random

from harvest_pipeline_tests.soak.people import A_MONTH, NOTES, People, hours


def new_entry(people: People, chance: Random) -> str | None:
    like, place = people.any(chance, "time_entries"), people.place(chance)
    if like is None or place is None:
        return None
    made = people.account.create(
        "time_entries", like=like.id, spent_date=people.day(chance), hours=hours(chance),
        notes=chance.choice(NOTES), **place,
    )  # fmt: skip
    return f"time_entries {made.id} new"


def edit_entry(people: People, chance: Random) -> str | None:
    entry = people.any(chance, "time_entries")
    if entry is None:
        return None
    fields = {
        "hours": hours(chance),
        "notes": chance.choice(NOTES),
        "is_closed": chance.random() < 0.3,
    }
    return people.change("time_entries", entry, **fields)


def move_entry(people: People, chance: Random) -> str | None:
    entry = people.any(chance, "time_entries")
    return entry and people.change("time_entries", entry, spent_date=people.day(chance))


def give_entry_away(people: People, chance: Random) -> str | None:
    entry, place = people.any(chance, "time_entries"), people.place(chance)
    return people.change("time_entries", entry, **place) if entry and place else None


def run_timer(people: People, chance: Random) -> str | None:
    entry = people.any(chance, "time_entries")
    if entry is None:
        return None
    running = not entry.is_running
    started = people.account.clock.now() if running else None
    return people.change("time_entries", entry, is_running=running, timer_started_at=started)


def restate(people: People, chance: Random) -> str | None:
    """Another rounding rule: seen by Harvest's reports, so in the next night."""
    entry = people.any(chance, "time_entries")
    if entry is None:
        return None
    more = entry.rounded_hours + hours(chance) + 1
    people.account.change("time_entries", entry.id, touch=False, rounded_hours=more)
    if not people.compared.first <= entry.spent_date <= people.compared.last:
        people.silent["time_entries", entry.id] = A_MONTH
    return f"time_entries {entry.id} restated, silently"


def recost(people: People, chance: Random) -> str | None:
    """A cost rate that is applied to the past."""
    entry = people.any(chance, "time_entries")
    if entry is None:
        return None
    people.account.change("time_entries", entry.id, touch=False, cost_rate=hours(chance) + 1)
    people.silent["time_entries", entry.id] = A_MONTH
    return f"time_entries {entry.id} costs, silently"


def delete_entry(people: People, chance: Random) -> str | None:
    return people.delete(chance, "time_entries")


def new_expense(people: People, chance: Random) -> str | None:
    like, place = people.any(chance, "expenses"), people.place(chance)
    if like is None or place is None:
        return None
    del place["task_id"]
    made = people.account.create(
        "expenses", like=like.id, spent_date=people.day(chance), total_cost=hours(chance),
        notes=chance.choice(NOTES), **place,
    )  # fmt: skip
    return f"expenses {made.id} new"


def edit_expense(people: People, chance: Random) -> str | None:
    expense = people.any(chance, "expenses")
    category = people.any(chance, "expense_categories")
    if expense is None or category is None:
        return None
    fields = {"total_cost": hours(chance), "expense_category_id": category.id}
    if chance.random() < 0.3:
        fields["spent_date"] = people.day(chance)
    return people.change("expenses", expense, **fields)


def delete_expense(people: People, chance: Random) -> str | None:
    return people.delete(chance, "expenses")
