"""The time, expense, uninvoiced and budget reports, computed from the records on request."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from decimal import Decimal
from operator import attrgetter
from typing import Any

from harvest_pipeline.sandbox.billing import ZERO, cents, exact, total
from harvest_pipeline.sandbox.model import Expense, Project, TimeEntry
from harvest_pipeline.sandbox.records import Records

Row = dict[str, Any]
#: A column of a report, and the field that it is read from.
Columns = dict[str, str]

_CLIENT = {"client_id": "client.id", "client_name": "client.name"}
_PROJECT = {"project_id": "project.id", "project_name": "project.label"}
_TASK = {"task_id": "task.id", "task_name": "task.name"}
_CATEGORY = {
    "expense_category_id": "expense_category.id",
    "expense_category_name": "expense_category.name",
}
_PERSON = {"user_id": "user.id", "user_name": "user.name"}

#: By the last part of the path: the subject of a row, and the column that rows are sorted by.
TIME_SUBJECTS: dict[str, tuple[Columns, str]] = {
    "clients": (_CLIENT, "client_name"),
    "projects": ({**_PROJECT, **_CLIENT}, "project_name"),
    "tasks": (_TASK, "task_name"),
    "team": (_PERSON, "user_name"),
}
EXPENSE_SUBJECTS: dict[str, tuple[Columns, str]] = {
    "clients": (_CLIENT, "client_name"),
    "projects": ({**_CLIENT, **_PROJECT}, "project_name"),
    "categories": (_CATEGORY, "expense_category_name"),
    "team": (_PERSON, "user_name"),
}


def time_rows(
    records: Records,
    entries: Iterable[TimeEntry],
    about: str,
    *,
    with_money: bool,
    include_fixed_fee: bool,
) -> list[Row]:
    """One row per subject and currency; without money, one per subject.

    The hours are the rounded ones. Hours of fixed-fee projects count, their amounts only with
    `include_fixed_fee`.
    """
    subject, name = TIME_SUBJECTS[about]
    groups = _groups(records, entries, subject, by_currency=with_money)
    fixed = {project.id for project in records.projects if project.is_fixed_fee}
    rows: list[Row] = []
    for columns, currency, group in groups:
        billable = [entry for entry in group if entry.billable]
        row: Row = {
            **columns,
            "total_hours": total(entry.rounded_hours for entry in group),
            "billable_hours": total(entry.rounded_hours for entry in billable),
        }
        if with_money:
            priced = [e for e in billable if include_fixed_fee or e.project.id not in fixed]
            row["currency"] = currency
            row["billable_amount"] = _value(priced)
        if about == "team":
            user = records.users.get(columns["user_id"])
            row["weekly_capacity"] = 0 if user is None else user.weekly_capacity
            row["avatar_url"] = "" if user is None else user.avatar_url
        rows.append(row)
    return _sorted(rows, name)


def expense_rows(records: Records, expenses: Iterable[Expense], about: str) -> list[Row]:
    """One row per subject and currency; billable is what the expense itself says."""
    subject, name = EXPENSE_SUBJECTS[about]
    rows = [
        {
            **columns,
            "total_amount": total(e.total_cost for e in group),
            "billable_amount": total(e.total_cost for e in group if e.billable),
            "currency": currency,
        }
        for columns, currency, group in _groups(records, expenses, subject, by_currency=True)
    ]
    return _sorted(rows, name)


def uninvoiced_rows(
    records: Records,
    projects: Iterable[Project],
    first: date,
    last: date,
    *,
    include_fixed_fee: bool,
) -> list[Row]:
    """One row per billable project, including those without any time."""
    entries: dict[int, list[TimeEntry]] = defaultdict(list)
    for entry in records.time_entries.between(first, last):
        entries[entry.project.id].append(entry)
    expenses: dict[int, list[Expense]] = defaultdict(list)
    for expense in records.expenses.between(first, last):
        if expense.billable and not expense.is_billed:
            expenses[expense.project.id].append(expense)
    rows: list[Row] = []
    for project in projects:
        if not project.is_billable or (project.is_fixed_fee and not include_fixed_fee):
            continue
        time = entries[project.id]
        waiting = [entry for entry in time if entry.billable and not entry.is_billed]
        spent = total(expense.total_cost for expense in expenses[project.id])
        if project.is_fixed_fee:
            amount = _rest_of_fee(records, project, last)
        else:
            amount = cents(_value(waiting) + spent)
        rows.append(
            {
                "client_id": project.client.id,
                "client_name": project.client.name,
                "project_id": project.id,
                "project_name": project.name,
                "currency": project.client.currency,
                "total_hours": total(entry.rounded_hours for entry in time),
                "uninvoiced_hours": total(entry.rounded_hours for entry in waiting),
                "uninvoiced_expenses": spent,
                "uninvoiced_amount": amount,
            }
        )
    return sorted(rows, key=lambda r: (r["client_name"].casefold(), r["project_name"].casefold()))


def budget_rows(
    records: Records, projects: Iterable[Project], today: date, *, with_money: bool
) -> list[Row]:
    """One row per project that has a budget; `today` is the day whose month is the current one.

    The budget is in money for fees and in hours otherwise. Budgets of tasks and of people are
    added up, and only what was spent by those that have one counts. Without `with_money` the
    figures of money budgets are left out.
    """
    entries: dict[int, list[TimeEntry]] = defaultdict(list)
    for entry in records.time_entries:
        if entry.budgeted:
            entries[entry.project.id].append(entry)
    expenses: dict[int, list[Expense]] = defaultdict(list)
    for expense in records.expenses:
        expenses[expense.project.id].append(expense)
    month = (today.year, today.month)

    def counts(record: TimeEntry | Expense, project: Project) -> bool:
        day = record.spent_date
        return not project.budget_is_monthly or (day.year, day.month) == month

    rows: list[Row] = []
    for project in projects:
        if project.budget_by == "none":
            continue
        row: Row = {
            "project_id": project.id,
            "project_name": project.name,
            "client_id": project.client.id,
            "client_name": project.client.name,
            "budget_is_monthly": project.budget_is_monthly,
            "budget_by": project.budget_by,
            "is_active": project.is_active,
        }
        in_money = project.budget_by in ("project_cost", "task_fees")
        if with_money or not in_money:
            budget, budgeted = _budget(records, project)
            spent = [e for e in entries[project.id] if counts(e, project) and budgeted(e)]
            amount = _value(spent) if in_money else total(e.rounded_hours for e in spent)
            if project.budget_by == "project_cost" and project.cost_budget_include_expenses:
                costs = (e.total_cost for e in expenses[project.id] if counts(e, project))
                amount = cents(amount + total(costs))
            row["budget"] = budget
            row["budget_spent"] = amount
            row["budget_remaining"] = exact(budget - amount)
        rows.append(row)
    return sorted(rows, key=lambda r: (r["client_name"].casefold(), r["project_name"].casefold()))


def _budget(records: Records, project: Project) -> tuple[Decimal, Callable[[TimeEntry], bool]]:
    """The budget of a project, and which of its entries are spent of it."""
    match project.budget_by:
        case "project" | "project_cost":
            whole = project.budget if project.budget_by == "project" else project.cost_budget
            return whole or ZERO, lambda entry: True
        case "task" | "task_fees":
            tasks = {
                each.task.id: each.budget
                for each in records.task_assignments
                if each.project.id == project.id and each.budget is not None
            }
            return total(tasks.values()), lambda entry: entry.task.id in tasks
        case _:
            people = {
                each.user.id: each.budget
                for each in records.user_assignments
                if each.project.id == project.id and each.budget is not None
            }
            return total(people.values()), lambda entry: entry.user.id in people


def _rest_of_fee(records: Records, project: Project, last: date) -> Any:
    """The fee minus the time lines of invoices, including drafts; 0 before the project begins."""
    if last < (project.starts_on or project.created_at.date()):
        return ZERO
    invoiced = [
        line.amount
        for invoice in records.invoices
        for line in invoice.line_items
        if line.project is not None and line.project.id == project.id and line.kind == "Service"
    ]
    return cents((project.fee or ZERO) - total(invoiced))


def _value(entries: list[TimeEntry]) -> Any:
    return cents(total(entry.rounded_hours * (entry.billable_rate or ZERO) for entry in entries))


def _groups(
    records: Records, rows: Iterable[Any], columns: Columns, *, by_currency: bool
) -> Iterator[tuple[Row, str, list[Any]]]:
    """The rows of each subject (and currency), with the subject's columns."""
    groups: dict[tuple[Any, str], list[Any]] = defaultdict(list)
    identity = attrgetter(*columns.values())
    for record in rows:
        groups[identity(record), record.client.currency if by_currency else ""].append(record)
    for (values, currency), group in groups.items():
        row = dict(zip(columns, values, strict=True))
        if "user_id" in row:
            user = records.users.get(row["user_id"])
            row["is_contractor"] = user is not None and user.is_contractor
        yield row, currency, group


def _sorted(rows: list[Row], name: str) -> list[Row]:
    """In alphabetical order, the currencies of one subject one after another."""
    return sorted(rows, key=lambda row: (row[name].casefold(), row.get("currency", "")))
