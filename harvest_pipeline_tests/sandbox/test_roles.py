"""What managers and members see."""

from typing import Any

import pytest

from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import truth
from harvest_pipeline_tests.sandbox.visitor import Visitor

RATES = {"billable_rate", "hourly_rate", "default_hourly_rate", "cost_rate"}
RANGE = {"from_": "20251201", "to": "20261120"}


def keys(value: Any) -> set[str]:
    """All keys, at any depth."""
    if isinstance(value, dict):
        return set(value) | {key for part in value.values() for key in keys(part)}
    if isinstance(value, list):
        return {key for part in value for key in keys(part)}
    return set()


def test_roles_and_claims_are_those_that_harvest_documents(
    administrator: Visitor, manager: Visitor, member: Visitor
) -> None:
    claims = administrator.read("/users/me")["permissions_claims"]
    assert len(claims) == 24
    found = [v.read("/users/me")["access_roles"] for v in (administrator, manager, member)]
    assert found == [["administrator"], ["manager"], ["member"]]
    assert claims == sorted(claims)
    assert manager.read("/users/me")["permissions_claims"] == [
        "expenses:read:managed",
        "expenses:write:own",
        "projects:read:managed",
        "timers:read:managed",
        "timers:write:own",
    ]
    assert member.read("/users/me")["permissions_claims"] == [
        "expenses:read:own",
        "expenses:write:own",
        "timers:read:own",
        "timers:write:own",
    ]


@pytest.mark.parametrize(
    "path",
    ["/company", "/clients", "/contacts", "/invoices", "/invoice_item_categories",
     "/expense_categories", "/roles", "/tasks", "/projects", "/task_assignments",
     "/user_assignments", "/users", "/reports/uninvoiced?from=20261101&to=20261120"],
)  # fmt: skip
def test_a_member_is_refused(path: str, member: Visitor) -> None:
    answer = member.get(path)
    assert answer.status_code == 403
    assert answer.text == '{"message":"Not authorized!"}'
    assert answer.headers["Hint"] == "Not authorized!"


@pytest.mark.parametrize("kind", ["time_entries", "expenses"])
def test_a_member_sees_only_the_own_records(
    kind: str, sandbox: SandboxServer, member: Visitor
) -> None:
    me = member.read("/users/me")["id"]
    rows = truth(sandbox.account.records, kind)
    expected = {row["id"] for row in rows if row["user"]["id"] == me}
    assert {record["id"] for record in member.all(f"/{kind}")} == expected
    assert 0 < len(expected) < len(rows)
    other = next(row for row in rows if row["user"]["id"] != me)
    assert member.get(f"/{kind}/{other['id']}").status_code == 404
    report = "time/team" if kind == "time_entries" else "expenses/team"
    assert {row["user_id"] for row in member.all(f"/reports/{report}", **RANGE)} == {me}


def test_a_manager_sees_teammates_and_managed_projects(
    sandbox: SandboxServer, manager: Visitor
) -> None:
    account = sandbox.account
    me = account.people["manager"]
    people = account.records.teammates[me]
    managed = {
        a.project.id
        for a in account.records.user_assignments
        if a.user.id == me and a.is_project_manager
    }
    for kind in ("time_entries", "expenses"):
        rows = truth(account.records, kind)
        expected = {
            row["id"]
            for row in rows
            if row["user"]["id"] in people | {me} or row["project"]["id"] in managed
        }
        assert {record["id"] for record in manager.all(f"/{kind}")} == expected
        assert 0 < len(expected) < len(rows)
    assert {p["id"] for p in manager.all("/projects")} == managed
    assert {a["project"]["id"] for a in manager.all("/task_assignments")} == managed
    assert {u["id"] for u in manager.all("/users")} == people
    assert len(manager.all("/invoice_item_categories")) == 2
    for path in ("/company", "/clients", "/contacts", "/invoices", "/tasks", "/roles"):
        assert manager.get(path).status_code == 403


def test_rates_are_left_out_not_null(
    administrator: Visitor, manager: Visitor, member: Visitor
) -> None:
    assert keys(administrator.read("/time_entries", per_page=5)) >= RATES - {"default_hourly_rate"}
    assert keys(administrator.read("/users")) >= {"default_hourly_rate", "cost_rate"}
    for visitor in (manager, member):
        for path in ("/time_entries", "/expenses", "/users/me"):
            assert not keys(visitor.read(path)) & RATES
    for path in ("/users", "/projects", "/task_assignments", "/user_assignments"):
        assert not keys(manager.read(path)) & RATES
    entry = member.read("/time_entries", per_page=1)["time_entries"][0]
    assert not keys(member.read(f"/time_entries/{entry['id']}")) & RATES


