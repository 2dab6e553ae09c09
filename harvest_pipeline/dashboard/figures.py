"""The rows that the dashboard shows: a query over the models for each of its parts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb

#: Months and weeks that are shown, the present ones included.
MONTHS = 13
WEEKS = 13
#: The weeks that the figures on top are of: the last ones that are over.
RECENT_WEEKS = 4

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Figures:
    """What is shown: the rows of each part by its name, the day on which time entries were last
    read, the currency that most was earned in, and the last nightly comparison, if there was one.
    Amounts, hours and shares are floats, days are ISO texts."""

    parts: dict[str, Rows]
    today: date
    currency: str


@dataclass(frozen=True, slots=True)
class Compared:
    """What the last comparison with Harvest's own reports found, in a sentence. `kind` is equal,
    different, or anything else: nothing is proven."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the dashboard: the models whose numbers it shows, the most important first, the
    columns that the page filters it by, and its query. `recent` are the last weeks that are over.
    """

    models: tuple[str, ...]
    filters: tuple[str, ...]
    sql: str


#: By name. The parameters are $today, $weeks and $recent (days), and $months (the first day).
PARTS = {
    "hours": Part(
        ("time_daily", "person_days"),
        ("client", "project", "person"),
        """
        SELECT
            person_days.week,
            time_daily.client_name AS client,
            time_daily.project_name AS project,
            time_daily.user_name AS person,
            sum(time_daily.billable_hours) AS billable,
            sum(time_daily.rounded_hours - time_daily.billable_hours) AS "not billable",
            person_days.week BETWEEN $today - 6 - $recent AND $today - 7 AS recent
        FROM time_daily
        INNER JOIN person_days
            ON person_days.user_id = time_daily.user_id AND person_days.day = time_daily.day
        WHERE person_days.week > $today - $weeks AND time_daily.day <= $today
        GROUP BY ALL
        ORDER BY ALL
        """,
    ),
    "utilisation": Part(
        ("utilisation",),
        ("person",),
        """
        SELECT
            week,
            user_name AS person,
            hours,
            billable_hours AS billable,
            capacity_hours AS capacity,
            utilisation,
            week BETWEEN $today - 6 - $recent AND $today - 7 AS recent
        FROM utilisation
        WHERE week > $today - $weeks AND week <= $today - 7 AND capacity_hours > 0
        ORDER BY ALL
        """,
    ),
    "profit": Part(
        ("profitability",),
        ("client", "project", "currency"),
        """
        SELECT
            month,
            client_name AS client,
            project_name AS project,
            currency,
            revenue,
            cost,
            margin
        FROM profitability
        WHERE month >= $months AND month <= $today AND margin IS NOT NULL
        ORDER BY ALL
        """,
    ),
    "unknown": Part(
        ("profitability",),
        ("client", "project", "currency"),
        """
        SELECT
            client_name AS client,
            project_name AS project,
            currency,
            string_agg(DISTINCT reason, '; ') AS reason
        FROM profitability
        WHERE month >= $months AND month <= $today AND margin IS NULL
        GROUP BY client_name, project_name, currency
        ORDER BY ALL
        """,
    ),
    "unbilled": Part(
        ("unbilled_work",),
        ("client", "project", "currency"),
        """
        SELECT
            client_name AS client,
            project_name AS project,
            currency,
            month,
            hours,
            expenses,
            amount,
            oldest_day,
            age_days,
            CASE
                WHEN age_days IS NULL THEN 'fixed fee'
                WHEN age_days <= 30 THEN '0–30'
                WHEN age_days <= 60 THEN '31–60'
                WHEN age_days <= 90 THEN '61–90'
                ELSE '90+'
            END AS age
        FROM unbilled_work
        WHERE amount <> 0
        ORDER BY amount DESC, project_id, month
        """,
    ),
    "receivables": Part(
        ("receivables",),
        ("client", "currency"),
        """
        SELECT
            client_name AS client,
            invoice_number AS number,
            currency,
            issue_date,
            due_date,
            due_amount AS due,
            days_past_due,
            bucket,
            expected_on
        FROM receivables
        ORDER BY days_past_due DESC, due_amount DESC, invoice_id
        """,
    ),
    "budgets": Part(
        ("budget_burn",),
        ("client", "project"),
        """
        SELECT
            client_name AS client,
            project_name AS project,
            unit,
            is_monthly,
            budget,
            spent,
            remaining,
            spent_percent,
            runs_out_on,
            CASE
                WHEN is_over THEN 'over'
                WHEN runs_out_on <= $today + 30 THEN 'within 30 days'
                WHEN runs_out_on IS NOT NULL THEN 'later'
                ELSE 'not at this pace'
            END AS state
        FROM budget_burn
        WHERE day = (SELECT max(day) FROM budget_burn) AND (spent_on_day <> 0 OR daily_pace <> 0)
        ORDER BY is_over DESC, runs_out_on, spent_percent DESC, project_id
        """,
    ),
    "timesheets": Part(
        ("timesheets",),
        ("person",),
        """
        SELECT
            week,
            user_name AS person,
            hours,
            missing_days AS missing,
            late_entries AS late,
            week BETWEEN $today - 6 - $recent AND $today - 7 AS recent
        FROM timesheets
        WHERE week > $today - $weeks AND week <= $today - 7 AND capacity_hours > 0
        ORDER BY ALL
        """,
    ),
}


def figures(connection: duckdb.DuckDBPyConnection, names: Iterable[str]) -> Figures:
    """The figures of these parts, whose models exist. Raises duckdb.Error."""
    (today,) = connection.execute(
        "SELECT coalesce(max(local_day(as_of)), current_date) FROM freshness"
        " WHERE record = 'time_entries'"
    ).fetchall()[0]
    months = today.year * 12 + today.month - MONTHS
    values = {
        "today": today,
        "weeks": WEEKS * 7,
        "recent": RECENT_WEEKS * 7,
        "months": date(months // 12, months % 12 + 1, 1),
    }
    parts: dict[str, Rows] = {}
    for name in names:
        sql = PARTS[name].sql
        used = {key: value for key, value in values.items() if f"${key}" in sql}
        cursor = connection.execute(sql, used)
        columns = [each[0] for each in cursor.description or ()]
        parts[name] = [
            dict(zip(columns, map(_plain, row), strict=True)) for row in cursor.fetchall()
        ]
    return Figures(parts, today, _main_currency(parts))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    return value


def _main_currency(parts: dict[str, Rows]) -> str:
    """The currency that most rows are in; the amounts of two cannot be compared."""
    every = [row["currency"] for name in ("profit", "receivables") for row in parts.get(name, ())]
    return max(sorted(set(every)), key=every.count, default="")
