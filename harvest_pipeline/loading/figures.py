"""The nine reports of Harvest that are compared, and their figures computed from the warehouse.

How Harvest rounds an amount of hours times rates is not documented: the sum, each entry, or not at
all (docs/harvest-api.md). Such a figure has these alternatives, and is equal if one of them is
Harvest's; if all entries come to whole cents, they are the same number.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import duckdb

from harvest_pipeline.harvest.summary_reports import ReportRow
from harvest_pipeline.safety import one_line
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import Account

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
    """One report of Harvest. `subject` is the column that a row is about, together with its
    currency; `measures` are hours and money, the latter listed in `money`."""

    theme: Theme
    path: str
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


def _time(path: str, subject: str) -> Question:
    measures = ("total_hours", "billable_hours", "billable_amount")
    return Question("time", f"/reports/time/{path}", subject, measures)


def _expenses(path: str, subject: str) -> Question:
    measures = ("total_amount", "billable_amount")
    return Question("expenses", f"/reports/expenses/{path}", subject, measures)


_DRAFTERS = "an administrator, or a manager allowed to create invoices"

TIME_BY_PROJECT = _time("projects", "project_id")
EXPENSES_BY_PROJECT = _expenses("projects", "project_id")
#: Projects that are billed by hours; the rest of a fixed fee belongs to no day.
UNINVOICED = Question(
    "uninvoiced",
    "/reports/uninvoiced",
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

#: Hours as reports count them: rounded, if Harvest sends the rounded hours.
_HOURS = "coalesce(rounded_hours, hours)"
_VALUE = f"{_HOURS} * coalesce(billable_rate, 0)"


def rows_of(connection: duckdb.DuckDBPyConnection, question: Question, window: Window) -> Rows:
    """The rows that the report should have for the days of `window`."""
    if question.theme == "uninvoiced":
        sql, days = _UNINVOICED, [window.first, window.last] * 2
    else:
        sql = _TIME if question.theme == "time" else _EXPENSES
        sql = sql.format(subject=question.subject, name=question.name_column)
        days = [window.first, window.last]
    cursor = connection.execute(sql, days)
    columns = [each[0] for each in cursor.description or ()][3:]
    rows: Rows = {}
    for subject, currency, name, *values in cursor.fetchall():
        figures: dict[str, tuple[Decimal, ...]] = defaultdict(tuple)
        for column, value in zip(columns, values, strict=True):
            figures[column.partition(" ")[0]] += (value,)
        rows[subject, currency] = Row(name, dict(figures))
    return rows


def _alternatives(value: str, of: str, plus: str = "0") -> str:
    """An amount as the rounded sum, the sum of rounded entries, and exact."""
    total, each = f"coalesce(sum({value}), 0)", f"coalesce(sum(round({value}, 2)), 0)"
    return (
        f'round({total} + {plus}, 2) AS "{of}", {each} + {plus} AS "{of} each",'
        f' {total} + {plus} AS "{of} exact"'
    )


#: Hours of all entries; amounts of the billable ones, without fixed-fee projects.
_TIME = f"""
    WITH fixed AS (SELECT id FROM projects WHERE is_fixed_fee),
    entries AS (
        SELECT {{subject}} AS subject, coalesce(client_currency, '') AS currency, {{name}} AS name,
            {_HOURS} AS hours, CASE WHEN billable THEN {_HOURS} ELSE 0 END AS billable_hours,
            CASE WHEN billable AND project_id NOT IN (FROM fixed) THEN {_VALUE} ELSE 0 END AS value
        FROM time_entries WHERE spent_date BETWEEN ? AND ?)
    SELECT subject, currency, max(name), sum(hours) AS total_hours,
        sum(billable_hours) AS billable_hours, {_alternatives("value", "billable_amount")}
    FROM entries GROUP BY subject, currency
"""
#: The expense's own flag decides whether it is billable, not its project's.
_EXPENSES = """
    SELECT {subject}, coalesce(client_currency, ''), max({name}), sum(total_cost) AS total_amount,
        sum(CASE WHEN billable THEN total_cost ELSE 0 END) AS billable_amount
    FROM expenses WHERE spent_date BETWEEN ? AND ? GROUP BY 1, 2
"""
#: Every billable project without a fixed fee, even without any time.
_UNINVOICED = f"""
    WITH entries AS (
        SELECT project_id, {_HOURS} AS hours, billable AND NOT is_billed AS waiting,
            CASE WHEN waiting THEN {_VALUE} ELSE 0 END AS value
        FROM time_entries WHERE spent_date BETWEEN ? AND ?),
    spent AS (
        SELECT project_id, sum(total_cost) AS cost FROM expenses
        WHERE spent_date BETWEEN ? AND ? AND billable AND NOT is_billed GROUP BY 1)
    SELECT id, coalesce(client_currency, ''), max(name),
        coalesce(sum(hours) FILTER (WHERE waiting), 0) AS uninvoiced_hours,
        coalesce(max(cost), 0) AS uninvoiced_expenses,
        {_alternatives("value", "uninvoiced_amount", "coalesce(max(cost), 0)")}
    FROM projects LEFT JOIN entries ON entries.project_id = id
    LEFT JOIN spent ON spent.project_id = id
    WHERE is_billable AND NOT is_fixed_fee GROUP BY 1, 2
"""


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