def test_money_of_time_reports_is_for_those_who_may_see_rates(
    administrator: Visitor, manager: Visitor, member: Visitor
) -> None:
    money = {"currency", "billable_amount"}
    assert keys(administrator.all("/reports/time/clients", **RANGE)) >= money
    for visitor in (manager, member):
        rows = visitor.all("/reports/time/clients", **RANGE)
        assert rows
        assert not keys(rows) & money
        clients = [row["client_id"] for row in rows]
        assert len(clients) == len(set(clients))


@pytest.mark.parametrize(
    ("extra", "path"),
    [
        ("client_and_task_manager", "/clients"),
        ("client_and_task_manager", "/contacts"),
        ("client_and_task_manager", "/tasks"),
        ("estimates_manager", "/estimates"),
        ("managed_projects_invoice_drafter", "/invoices"),
        ("managed_projects_invoice_manager", "/reports/uninvoiced?from=20261101&to=20261120"),
    ],
)
def test_an_extra_permission_opens_a_list_to_a_manager(
    extra: str, path: str, own_sandbox: SandboxServer
) -> None:
    manager = Visitor(own_sandbox, "manager")
    assert manager.get(path).status_code == 403
    account = own_sandbox.account
    roles = ["manager", extra, "billable_rates_manager"]
    account.change("users", account.people["manager"], access_roles=roles)
    assert manager.get(path).status_code == 200
    shown = keys(manager.read("/time_entries"))
    assert {"billable_rate", "hourly_rate"} <= shown
    assert "cost_rate" not in shown


def test_a_manager_of_nobody_and_nothing_is_refused(own_sandbox: SandboxServer) -> None:
    account = own_sandbox.account
    me = account.people["manager"]
    account.records.teammates[me] = set()
    for assignment in list(account.records.user_assignments):
        if assignment.user.id == me:
            account.change("user_assignments", assignment.id, is_project_manager=False)
    manager = Visitor(own_sandbox, "manager")
    for path in ("/projects", "/users", "/task_assignments", "/user_assignments"):
        assert manager.get(path).status_code == 403
    assert {entry["user"]["id"] for entry in manager.all("/time_entries")} == {me}


def test_only_an_administrator_sees_what_people_cost_and_whom_managers_see(
    sandbox: SandboxServer, administrator: Visitor, manager: Visitor
) -> None:
    people = sandbox.account.people
    of_manager = f"/users/{people['manager']}"
    for path in (f"{of_manager}/cost_rates", f"{of_manager}/teammates", "/roles"):
        assert administrator.get(path).status_code == 200
        assert manager.get(path).status_code == 403
    assert administrator.get(f"/users/{people['member']}/teammates").status_code == 422


def test_a_module_that_is_off_is_forbidden(own_sandbox: SandboxServer, visitor: Visitor) -> None:
    invoice = own_sandbox.account.records.invoices.ascending()[0].id
    own_sandbox.account.change_company(invoice_feature=False, expense_feature=False)
    for path in ("/invoices", f"/invoices/{invoice}", f"/invoices/{invoice}/payments",
                 "/invoice_item_categories", "/expenses", "/expense_categories"):  # fmt: skip
        assert visitor.get(path).status_code == 403
    assert visitor.get("/time_entries").status_code == 200
    assert visitor.read("/company")["invoice_feature"] is False


def test_budgets_are_shown_to_those_who_manage_the_project_or_to_everybody(
    sandbox: SandboxServer, administrator: Visitor, manager: Visitor, member: Visitor
) -> None:
    account = sandbox.account
    projects = {p.id: p for p in account.records.projects if p.budget_by != "none"}
    managed = {
        a.project.id
        for a in account.records.user_assignments
        if a.user.id == account.people["manager"] and a.is_project_manager
    }
    to_all = {key for key, project in projects.items() if project.show_budget_to_all}
    expected = {
        administrator: set(projects),
        manager: to_all | (managed & set(projects)),
        member: to_all,
    }
    assert to_all < expected[manager] < set(projects)
    for visitor, ids in expected.items():
        rows = visitor.all("/reports/project_budget")
        assert {row["project_id"] for row in rows} == ids
        for row in rows:
            in_money = row["budget_by"] in ("project_cost", "task_fees")
            shown = {"budget", "budget_spent", "budget_remaining"} & set(row)
            assert len(shown) == (0 if in_money and visitor is not administrator else 3)
