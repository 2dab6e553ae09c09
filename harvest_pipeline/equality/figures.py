"""The figures of Harvest's reports, computed from the warehouse.

Belongs here: the SQL of each report, following REFERENCE 9 and 10.
Does not belong here: Harvest's side (harvest/summary_reports.py), and comparing the two (pairs.py).

How Harvest rounds an amount that is made of hours and rates is not documented: the sum, each entry,
or not at all. Such a figure has these alternatives, and is equal if one of them is Harvest's; where
all entries come to whole cents they are the same number.
"""

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

import duckdb

from harvest_pipeline.equality.questions import Question
from harvest_pipeline.scope import Window

#: A subject's id and its currency.
Key = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Row:
    """The name of a subject, and the alternatives of each of its figures, the likeliest first."""

    name: str
    figures: dict[str, tuple[Decimal, ...]]


Rows = dict[Key, Row]

#: Hours as reports count them: after rounding, where Harvest tells (REFERENCE 9).
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
    """An amount rounded once, rounded for each entry, and exact."""
    total, each = f"coalesce(sum({value}), 0)", f"coalesce(sum(round({value}, 2)), 0)"
    return (
        f'round({total} + {plus}, 2) AS "{of}", {each} + {plus} AS "{of} each",'
        f' {total} + {plus} AS "{of} exact"'
    )


#: Hours of all entries; amounts of the billable ones, fixed-fee projects left out (REFERENCE 10).
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
#: The expense's own flag says what is billable, not its project's.
_EXPENSES = """
    SELECT {subject}, coalesce(client_currency, ''), max({name}), sum(total_cost) AS total_amount,
        sum(CASE WHEN billable THEN total_cost ELSE 0 END) AS billable_amount
    FROM expenses WHERE spent_date BETWEEN ? AND ? GROUP BY 1, 2
"""
#: Every billable project that has no fixed fee, also those without any time.
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
    FROM projects LEFT JOIN entries ON entries.project_id = id LEFT JOIN spent ON spent.project_id = id
    WHERE is_billable AND NOT is_fixed_fee GROUP BY 1, 2
"""  # noqa: E501
