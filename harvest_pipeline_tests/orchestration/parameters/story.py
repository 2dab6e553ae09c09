"""What happens in the account of these tests: records are planted, and then changed everywhere."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import permutations
from typing import Any

import msgspec

from harvest_pipeline.sandbox.model import ProjectRef
from harvest_pipeline_tests.sandbox.account import Account

TODAY = date(2026, 11, 20)
#: HARVEST_START_DATE of these tests.
START = date(2026, 11, 10)
#: A day of every window that is asked for, and one of none but the whole.
DAY = date(2026, 11, 17)
OTHER_DAY = date(2026, 11, 11)

#: What becomes of the planted entries and expenses: where each is before, and where afterwards
#: (day, project, person; "2" is the second one of a part, "other" is in no part), None if deleted.
_HERE = (DAY, "project", "user")
_MOVES: dict[str, tuple[tuple[date, str, str], tuple[date, str, str] | None]] = {
    "edited": (_HERE, _HERE),
    "edited, second": ((DAY, "project2", "user2"), (DAY, "project2", "user2")),
    "deleted": (_HERE, None),
    "deleted, second": ((DAY, "project2", "user2"), None),
    "to another project": (_HERE, (DAY, "other_project", "user")),
    "from another project": ((DAY, "other_project", "user"), _HERE),
    "to another person": (_HERE, (DAY, "project", "other_user")),
    "from another person": ((DAY, "project", "other_user"), _HERE),
    "to another day": (_HERE, (OTHER_DAY, "project", "user")),
    "from another day": ((OTHER_DAY, "project", "user"), _HERE),
    "edited on another day": ((OTHER_DAY, "project", "user"), (OTHER_DAY, "project", "user")),
    "deleted on another day": ((OTHER_DAY, "project", "user"), None),
    "edited in another part": ((DAY, "other_project", "other_user"),) * 2,
    "deleted in another part": ((DAY, "other_project", "other_user"), None),
    "untouched": (_HERE, _HERE),
}
_STATES = ("draft", "open", "paid", "closed")
#: The same of invoices: day, state, project of the lines.
_INVOICES: dict[str, tuple[tuple[date, str, str], tuple[date, str, str] | None]] = {
    **{f"edited {s}": ((DAY, s, "project"),) * 2 for s in _STATES},
    **{f"deleted {s}": ((DAY, s, "project"), None) for s in _STATES[:2]},
    **{f"deleted {s}": ((DAY, s, "project2"), None) for s in _STATES[2:]},
    "sent": ((DAY, "draft", "project"), (DAY, "open", "other_project")),
    "paid": ((DAY, "open", "project"), (DAY, "paid", "project")),
    "written off": ((DAY, "paid", "other_project"), (DAY, "closed", "project")),
    "taken back": ((DAY, "closed", "project"), (DAY, "draft", "project")),
    "to another day": ((DAY, "open", "project"), (OTHER_DAY, "open", "project")),
    "from another day": ((OTHER_DAY, "open", "project"), (DAY, "open", "project")),
    "edited on another day": ((OTHER_DAY, "open", "project"),) * 2,
    "deleted on another day": ((OTHER_DAY, "open", "project"), None),
    "deleted in another part": ((DAY, "draft", "other_project"), None),
    "edited in another part": ((DAY, "draft", "other_project"),) * 2,
    "untouched": ((DAY, "open", "project2"),) * 2,
}  # fmt: skip


@dataclass
class Story:
    """The account, before and after. `ids` are the projects and people by the names above."""

    account: Account
    ids: dict[str, int] = field(default_factory=dict)
    task: int = 0
    planted: dict[str, dict[str, int]] = field(default_factory=dict)

    def plant(self) -> None:
        """Let the account have everything that is going to change."""
        self._choose()
        for kind in ("time_entries", "expenses"):
            self.planted[kind] = {
                name: self.account.create(kind, **self._owned(kind, place)).id
                for name, (place, _) in _MOVES.items()
            }
        invoices = [each.id for each in self.account.records.invoices.ascending()]
        self.planted["invoices"] = dict(zip(_INVOICES, invoices, strict=False))
        assert len(self.planted["invoices"]) == len(_INVOICES), "too few invoices"
        for name, (place, _) in _INVOICES.items():
            self._plant_invoice(self.planted["invoices"][name], place)

    def change_everything(self) -> None:
        """All at once what people do in weeks."""
        for kind in ("time_entries", "expenses"):
            for name, (_, place) in _MOVES.items():
                if name != "untouched":
                    self._change(kind, self.planted[kind][name], place)
            self.account.create(kind, **self._owned(kind, _HERE))
        self._change_invoices()
        self._change_small()

    def _choose(self) -> None:
        """Three projects and three people, all of them together, with a task in common."""
        records = self.account.records
        pairs = {(each.user.id, each.project.id) for each in records.user_assignments}
        tasks: dict[int, set[int]] = {}
        for each in records.task_assignments:
            tasks.setdefault(each.project.id, set()).add(each.task.id)
        busy = [key for key, _ in Counter(e.project.id for e in records.time_entries).most_common()]
        people = [user.id for user in records.users.ascending()]
        for projects in permutations(busy, 3):
            shared = set.intersection(*(tasks[project] for project in projects))
            users = [u for u in people if all((u, project) in pairs for project in projects)]
            if shared and len(users) >= 3:
                names = ("project", "project2", "other_project", "user", "user2", "other_user")
                self.ids = dict(zip(names, (*projects, *users[-3:]), strict=True))
                self.task = min(shared)
                return
        raise AssertionError("nobody works together in this account")

    def _owned(self, kind: str, place: tuple[date, str, str]) -> dict[str, Any]:
        day, project, user = place
        found: dict[str, Any] = {
            "spent_date": day,
            "project_id": self.ids[project],
            "user_id": self.ids[user],
        }
        return {**found, "task_id": self.task} if kind == "time_entries" else found

    def _change(self, kind: str, id: int, place: tuple[date, str, str] | None) -> None:
        if place is None:
            self.account.delete(kind, id)
        else:
            self.account.change(kind, id, notes="changed", **self._owned(kind, place))

    def _plant_invoice(self, id: int, place: tuple[date, str, str]) -> None:
        """With three messages and two payments, whatever its state."""
        for _ in range(2):
            self.account.add_payment(id, Decimal("1.25"))
        for event in ("view", "send", "view"):
            self.account.add_message(id, event)
        self._set_invoice(id, place)

    def _set_invoice(self, id: int, place: tuple[date, str, str], **fields: Any) -> None:
        day, state, project = place
        reference = self.account.records.copy(
            ProjectRef, self.account.records.projects.get(self.ids[project])
        )
        lines = [
            msgspec.structs.replace(line, project=reference)
            for line in self.account.records.invoices.get(id).line_items
        ]
        self.account.change("invoices", id, issue_date=day, state=state, line_items=lines, **fields)

    def _change_invoices(self) -> None:
        records = self.account.records
        for name, (_, place) in _INVOICES.items():
            id = self.planted["invoices"][name]
            if place is None:
                self.account.delete("invoices", id)
            elif name != "untouched":
                self._change_children(records.messages[id])
                self._change_children(records.payments[id])
                self.account.add_message(id, "view")
                self.account.add_payment(id, Decimal("0.75"))
                self._set_invoice(id, place, notes="changed")

    def _change_children(self, table: Any) -> None:
        edited, deleted = list(table)[:2]
        name = "sent_by" if hasattr(edited, "sent_by") else "recorded_by"
        setattr(edited, name, "Somebody Else")
        edited.updated_at = self.account.clock.now()
        table.remove(deleted.id)

    def _change_small(self) -> None:
        """Of each record without a day: one edited, one deleted, one new."""
        for kind, edit in _EDITS.items():
            edited, deleted = self._two(kind)
            self.account.change(kind, edited, **edit)
            self.account.delete(kind, deleted)
            self.account.create(kind, like=edited)
        for project in ("project", "project2", "other_project"):
            edited, deleted = list(self._assignments(self.ids[project]))
            self.account.change("task_assignments", edited, budget=Decimal(77))
            self.account.delete("task_assignments", deleted)
            self.account.create("task_assignments", like=edited)

    def _two(self, kind: str) -> tuple[int, int]:
        """A record to edit, and one to delete that nothing planted hangs on."""
        keys = [each.id for each in self.account.records.table(kind).ascending()]
        spared = {*self.ids.values(), *self.account.people.values(), self.task}
        free = [key for key in keys if key not in spared]
        return free[0], free[-1]

    def _assignments(self, project: int) -> Iterator[int]:
        """Two task assignments of a project, but for that of the planted entries."""
        found = [
            each.id
            for each in self.account.records.task_assignments.ascending()
            if each.project.id == project and each.task.id != self.task
        ]
        return iter(found[:2])


_EDITS: dict[str, dict[str, Any]] = {
    "clients": {"address": "changed"},
    "contacts": {"title": "changed"},
    "expense_categories": {"unit_name": "changed"},
    "invoice_item_categories": {"use_as_expense": True},
    "users": {"telephone": "changed"},
    "tasks": {"default_hourly_rate": Decimal(77)},
    "projects": {"notes": "changed"},
}
