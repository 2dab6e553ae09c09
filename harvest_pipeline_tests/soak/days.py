"""A day of the people of an account, chosen by a seeded chance."""

from collections.abc import Callable
from random import Random

from harvest_pipeline_tests.soak import entries, invoices, others
from harvest_pipeline_tests.soak.people import People, Row

#: An edit; what it says of itself begins with the record and its id.
Deed = Callable[[People, Random], str | None]

#: About as many as there are to be, so that a night takes no longer in the end.
_MOST = {"time_entries": 300, "expenses": 40, "invoices": 25}

#: What people do in a day, and how often. Of the first ones also while the pipeline is reading.
_QUICK: dict[Deed, int] = {
    entries.new_entry: 12,
    entries.edit_entry: 8,
    entries.move_entry: 4,
    entries.give_entry_away: 3,
    entries.delete_entry: 4,
    entries.new_expense: 3,
    entries.edit_expense: 2,
    entries.delete_expense: 1,
}
_DEEDS = {
    **_QUICK,
    entries.run_timer: 1,
    entries.restate: 1,
    entries.recost: 1,
    invoices.new_invoice: 2,
    invoices.edit_invoice: 3,
    invoices.edit_lines: 1,
    invoices.bill: 3,
    invoices.delete_invoice: 1,
    invoices.pay: 3,
    invoices.take_payment_back: 1,
    invoices.send: 1,
    invoices.remind: 1,
    invoices.edit_children: 1,
    others.rename: 4,
    others.reprice: 1,
    others.archive: 1,
    others.new_small: 2,
    others.delete_small: 1,
    others.move_contact: 1,
    others.hand_over: 1,
    others.assign: 1,
    others.assign_person: 1,
    others.raise_rate: 1,
    others.delete_estimate: 1,
    others.delete_project: 1,
}


def work(people: People, chance: Random) -> list[str]:
    """A day of edits; what was done, one line each."""
    with people.account.lock:
        done = [_do(people, chance, _DEEDS) for _ in range(chance.randint(6, 22))]
        for kind, most in _MOST.items():
            excess = max(0, len(people.records.table(kind)) - most)
            done += [people.delete(chance, kind) for _ in range(excess)]
    return [line for line in done if line]


def interfere(people: People, chance: Random) -> set[Row]:
    """One or two edits of entries and expenses; the rows that they concern."""
    with people.account.lock:
        done = [_do(people, chance, _QUICK) for _ in range(chance.randint(1, 2))]
    return {(kind, int(id)) for kind, id, *_ in (line.split() for line in done if line)}


def _do(people: People, chance: Random, deeds: dict[Deed, int]) -> str | None:
    (deed,) = chance.choices(list(deeds), list(deeds.values()))
    return deed(people, chance)
