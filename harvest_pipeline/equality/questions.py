"""What is compared: nine reports of Harvest, as data."""

from dataclasses import dataclass, field
from typing import Literal

from harvest_pipeline.settings import Account

Theme = Literal["time", "expenses", "uninvoiced"]

#: What the figures of a theme are made of: the tables that must be there, and that are read again
#: where a figure differs.
RECORDS: dict[Theme, tuple[str, ...]] = {
    "time": ("time_entries", "projects"),
    "expenses": ("expenses",),
    "uninvoiced": ("time_entries", "expenses", "projects"),
}


def themes(account: Account) -> list[Theme]:
    """What can be compared of an account: that of which no report is switched off."""
    records = {each.record.name for each in account.datasets if each.is_report}
    return [theme for theme, needed in RECORDS.items() if records.issuperset(needed)]


_PERMISSION = "an administrator sees all; a manager own, teammates' and managed projects'"

_TITLES = {
    "total_hours": "hours",
    "billable_hours": "billable hours",
    "billable_amount": "billable amount",
    "total_amount": "expenses",
    "uninvoiced_hours": "uninvoiced hours",
    "uninvoiced_expenses": "uninvoiced expenses",
    "uninvoiced_amount": "uninvoiced amount",
}


@dataclass(frozen=True, slots=True)
class Question:
    """One report of Harvest. `subject` is the column that a row is about, beside its currency;
    `measures` are hours and money, the latter those in `money`."""

    theme: Theme
    path: str
    subject: str
    measures: tuple[str, ...]
    permission: str = _PERMISSION
    params: dict[str, str] = field(default_factory=dict[str, str], hash=False)

    @property
    def about(self) -> str:
        """What a row is about, in a word: client, project, task, person, category."""
        return {"user_id": "person", "expense_category_id": "category"}.get(
            self.subject, self.subject.removesuffix("_id")
        )

    def title(self, measure: str) -> str:
        """What a figure is called for a person."""
        if self.theme == "expenses" and measure == "billable_amount":
            return "billable expenses"
        return _TITLES[measure]

    @property
    def name_column(self) -> str:
        """The column with the name of what a row is about."""
        return f"{self.subject.removesuffix('_id')}_name"


def _time(path: str, subject: str) -> Question:
    measures = ("total_hours", "billable_hours", "billable_amount")
    return Question("time", f"/reports/time/{path}", subject, measures)


def _expenses(path: str, subject: str) -> Question:
    measures = ("total_amount", "billable_amount")
    return Question("expenses", f"/reports/expenses/{path}", subject, measures)


_UNINVOICED = "/reports/uninvoiced"
_DRAFTERS = "an administrator, or a manager allowed to create invoices"

TIME_BY_PROJECT = _time("projects", "project_id")
EXPENSES_BY_PROJECT = _expenses("projects", "project_id")
#: Projects that are billed by hours; what is left of a fixed fee has no days.
UNINVOICED = Question(
    "uninvoiced",
    _UNINVOICED,
    "project_id",
    ("uninvoiced_hours", "uninvoiced_expenses", "uninvoiced_amount"),
    _DRAFTERS,
    {"include_fixed_fee": "false"},
)

QUESTIONS: dict[Theme, tuple[Question, ...]] = {
    "time": (
        TIME_BY_PROJECT,
        _time("clients", "client_id"),
        _time("tasks", "task_id"),
        _time("team", "user_id"),
    ),
    "expenses": (
        EXPENSES_BY_PROJECT,
        _expenses("clients", "client_id"),
        _expenses("categories", "expense_category_id"),
        _expenses("team", "user_id"),
    ),
    "uninvoiced": (UNINVOICED,),
}

#: Figures that are the same whoever looks; all others are money, which Harvest hides from some.
HOURS = ("total_hours", "billable_hours", "uninvoiced_hours")
