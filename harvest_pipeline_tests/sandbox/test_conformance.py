"""Every record that the sandbox serves has exactly the keys, order and types of endpoints.yaml."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from harvest_pipeline.sandbox.generator.names import CLIENTS, HOME_CURRENCY, TIME_ZONES
from harvest_pipeline.sandbox.lists import LISTS
from harvest_pipeline_tests import reference
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.visitor import Visitor, records_of

LISTED = (
    "clients", "contacts", "invoices", "invoice_messages", "invoice_payments",
    "invoice_item_categories", "expenses", "expense_categories", "tasks", "time_entries",
    "user_assignments", "project_user_assignments", "task_assignments", "project_task_assignments",
    "projects", "roles", "users", "estimates", "estimate_messages", "estimate_item_categories",
    "billable_rates", "cost_rates", "teammates",
)  # fmt: skip
REPORTED = (
    "report_expenses_clients", "report_expenses_projects", "report_expenses_categories",
    "report_expenses_team", "report_time_clients", "report_time_projects", "report_time_tasks",
    "report_time_team", "report_uninvoiced", "report_project_budget",
)  # fmt: skip
MEMBERS = reference.endpoints()["pagination"]["envelope_members"]
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
TIME = re.compile(r"\d{1,2}:\d\d(am|pm)")


def paths(entry: dict[str, Any], sandbox: SandboxServer) -> list[str]:
    """The paths of a list; those below a parent once per parent."""
    records = sandbox.account.records
    path = entry["path"]
    if "{invoice_id}" in path:
        return [path.replace("{invoice_id}", str(i.id)) for i in records.invoices.ascending()]
    if "{estimate_id}" in path:
        return [path.replace("{estimate_id}", str(e.id)) for e in records.estimates.ascending()]
    if "{user_id}" in path:
        people = records.users.ascending()
        managers = [user for user in people if "manager" in user.access_roles]
        shown = managers if path.endswith("teammates") else people
        return [path.replace("{user_id}", str(user.id)) for user in shown]
    if "{project_id}" in path:
        return [path.replace("{project_id}", str(p.id)) for p in records.projects.ascending()]
    return [path]


def check(record: Any, fields: dict[str, Any], where: str) -> None:
    """All keys, in order, each of its type."""
    assert list(record) == list(fields), where
    for name, field in fields.items():
        check_value(record[name], field, f"{where}.{name}")


def check_value(value: Any, field: dict[str, Any], where: str) -> None:
    if value is None:
        assert field["nullable"], f"{where} is null"
        return
    kind = field["type"]
    if kind == "object":
        check(value, field["fields"], where)
    elif kind == "array":
        for part in value:
            if field["items"] == "object":
                check(part, field["fields"], f"{where}[]")
            else:
                check_value(part, {**field, "type": field["items"]}, f"{where}[]")
    else:
        assert matches(value, kind), f"{where} is {value!r}, not {kind}"
        choices = reference.endpoints()["enums"].get(field.get("enum"))
        if isinstance(choices, list):
            assert value in choices, f"{where} is {value!r}"


def matches(value: Any, kind: str) -> bool:
    match kind:
        case "integer" | "bigint":
            return type(value) is int
        case "decimal":
            # with a fraction, as real records are written
            return isinstance(value, Decimal)
        case "boolean":
            return type(value) is bool
        case "string":
            return isinstance(value, str)
        case "date":
            return date.fromisoformat(value).isoformat() == value
        case "datetime":
            return INSTANT.fullmatch(value) is not None and bool(datetime.fromisoformat(value))
        case "time":
            return TIME.fullmatch(value) is not None
        case _:
            raise AssertionError(kind)


@pytest.mark.parametrize("key", LISTED)
def test_every_record_of_a_list_is_as_the_reference_says(
    key: str, sandbox: SandboxServer, administrator: Visitor
) -> None:
    entry = reference.endpoint(key)
    fields = reference.fields_of(entry["record"])
    found = 0
    for path in paths(entry, sandbox):
        for page in administrator.pages(path):
            assert list(page) == [entry["envelope"], *MEMBERS]
            for record in records_of(page):
                check(record, fields, key)
                found += 1
    assert found > 1


@pytest.mark.parametrize("key", REPORTED)
def test_every_row_of_a_report_is_as_the_reference_says(key: str, administrator: Visitor) -> None:
    entry = reference.endpoint(key)
    rows = administrator.all(entry["path"], from_="20251120", to="20261120")
    for row in rows:
        check(row, reference.fields_of(entry["record"]), key)
    assert len(rows) > 1


@pytest.mark.parametrize("key", ["company", "users_me"])
def test_single_answers_are_as_the_reference_says(key: str, administrator: Visitor) -> None:
    entry = reference.endpoint(key)
    check(administrator.read(entry["path"]), reference.fields_of(entry["record"]), key)


@pytest.mark.parametrize("key", LISTED)
def test_a_single_record_is_the_one_of_the_list(
    key: str, sandbox: SandboxServer, administrator: Visitor
) -> None:
    entry = reference.endpoint(key)
    path = paths(entry, sandbox)[0]
    record = records_of(administrator.read(path, per_page=1))[:1]
    if "retrieve_path" not in entry or not record:
        assert administrator.get(f"{path}/1").status_code == 404
        return
    single = re.sub(r"{\w+}$", str(record[0]["id"]), entry["retrieve_path"])
    parent = path.split("/")[2] if path.count("/") > 1 else ""
    assert administrator.read(re.sub(r"{\w+}", parent, single)) == record[0]


@pytest.mark.parametrize("key", LISTED)
def test_every_documented_filter_is_known(key: str) -> None:
    entry = reference.endpoint(key)
    path = re.sub(r"{\w+}", "{parent:int}", entry["path"])
    listing = next(listing for listing in LISTS if listing.path == path)
    known = {f.name for f in listing.filters} | ({"from", "to"} if listing.dated else set())
    paging = {"page", "per_page", "cursor"}
    assert known == {param["name"] for param in entry["params"]} - paging
    assert listing.paging.name == {"page": "NUMBER", "cursor": "CURSOR"}[entry["pagination"]]
    sizes = [p for p in entry["params"] if p["name"] == "per_page"]
    assert listing.per_page == sizes[0]["default"]
    assert listing.module == entry.get("module_flag")


def test_time_zones_and_currencies_are_those_that_harvest_has() -> None:
    lookups = reference.lookups()
    zones = {zone["name"]: zone["iana"] for zone in lookups["time_zones"]}
    for name, iana in TIME_ZONES:
        assert zones[name] == iana
    codes = {currency["code"] for currency in lookups["currencies"]}
    assert {HOME_CURRENCY, *(currency for _, _, currency, _ in CLIENTS)} <= codes
