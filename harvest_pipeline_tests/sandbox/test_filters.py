"""Every documented filter, compared with the truth."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import truth
from harvest_pipeline_tests.sandbox.visitor import Visitor

Row = dict[str, Any]
Value = Callable[[Row], Any]


def identity(name: str) -> Value:
    return lambda row: row[name]["id"]


def plain(name: str) -> Value:
    return lambda row: row[name]


EQUAL: list[tuple[str, str, Value]] = [
    ("clients", "is_active", plain("is_active")),
    ("contacts", "client_id", identity("client")),
    ("invoices", "client_id", identity("client")),
    ("invoices", "state", plain("state")),
    ("expenses", "user_id", identity("user")),
    ("expenses", "client_id", identity("client")),
    ("expenses", "project_id", identity("project")),
    ("expenses", "is_billed", plain("is_billed")),
    ("expenses", "approval_status", plain("approval_status")),
    ("expense_categories", "is_active", plain("is_active")),
    ("tasks", "is_active", plain("is_active")),
    ("time_entries", "user_id", identity("user")),
    ("time_entries", "client_id", identity("client")),
    ("time_entries", "project_id", identity("project")),
    ("time_entries", "task_id", identity("task")),
    ("time_entries", "is_billed", plain("is_billed")),
    ("time_entries", "is_running", plain("is_running")),
    ("time_entries", "approval_status", plain("approval_status")),
    ("user_assignments", "user_id", identity("user")),
    ("user_assignments", "is_active", plain("is_active")),
    ("task_assignments", "is_active", plain("is_active")),
    ("projects", "is_active", plain("is_active")),
    ("projects", "client_id", identity("client")),
    ("users", "is_active", plain("is_active")),
]
SINCE = (
    "clients", "contacts", "invoices", "invoice_item_categories", "expenses", "expense_categories",
    "tasks", "time_entries", "user_assignments", "task_assignments", "projects", "users",
)  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "value"), EQUAL)
def test_a_filter_lets_through_exactly_what_it_says(
    kind: str, name: str, value: Value, sandbox: SandboxServer, administrator: Visitor
) -> None:
    rows = truth(sandbox.account.records, kind)
    wanted = {value(row) for row in rows}
    assert len(wanted) > 1, "the filter could not be told from none"
    for one in wanted:
        found = administrator.all(f"/{kind}", per_page=2000, **{name: one})
        expected = {row["id"] for row in rows if value(row) == one}
        assert {record["id"] for record in found} == expected
        assert len(found) == len(expected)


@pytest.mark.parametrize("kind", SINCE)
def test_updated_since_includes_that_instant(
    kind: str, sandbox: SandboxServer, administrator: Visitor
) -> None:
    rows = truth(sandbox.account.records, kind)
    instants = sorted({row["updated_at"] for row in rows})
    for instant in {instants[0], instants[len(instants) // 2], instants[-1]}:
        found = administrator.all(f"/{kind}", per_page=2000, updated_since=instant)
        expected = {row["id"] for row in rows if row["updated_at"] >= instant}
        assert {record["id"] for record in found} == expected
    after = instants[-1] + timedelta(seconds=1)
    assert administrator.all(f"/{kind}", updated_since=after) == []


def test_updated_since_takes_an_offset_and_a_bare_day(
    sandbox: SandboxServer, administrator: Visitor
) -> None:
    expected = administrator.read("/time_entries", updated_since="2026-11-18T00:00:00Z")
    for text in ("2026-11-18T02:00:00+02:00", "2026-11-18", "2026-11-18T00:00:00"):
        found = administrator.read("/time_entries", updated_since=text)
        assert found["total_entries"] == expected["total_entries"] > 0


@pytest.mark.parametrize("kind", ["messages", "payments"])
def test_updated_since_narrows_the_messages_and_payments_of_an_invoice(
    kind: str, sandbox: SandboxServer, administrator: Visitor
) -> None:
    records = sandbox.account.records
    tables = records.messages if kind == "messages" else records.payments
    invoice_id, table = max(tables.items(), key=lambda item: len(item[1]))
    latest = max(record.updated_at for record in table)
    found = administrator.all(f"/invoices/{invoice_id}/{kind}", updated_since=latest)
    expected = {record.id for record in table if record.updated_at >= latest}
    assert {record["id"] for record in found} == expected
    assert len(expected) < len(table)


@pytest.mark.parametrize("kind", ["user_assignments", "task_assignments"])
def test_the_assignments_of_a_project_are_its_own(
    kind: str, sandbox: SandboxServer, administrator: Visitor
) -> None:
    rows = truth(sandbox.account.records, kind)
    for project in sandbox.account.records.projects:
        for flags in ({}, {"is_active": True}, {"is_active": False}):
            found = administrator.all(f"/projects/{project.id}/{kind}", **flags)
            expected = {
                row["id"]
                for row in rows
                if row["project"]["id"] == project.id
                and row["is_active"] == flags.get("is_active", row["is_active"])
            }
            assert {record["id"] for record in found} == expected
    assert administrator.get(f"/projects/1/{kind}").status_code == 404


def test_the_people_of_a_project_can_be_narrowed_to_one(
    sandbox: SandboxServer, administrator: Visitor
) -> None:
    row = truth(sandbox.account.records, "user_assignments")[5]
    path = f"/projects/{row['project']['id']}/user_assignments"
    found = administrator.all(path, user_id=row["user"]["id"])
    assert [record["id"] for record in found] == [row["id"]]


def test_invoices_of_a_project_are_those_with_a_line_of_it(
    sandbox: SandboxServer, administrator: Visitor
) -> None:
    rows = truth(sandbox.account.records, "invoices")
    for project in sandbox.account.records.projects:
        expected = {
            row["id"]
            for row in rows
            if any((line["project"] or {}).get("id") == project.id for line in row["line_items"])
        }
        found = administrator.all("/invoices", project_id=project.id)
        assert {record["id"] for record in found} == expected


def test_entries_are_found_by_their_external_reference(
    sandbox: SandboxServer, administrator: Visitor
) -> None:
    rows = truth(sandbox.account.records, "time_entries")
    key = next(r["external_reference"]["id"] for r in rows if r["external_reference"])
    found = administrator.all("/time_entries", external_reference_id=key)
    expected = {r["id"] for r in rows if (r["external_reference"] or {}).get("id") == key}
    assert {record["id"] for record in found} == expected


@pytest.mark.parametrize(
    ("kind", "day"),
    [("time_entries", "spent_date"), ("expenses", "spent_date"), ("invoices", "issue_date")],
)
@pytest.mark.parametrize("form", ["%Y-%m-%d", "%Y%m%d"])
def test_from_and_to_are_inclusive_in_both_forms(
    kind: str, day: str, form: str, sandbox: SandboxServer, administrator: Visitor
) -> None:
    rows = truth(sandbox.account.records, kind)
    days: list[date] = sorted({row[day] for row in rows})
    first, last = days[len(days) // 3], days[len(days) // 2]
    for begin, end in ((first, last), (first, None), (None, last), (first, first)):
        asked = {"from_": begin, "to": end}
        params = {name: text.strftime(form) for name, text in asked.items() if text}
        found = administrator.all(f"/{kind}", per_page=2000, **params)
        expected = {
            row["id"] for row in rows if (begin or days[0]) <= row[day] <= (end or days[-1])
        }
        assert {record["id"] for record in found} == expected


def test_filters_are_joined_by_and(sandbox: SandboxServer, administrator: Visitor) -> None:
    rows = truth(sandbox.account.records, "time_entries")
    entry = next(row for row in rows if row["is_billed"])
    found = administrator.all(
        "/time_entries",
        user_id=entry["user"]["id"],
        project_id=entry["project"]["id"],
        is_billed=True,
        to=entry["spent_date"],
    )
    expected = {
        row["id"]
        for row in rows
        if row["user"]["id"] == entry["user"]["id"]
        and row["project"]["id"] == entry["project"]["id"]
        and row["is_billed"]
        and row["spent_date"] <= entry["spent_date"]
    }
    assert {record["id"] for record in found} == expected


def test_a_range_upside_down_is_empty(administrator: Visitor) -> None:
    for path in ("/time_entries", "/expenses", "/invoices"):
        page = administrator.read(path, from_="2026-11-20", to="2026-11-01")
        assert (page["total_entries"], page["total_pages"]) == (0, 1)


def test_unknown_parameters_change_nothing(administrator: Visitor) -> None:
    asked = administrator.read("/roles", updated_since="2099-01-01T00:00:00Z", colour="blue")
    assert asked["roles"] == administrator.read("/roles")["roles"]
    assert "colour=blue" in asked["links"]["first"]


@pytest.mark.parametrize(
    ("path", "name", "value"),
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
def test_a_value_that_is_none_is_refused(
    path: str, name: str, value: str, administrator: Visitor
) -> None:
    answer = administrator.get(path, **{name + "_": value})
    assert answer.status_code == 422
    assert name in answer.json()["message"]


def test_an_id_that_does_not_exist_gives_an_empty_list(administrator: Visitor) -> None:
    assert administrator.all("/expenses", project_id=1) == []


def test_instants_are_whole_seconds_in_utc(sandbox: SandboxServer) -> None:
    instants: list[datetime] = [
        row["updated_at"] for row in truth(sandbox.account.records, "time_entries")
    ]
    assert all(i.microsecond == 0 and i.utcoffset() == timedelta() for i in instants)
