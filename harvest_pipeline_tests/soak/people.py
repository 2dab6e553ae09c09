"""The people of an account, and what they find in it to work on, by a seeded chance."""

from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from harvest_pipeline.scope import Window
from harvest_pipeline_tests.sandbox.account import Account

#: A row of the warehouse: its record and its id.
Row = tuple[str, int]

NOTES = (
    "",
    None,
    "call",
    "Änderung – ✓",
    'it\'s "done"\r\n2nd line',
    "=1+1",
    "NULL",
    "{}",
    "x" * 400,
)
NAMES = ("Aster", "Ōkami", "Bell & Sons", "d'Arc", "Zürich", 'O"Neil', "新", "Nord; DROP TABLE")
#: Days back that most late entries and edits reach, and a few; and days ahead that plans do.
_LATE, _VERY_LATE, _AHEAD = 45, 300, 20
#: The share of days that are yet to come, and of those that may be long before the start date.
_PLANNED, _FAR = 0.05, 0.01
#: The nights in which a change without a trace is found: of messages and payments, and of what no
#: report of Harvest's shows.
A_WEEK, A_MONTH = 7, 30


class People:
    """Everybody who works in an account. `silent` are the rows whose change moved nothing that
    Harvest tells of, and in how many nights it is to be found; `compared` are the days whose sums
    are compared with Harvest's reports every night."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.records = account.records
        self.silent: dict[Row, int] = {}
        self.compared = Window(account.clock.today(), account.clock.today())
        self._last_line = max(
            (line.id for each in self.records.invoices for line in each.line_items), default=0
        )

    def next_line(self) -> int:
        """The id of a new line of an invoice: as at Harvest, no id comes a second time."""
        self._last_line += 1
        return self._last_line

    @property
    def today(self) -> date:
        """The account's day."""
        return self.account.clock.today()

    def any(self, chance: Random, kind: str) -> Any:
        """A record of a kind, by chance; None if there is none."""
        every = self.records.table(kind).ascending()
        return chance.choice(every) if every else None

    def day(self, chance: Random) -> date:
        """A day on which somebody notices that something is missing: mostly a recent one."""
        if chance.random() < _PLANNED:
            return self.today + timedelta(days=chance.randint(1, _AHEAD))
        if chance.random() < _FAR:
            return self.today - timedelta(days=chance.randint(_VERY_LATE, 3 * _VERY_LATE))
        back = chance.choice([0, 0, 1, 1, 2, 5, _LATE, _VERY_LATE])
        return self.today - timedelta(days=chance.randint(0, back))

    def place(self, chance: Random) -> dict[str, int] | None:
        """A person, a project and a task that belong together."""
        person = self.any(chance, "user_assignments")
        tasks = [
            each.task.id
            for each in self.records.task_assignments
            if each.project.id == person.project.id
        ]
        if not tasks:
            return None
        return {
            "user_id": person.user.id,
            "project_id": person.project.id,
            "task_id": chance.choice(sorted(tasks)),
        }

    def change(self, kind: str, record: Any, **fields: Any) -> str:
        """Edit a record, as its list shows it."""
        self.account.change(kind, record.id, **fields)
        return f"{kind} {record.id} {sorted(fields)}"

    def delete(self, chance: Random, kind: str) -> str | None:
        """Delete a record of a kind, by chance."""
        record = self.any(chance, kind)
        if record is None:
            return None
        self.account.delete(kind, record.id)
        return f"{kind} {record.id} deleted"


def hours(chance: Random) -> Decimal:
    """Hours, or money."""
    return Decimal(chance.randint(0, 1200)) / 100
