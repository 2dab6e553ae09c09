"""Every documented filter, compared with the truth."""

from datetime import date, timedelta
from functools import reduce
from typing import Any

import pytest

from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import truth
from harvest_pipeline_tests.sandbox.visitor import Visitor

Row = dict[str, Any]

#: By list: each filter and the field that it looks at.
EQUAL = {
    "clients": {"is_active": "is_active"},
    "contacts": {"client_id": "client.id"},
    "invoices": {"client_id": "client.id", "state": "state"},
    "expenses": {
        "user_id": "user.id", "client_id": "client.id", "project_id": "project.id",
        "is_billed": "is_billed", "approval_status": "approval_status",
    },
    "expense_categories": {"is_active": "is_active"},
    "tasks": {"is_active": "is_active"},
    "time_entries": {
        "user_id": "user.id", "client_id": "client.id", "project_id": "project.id",
        "task_id": "task.id", "is_billed": "is_billed", "is_running": "is_running",
        "approval_status": "approval_status",
    },
    "user_assignments": {"user_id": "user.id", "is_active": "is_active"},
    "task_assignments": {"is_active": "is_active"},
    "projects": {"is_active": "is_active", "client_id": "client.id"},
    "users": {"is_active": "is_active"},
}  # fmt: skip


def value(row: Row, field: str) -> Any:
    return reduce(lambda part, name: (part or {}).get(name), field.split("."), row)


def found(visitor: Visitor, path: str, **params: Any) -> list[int]:
    return sorted(record["id"] for record in visitor.all(path, per_page=2000, **params))


@pytest.mark.parametrize(
    ("kind", "name", "field"), [(k, n, f) for k, fs in EQUAL.items() for n, f in fs.items()]
)
def test_a_filter_lets_through_exactly_what_it_says(
    kind: str, name: str, field: str, sandbox: SandboxServer, administrator: Visitor
) -> None:
    rows = truth(sandbox.account.records, kind)
    wanted = {value(row, field) for row in rows}
    assert len(wanted) > 1, "the filter could not be told from none"
    for one in wanted:
        expected = sorted(row["id"] for row in rows if value(row, field) == one)
        assert found(administrator, f"/{kind}", **{name: one}) == expected


