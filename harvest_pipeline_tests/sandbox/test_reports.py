"""The reports against the records."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest

from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import truth
from harvest_pipeline_tests.sandbox.visitor import Visitor, plain

FIRST, LAST = "2026-01-01", "2026-11-20"
RANGE = {"from_": "20260101", "to": "20261120"}
SUBJECTS = {
    "clients": lambda row: row["client"]["id"],
    "projects": lambda row: row["project"]["id"],
    "tasks": lambda row: row["task"]["id"],
    "team": lambda row: row["user"]["id"],
    "categories": lambda row: row["expense_category"]["id"],
}
KEYS = {
    "clients": "client_id", "projects": "project_id", "tasks": "task_id", "team": "user_id",
    "categories": "expense_category_id",
}  # fmt: skip
NAMES = {about: key.replace("_id", "_name") for about, key in KEYS.items()}


def spent(sandbox: SandboxServer, kind: str) -> list[dict[str, Any]]:
    rows = plain(truth(sandbox.account.records, kind))
    return [row for row in rows if FIRST <= row["spent_date"] <= LAST]


@pytest.mark.parametrize("about", ["clients", "projects", "tasks", "team"])
@pytest.mark.parametrize("fixed", [False, True])
def test_time_reports_are_the_sums_of_the_entries(
    about: str, fixed: bool, sandbox: SandboxServer, administrator: Visitor
) -> None:
    projects = {p.id for p in sandbox.account.records.projects if p.is_fixed_fee}
    expected: dict[Any, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
    for entry in spent(sandbox, "time_entries"):
        sums = expected[SUBJECTS[about](entry), entry["client"]["currency"]]
        sums[0] += entry["rounded_hours"]
        if entry["billable"]:
            sums[1] += entry["rounded_hours"]
            if fixed or entry["project"]["id"] not in projects:
                sums[2] += entry["rounded_hours"] * entry["billable_rate"]
    params = {"include_fixed_fee": True} if fixed else {}
    rows = administrator.all(f"/reports/time/{about}", **RANGE, **params)
    found = {
        (row[KEYS[about]], row["currency"]): [
            row["total_hours"],
            row["billable_hours"],
            row["billable_amount"],
        ]
        for row in rows
    }
    assert found == expected
    assert len(found) == len(rows)
    names = [row[NAMES[about]].casefold() for row in rows]
    assert names == sorted(names)


@pytest.mark.parametrize("about", ["clients", "projects", "categories", "team"])
def test_expense_reports_are_the_sums_of_the_expenses(
    about: str, sandbox: SandboxServer, administrator: Visitor
) -> None:
    expected: dict[Any, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 2)
    for expense in spent(sandbox, "expenses"):
        sums = expected[SUBJECTS[about](expense), expense["client"]["currency"]]
        sums[0] += expense["total_cost"]
        sums[1] += expense["total_cost"] if expense["billable"] else 0
    found = {
        (row[KEYS[about]], row["currency"]): [row["total_amount"], row["billable_amount"]]
        for row in administrator.all(f"/reports/expenses/{about}", **RANGE)
    }
    assert found == expected


def test_the_uninvoiced_report_is_what_waits_to_be_billed(
    sandbox: SandboxServer, administrator: Visitor
) -> None:
    records = sandbox.account.records
    entries, expenses = spent(sandbox, "time_entries"), spent(sandbox, "expenses")
    invoiced: dict[int, Decimal] = defaultdict(Decimal)
    for line in truth(records, "invoice_line_items"):
        if line["project"] and line["kind"] == "Service":
            invoiced[line["project"]["id"]] += line["amount"]
    rows = {row["project_id"]: row for row in administrator.all("/reports/uninvoiced", **RANGE)}
    assert set(rows) == {p.id for p in records.projects if p.is_billable}
    for project in records.projects:
        if not project.is_billable:
            continue
        own = [e for e in entries if e["project"]["id"] == project.id]
        waiting = [e for e in own if e["billable"] and not e["is_billed"]]
        costs = sum(
            e["total_cost"]
            for e in expenses
            if e["project"]["id"] == project.id and e["billable"] and not e["is_billed"]
        )
        row = rows[project.id]
        assert row["total_hours"] == sum(e["rounded_hours"] for e in own)
        assert row["uninvoiced_hours"] == sum(e["rounded_hours"] for e in waiting)
        assert row["uninvoiced_expenses"] == costs
        if project.is_fixed_fee:
            assert project.fee is not None
            assert row["uninvoiced_amount"] == project.fee - invoiced[project.id]
        else:
            value = sum(e["rounded_hours"] * e["billable_rate"] for e in waiting)
            assert row["uninvoiced_amount"] == value + costs
    names = [(r["client_name"].casefold(), r["project_name"].casefold()) for r in rows.values()]
    assert names == sorted(names)
    fixed = {p.id for p in records.projects if p.is_billable and p.is_fixed_fee}
    without = administrator.all("/reports/uninvoiced", **RANGE, include_fixed_fee=False)
    assert {row["project_id"] for row in without} == set(rows) - fixed
    before = administrator.all("/reports/uninvoiced", from_="20250101", to="20250102")
    assert {row["uninvoiced_amount"] for row in before if row["project_id"] in fixed} == {0}


def test_the_budget_report_is_what_was_spent_of_each_budget(
    sandbox: SandboxServer, administrator: Visitor
) -> None:
    records = sandbox.account.records
    entries, expenses = truth(records, "time_entries"), truth(records, "expenses")
    assigned = {
        "task": truth(records, "task_assignments"),
        "user": truth(records, "user_assignments"),
    }
    rows = administrator.all("/reports/project_budget")
    assert {row["project_id"] for row in rows} == {
        p.id for p in records.projects if p.budget_by != "none"
    }
    for row in rows:
        project = records.projects.get(row["project_id"])
        assert project is not None
        days = ("2026-11-01", "2026-11-30") if row["budget_is_monthly"] else ("", "9999")
        mine = [
            each
            for each in entries
            if each["project"]["id"] == project.id
            if days[0] <= each["spent_date"].isoformat() <= days[1]
        ]
        whole = project.cost_budget if row["budget_by"] == "project_cost" else project.budget
        kind = {"task": "task", "task_fees": "task", "person": "user"}.get(row["budget_by"])
        if kind:
            parts = {
                each[kind]["id"]: each["budget"]
                for each in assigned[kind]
                if each["project"]["id"] == project.id and each["budget"] is not None
            }
            whole = sum(parts.values(), Decimal(0))
            mine = [each for each in mine if each[kind]["id"] in parts]
        if row["budget_by"] in ("project_cost", "task_fees"):
            spent = sum(e["rounded_hours"] * (e["billable_rate"] or 0) for e in mine)
        else:
            spent = sum(e["rounded_hours"] for e in mine)
        if row["budget_by"] == "project_cost" and project.cost_budget_include_expenses:
            spent += sum(e["total_cost"] for e in expenses if e["project"]["id"] == project.id)
        assert (row["budget"], row["budget_spent"]) == (whole, spent)
        assert row["budget_remaining"] == row["budget"] - row["budget_spent"]
    assert {row["budget_by"] for row in rows} == {
        "project", "project_cost", "task", "task_fees", "person"
    }  # fmt: skip
    assert any(row["budget_is_monthly"] and row["budget_spent"] for row in rows)
    names = [(row["client_name"].casefold(), row["project_name"].casefold()) for row in rows]
    assert names == sorted(names)
    active = administrator.all("/reports/project_budget", is_active=True)
    assert active == [row for row in rows if row["is_active"]]
    assert 0 < len(active) < len(rows)


def test_only_what_has_a_budget_is_spent_of_it(visitor: Visitor) -> None:
    account = visitor.sandbox.account
    records = account.records

    def row(project_id: int) -> tuple[Decimal, Decimal]:
        rows = visitor.all("/reports/project_budget")
        found = next(each for each in rows if each["project_id"] == project_id)
        return found["budget"], found["budget_spent"]

    def hours(entries: list[Any]) -> Decimal:
        return sum((entry.rounded_hours for entry in entries), Decimal(0))

    project = next(p for p in records.projects if p.budget_by == "person")
    account.change("projects", project.id, budget_is_monthly=False)
    entries = [entry for entry in records.time_entries if entry.project.id == project.id]
    people = [each for each in records.user_assignments if each.project.id == project.id]
    first = next(each for each in people if any(e.user.id == each.user.id for e in entries))
    others = [entry for entry in entries if entry.user.id != first.user.id]
    assert row(project.id) == (60 * len(people), hours(entries))
    account.change("user_assignments", first.id, budget=None)
    assert row(project.id) == (60 * (len(people) - 1), hours(others))
    account.change("user_assignments", first.id, budget=0)
    assert row(project.id) == (60 * (len(people) - 1), hours(entries))
    for entry in others:
        account.change("time_entries", entry.id, budgeted=False)
    assert row(project.id)[1] == hours(entries) - hours(others)


def test_project_names_carry_the_code_only_if_there_is_one(administrator: Visitor) -> None:
    names = [row["project_name"] for row in administrator.all("/reports/time/projects", **RANGE)]
    assert "Internal" in names
    assert any(name.startswith("[") for name in names)
    uninvoiced = administrator.all("/reports/uninvoiced", **RANGE)
    assert not any(row["project_name"].startswith("[") for row in uninvoiced)


def test_reports_are_paged_by_number(sandbox: SandboxServer, administrator: Visitor) -> None:
    whole = administrator.all("/reports/time/team", **RANGE)
    pages = administrator.pages("/reports/time/team", **RANGE, per_page=4)
    assert [row for page in pages for row in page["results"]] == whole
    assert pages[1]["links"]["previous"] == (
        f"{sandbox.api_url}/reports/time/team?from=20260101&page=1&per_page=4&to=20261120"
    )


@pytest.mark.parametrize("path", ["time/clients", "expenses/team", "uninvoiced"])
def test_the_range_of_a_report_is_checked(path: str, administrator: Visitor) -> None:
    def status(**params: str) -> int:
        return administrator.get(f"/reports/{path}", **params).status_code

    assert status(from_="20251120", to="20261120") == 200
    assert status(from_="20251119", to="20261120") == 422
    assert status(from_="20261101") == status(to="20261120") == status() == 422
    assert status(from_="2026-11-01", to="2026-11-20") == 200
    assert status(from_="20261301", to="20261120") == 422
    upside_down = administrator.read(f"/reports/{path}", from_="20261120", to="20261101")
    assert upside_down["results"] == []
