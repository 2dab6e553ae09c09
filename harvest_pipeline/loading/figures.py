"""The nine reports of Harvest that are compared, and their figures: those of the models that show
them by month, so that a comparison proves these.

How Harvest rounds an amount of hours times rates is not documented: the sum, each entry, or not at
all (docs/harvest-api.md). Such a figure has these alternatives, and is equal if one of them is
Harvest's; if all entries come to whole cents, they are the same number.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

import duckdb

from harvest_pipeline.harvest.summary_reports import ReportRow
from harvest_pipeline.safety.text import one_line
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import Account
from harvest_pipeline.warehouse.models import inlined, use_money
from harvest_pipeline.warehouse.sql import literal

Theme = Literal["time", "expenses", "uninvoiced"]

#: The tables that the figures of a theme are computed from: they must exist, and are read again if
#: a figure differs.
RECORDS: dict[Theme, tuple[str, ...]] = {
    "time": ("time_entries", "projects"),
    "expenses": ("expenses",),
    "uninvoiced": ("time_entries", "expenses", "projects"),
}


def themes(account: Account) -> list[Theme]:
    """The themes that can be compared for an account: those whose reports are all switched on."""
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
    """One report of Harvest, and the model that computes it. `subject` is the column that a row is
    about, together with its currency; `measures` are hours and money."""

    theme: Theme
    path: str
    model: str
    subject: str
    measures: tuple[str, ...]
    permission: str = _PERMISSION
    params: dict[str, str] = field(default_factory=dict[str, str], hash=False)

    @property
    def about(self) -> str:
        """The kind of subject in one word: client, project, task, person, category."""
        return {"user_id": "person", "expense_category_id": "category"}.get(
            self.subject, self.subject.removesuffix("_id")
        )

    def title(self, measure: str) -> str:
        """The name of a figure, for display."""
        if self.theme == "expenses" and measure == "billable_amount":
            return "billable expenses"
        return _TITLES[measure]

    @property
    def name_column(self) -> str:
        """The column with the name of the subject."""
        return f"{self.subject.removesuffix('_id')}_name"


def _time(path: str, model: str, subject: str) -> Question:
    measures = ("total_hours", "billable_hours", "billable_amount")
    return Question("time", f"/reports/time/{path}", f"time_by_{model}", subject, measures)


def _expenses(path: str, model: str, subject: str) -> Question:
    measures = ("total_amount", "billable_amount")
    path, model = f"/reports/expenses/{path}", f"expenses_by_{model}"
    return Question("expenses", path, model, subject, measures)


_DRAFTERS = "an administrator, or a manager allowed to create invoices"

TIME_BY_PROJECT = _time("projects", "project", "project_id")
EXPENSES_BY_PROJECT = _expenses("projects", "project", "project_id")
#: Projects that are billed by hours; the rest of a fixed fee belongs to no day.
UNINVOICED = Question(
    "uninvoiced",
    "/reports/uninvoiced",
    "uninvoiced",
    "project_id",
    ("uninvoiced_hours", "uninvoiced_expenses", "uninvoiced_amount"),
    _DRAFTERS,
    {"include_fixed_fee": "false"},
)

QUESTIONS: dict[Theme, tuple[Question, ...]] = {
    "time": (
        TIME_BY_PROJECT,
        _time("clients", "client", "client_id"),
        _time("tasks", "task", "task_id"),
        _time("team", "team", "user_id"),
    ),
    "expenses": (
        EXPENSES_BY_PROJECT,
        _expenses("clients", "client", "client_id"),
        _expenses("categories", "category", "expense_category_id"),
        _expenses("team", "team", "user_id"),
    ),
    "uninvoiced": (UNINVOICED,),
}

#: Figures that every person sees alike; all others are money, which Harvest hides from some.
HOURS = ("total_hours", "billable_hours", "uninvoiced_hours")


#: A subject's id and its currency.
Key = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Row:
    """The name of a subject, and the alternatives of each of its figures, the most likely first."""

    name: str
    figures: dict[str, tuple[Decimal, ...]]


Rows = dict[Key, Row]

#: The models with a row for each entry and expense; the figures are those of the days of a window.
_BY_DAY = ("entry_values", "expense_values")
_CENT = Decimal("0.01")


def rows_of(connection: duckdb.DuckDBPyConnection, question: Question, window: Window) -> Rows:
    """The rows that the report should have for the days of `window`: those of its model, whose SQL
    sees these days only, all of them in the month of the first one."""
    first, last = (literal(day.isoformat()) for day in (window.first, window.last))
    days = (
        f"SELECT * REPLACE (DATE {first} AS day) FROM ({{sql}})"
        f" WHERE day BETWEEN DATE {first} AND DATE {last}"
    )
    use_money(connection)
    cursor = connection.execute(inlined(question.model, dict.fromkeys(_BY_DAY, days)))
    columns = [each[0] for each in cursor.description or ()]
    rows: Rows = {}
    for values in cursor.fetchall():
        row = dict(zip(columns, values, strict=True))
        figures = {measure: _alternatives(row, measure) for measure in question.measures}
        name = row[question.name_column]
        rows[row[question.subject], row["currency"] or ""] = Row(name, figures)
    return rows


def _alternatives(row: Mapping[str, Any], measure: str) -> tuple[Decimal, ...]:
    """A figure as the model shows it and, where Harvest may round in another way, as that."""
    exact: Decimal | None = row.get(f"{measure}_exact")
    if exact is None:
        return (row[measure],)
    cents = exact.quantize(_CENT, ROUND_HALF_UP)
    return (row[measure], cents, row[f"{measure}_by_entry"], exact)


_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Pair:
    """Both figures of one subject, currency ("" if money is hidden) and span of days.

    `warehouse` is the alternative that equals Harvest's figure, if there is one.
    """

    question: Question
    window: Window
    subject_id: int
    name: str
    currency: str
    measure: str
    harvest: Decimal
    warehouse: Decimal

    @property
    def title(self) -> str:
        """The name of the figure, for display."""
        return self.question.title(self.measure)

    @property
    def is_equal(self) -> bool:
        """Whether they are the same number, to the last digit."""
        return self.harvest == self.warehouse


def pairs(
    question: Question, window: Window, theirs: Sequence[ReportRow], ours: Rows
) -> list[Pair]:
    """Every figure of the report; a missing one is 0.

    If Harvest hides money, hours only.
    """
    hidden = hides_money(theirs)
    by_key = {_key(question, row): row for row in theirs}
    mine = _without_money(ours) if hidden else ours
    return list(_pairs(question, window, by_key, mine, hidden))


def hides_money(theirs: Sequence[ReportRow]) -> bool:
    """Whether the report came without currencies and amounts."""
    return any(row.currency is None for row in theirs)


def _pairs(
    question: Question,
    window: Window,
    theirs: dict[Key, ReportRow],
    ours: Rows,
    hidden: bool,
) -> Iterator[Pair]:
    for key in sorted(theirs.keys() | ours.keys()):
        row, mine = theirs.get(key), ours.get(key)
        name = mine.name if mine else getattr(row, question.name_column)
        for measure in question.measures:
            if hidden and measure not in HOURS:
                continue
            harvest = (getattr(row, measure) if row else None) or _ZERO
            alternatives = mine.figures[measure] if mine else (_ZERO,)
            warehouse = harvest if harvest in alternatives else alternatives[0]
            yield Pair(
                question, window, key[0], one_line(name or ""), key[1], measure, harvest, warehouse
            )


def _key(question: Question, row: ReportRow) -> Key:
    return getattr(row, question.subject) or 0, one_line(row.currency or "")


def _without_money(rows: Rows) -> Rows:
    """The hours of a subject, summed over all currencies."""
    names: dict[int, str] = {}
    hours: dict[int, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for (subject, _), row in rows.items():
        names[subject] = row.name
        for measure in HOURS:
            if measure in row.figures:
                hours[subject][measure] += row.figures[measure][0]
    return {
        (subject, ""): Row(names[subject], {name: (value,) for name, value in sums.items()})
        for subject, sums in hours.items()
    }