@pytest.mark.parametrize("kind", [*EQUAL, "invoice_item_categories"])
def test_updated_since_includes_that_instant(
    kind: str, sandbox: SandboxServer, administrator: Visitor
) -> None:
    rows = truth(sandbox.account.records, kind)
    instants = sorted({row["updated_at"] for row in rows})
    for instant in {instants[0], instants[len(instants) // 2], instants[-1]}:
        expected = sorted(row["id"] for row in rows if row["updated_at"] >= instant)
        assert found(administrator, f"/{kind}", updated_since=instant) == expected
    after = instants[-1] + timedelta(seconds=1)
    assert found(administrator, f"/{kind}", updated_since=after) == []


def test_updated_since_takes_an_offset_and_a_bare_day(administrator: Visitor) -> None:
    expected = found(administrator, "/time_entries", updated_since="2026-11-18T00:00:00Z")
    assert expected
    for text in ("2026-11-18T02:00:00+02:00", "2026-11-18", "2026-11-18T00:00:00"):
        assert found(administrator, "/time_entries", updated_since=text) == expected


@pytest.mark.parametrize("kind", ["messages", "payments"])
def test_updated_since_narrows_the_messages_and_payments_of_an_invoice(
    kind: str, sandbox: SandboxServer, administrator: Visitor
) -> None:
    tables = getattr(sandbox.account.records, kind)
    invoice_id, table = max(tables.items(), key=lambda item: len(item[1]))
    latest = max(record.updated_at for record in table)
    expected = sorted(record.id for record in table if record.updated_at >= latest)
    path = f"/invoices/{invoice_id}/{kind}"
    assert found(administrator, path, updated_since=latest) == expected
    assert len(expected) < len(table)


@pytest.mark.parametrize("kind", ["user_assignments", "task_assignments"])
def test_the_assignments_of_a_project_are_its_own(
    kind: str, sandbox: SandboxServer, administrator: Visitor
) -> None:
    rows = truth(sandbox.account.records, kind)
    for project in sandbox.account.records.projects:
        own = [row for row in rows if row["project"]["id"] == project.id]
        path = f"/projects/{project.id}/{kind}"
        assert found(administrator, path) == [row["id"] for row in own]
        active = [row["id"] for row in own if row["is_active"]]
        assert found(administrator, path, is_active=True) == active
        if kind == "user_assignments":
            person = own[0]["user"]["id"]
            assert found(administrator, path, user_id=person) == [own[0]["id"]]
    assert administrator.get(f"/projects/1/{kind}").status_code == 404


def test_invoices_of_a_project_are_those_with_a_line_of_it(
    sandbox: SandboxServer, administrator: Visitor
) -> None:
    rows = truth(sandbox.account.records, "invoices")
    for project in sandbox.account.records.projects:
        expected = sorted(
            row["id"]
            for row in rows
            if any(value(line, "project.id") == project.id for line in row["line_items"])
        )
        assert found(administrator, "/invoices", project_id=project.id) == expected


@pytest.mark.parametrize(
    ("kind", "day"),
    [("time_entries", "spent_date"), ("expenses", "spent_date"), ("invoices", "issue_date")],
)
def test_from_and_to_are_inclusive_in_both_forms(
    kind: str, day: str, sandbox: SandboxServer, administrator: Visitor
) -> None:
    rows = truth(sandbox.account.records, kind)
    days: list[date] = sorted({row[day] for row in rows})
    first, last = days[len(days) // 3], days[len(days) // 2]
    for begin, end in ((first, last), (first, None), (None, last), (first, first)):
        within = [r for r in rows if (begin or days[0]) <= r[day] <= (end or days[-1])]
        for form in ("%Y-%m-%d", "%Y%m%d"):
            asked = {"from_": begin, "to": end}
            params = {name: text.strftime(form) for name, text in asked.items() if text}
            expected = sorted(row["id"] for row in within)
            assert found(administrator, f"/{kind}", **params) == expected
    assert found(administrator, f"/{kind}", from_=last, to=first) == []


def test_filters_are_joined_by_and(sandbox: SandboxServer, administrator: Visitor) -> None:
    rows = truth(sandbox.account.records, "time_entries")
    one = next(row for row in rows if row["external_reference"])
    fields = {
        "user_id": "user.id",
        "project_id": "project.id",
        "is_billed": "is_billed",
        "external_reference_id": "external_reference.id",
    }
    for count in range(1, 5):
        some = list(fields.items())[-count:]
        params = {name: value(one, field) for name, field in some}
        expected = [
            row["id"]
            for row in rows
            if all(value(row, field) == value(one, field) for _, field in some)
            and row["spent_date"] <= one["spent_date"]
        ]
        asked = found(administrator, "/time_entries", to=one["spent_date"], **params)
        assert asked == sorted(expected)


def test_unknown_parameters_and_ids_are_no_error(administrator: Visitor) -> None:
    asked = administrator.read("/roles", updated_since="2099-01-01T00:00:00Z", colour="blue")
    assert asked["roles"] == administrator.read("/roles")["roles"]
    assert "colour=blue" in asked["links"]["first"]
    assert administrator.all("/expenses", project_id=1) == []


@pytest.mark.parametrize(
    ("path", "name", "text"),
    [
        ("/invoices", "state", "late"),
        ("/time_entries", "approval_status", "rejected"),
        ("/time_entries", "from", "yesterday"),
        ("/time_entries", "to", "2026-02-30"),
        ("/time_entries", "updated_since", "last week"),
        ("/time_entries", "user_id", "1,2"),
        ("/time_entries", "user_id", "9" * 4000),
        ("/clients", "is_active", "maybe"),
    ],
)
def test_an_impossible_value_is_refused(
    path: str, name: str, text: str, administrator: Visitor
) -> None:
    answer = administrator.get(path, **{name + "_": text})
    assert answer.status_code == 422
    assert name in answer.json()["message"]
