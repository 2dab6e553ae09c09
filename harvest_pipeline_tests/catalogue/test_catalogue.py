"""The catalogue says the same as the reference of the Harvest API (endpoints.yaml)."""

from collections.abc import Iterator
from typing import Any

import pytest

from harvest_pipeline.catalogue.columns import ACCOUNT_ID, RATE, ROW_KEY, TODAY, Record, Report
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.catalogue.reports import REPORTS, record_of
from harvest_pipeline_tests import reference

TYPES = {
    "integer": "BIGINT",
    "bigint": "BIGINT",
    "decimal": "DECIMAL(38,18)",
    "string": "VARCHAR",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "datetime": "TIMESTAMPTZ",
    "time": "VARCHAR",
    "array": "JSON",
}
#: What an amount or hours are multiplied with.
RATES = {
    "billable_rate",
    "cost_rate",
    "default_hourly_rate",
    "discount",
    "hourly_rate",
    "over_budget_notification_percentage",
    "tax",
    "tax2",
    "unit_price",
}
LEGACY_REPORTS = {
    "All Projects Time Entries": "all_projects_time_entries",
    "All Projects Logged Expenses": "all_projects_logged_expenses",
    "All Users Logged Expenses": "all_users_logged_expenses",
    "All Users Time Entries": "all_users_time_entries",
    "Assignments": "assignments",
    "Clients": "clients",
    "Contacts": "contacts",
    "Daily": "daily",
    "Expense Categories": "expense_categories",
    "Invoices": "invoices",
    "Invoice Messages": "invoice_messages",
    "Invoice Payments": "invoice_payments",
    "Invoice Item Categories": "invoice_item_categories",
    "People": "people",
    "Projects": "projects",
    "Project Expenses": "project_expenses",
    "Tasks": "tasks",
    "User Expenses": "user_expenses",
}


#: Records of daily snapshots: what they are read from.
DOCUMENTED = {"project_budgets": "report_project_budget", "people_snapshots": "users"}


def documented(record: Record) -> dict[str, Any]:
    """The endpoint of endpoints.yaml that a record is read from."""
    return reference.endpoint(DOCUMENTED.get(record.name, record.name))


def documented_fields(record: Record) -> dict[str, dict[str, Any]]:
    """The fields that endpoints.yaml lists for a record of the catalogue."""
    if record.inside:
        outer = reference.endpoint(record.inside)["record"]
        return reference.fields_of(outer)[record.envelope]["fields"]
    return reference.fields_of(documented(record)["record"])


def flat(
    fields: dict[str, dict[str, Any]], path: tuple[str, ...] = (), nullable: bool = False
) -> Iterator[tuple[tuple[str, ...], dict[str, Any], bool]]:
    """Every field that is not an object, with its path and whether it may be null."""
    for name, field in fields.items():
        may_be_null = nullable or field["nullable"]
        if field["type"] == "object":
            yield from flat(field["fields"], (*path, name), may_be_null)
        else:
            yield (*path, name), field, may_be_null


@pytest.fixture(params=RECORDS.values(), ids=lambda record: record.name)
def record(request: pytest.FixtureRequest) -> Record:
    return request.param


def test_reports_that_show_one_table_say_why_and_name_each_other() -> None:
    shown: dict[str, list[Report]] = {}
    for report in REPORTS.values():
        if report.is_view:
            shown.setdefault(report.record, []).append(report)
    assert sorted(map(len, shown.values())) == [1, 1, 3, 4]
    for record, reports in shown.items():
        for report in reports:
            assert f"table {record}" in report.description
            if len(reports) > 1:
                assert all(other.name in report.description for other in reports)
    assert "user_assignments" in REPORTS["assignments"].description
    assert "assignments" in REPORTS["user_assignments"].description.split(". ")[1]


def test_every_documented_field_has_a_column_of_its_type(record: Record) -> None:
    columns = {column.path: column for column in record.columns}
    inside = {inner.envelope for inner in RECORDS.values() if inner.inside == record.name}
    for path, field, nullable in flat(documented_fields(record)):
        if path[0] in inside:
            continue
        assert path in columns, f"{record.name}.{'.'.join(path)} has no column"
        column = columns[path]
        is_rate = column.path[-1] in RATES or (
            record.name.endswith("_rates") and path == ("amount",)
        )
        expected = RATE if is_rate else TYPES[field["type"]]
        assert column.type == expected, column.name
        assert column.nullable == nullable, column.name
        if (record.name, path) != ("people_snapshots", ("id",)):
            assert column.name == "_".join(path)
        may_be_missing = field.get("optional", False) or "bsent in recordings" in str(
            field.get("note")
        )
        assert column.optional == may_be_missing, column.name


def test_every_column_is_documented_or_comes_from_the_parent(record: Record) -> None:
    paths = {path for path, _, _ in flat(documented_fields(record))}
    for column in record.columns:
        assert column.path in paths or column.from_parent, column.name


def test_every_column_has_a_description_and_a_name_of_its_own(record: Record) -> None:
    names = [column.name for column in record.columns]
    assert len(names) == len(set(names))
    for column in record.columns:
        assert column.description.endswith("."), column.name


def test_lists_of_objects_are_tables_or_json_without_a_key(record: Record) -> None:
    """Recipients of messages have no id, so rows of their own could not be replaced."""
    for path, field, _ in flat(documented_fields(record)):
        if field["type"] == "array" and field["items"] == "object":
            is_table = any(
                inner.inside == record.name and inner.envelope == path[0]
                for inner in RECORDS.values()
            )
            assert is_table == ("id" in field["fields"]), path


@pytest.mark.parametrize(
    "record", [record for record in RECORDS.values() if record.endpoint], ids=lambda r: r.name
)
def test_the_endpoint_is_the_documented_one(record: Record) -> None:
    there = documented(record)
    assert record.endpoint == there["path"]
    assert record.envelope == (there["envelope"] or "")
    assert record.paging == there.get("pagination", "none")
    assert record.module == there.get("module_flag")
    filters = {param["name"] for param in there.get("params", [])} - {"page", "per_page", "cursor"}
    # A snapshot is of everything.
    assert set(record.filters) <= filters if record.is_snapshot else set(record.filters) == filters


def test_keys_days_parents_and_references_name_what_exists(record: Record) -> None:
    assert record.column(record.key).type == "BIGINT"
    if record.day:
        assert record.column(record.day).type == "DATE"
    if record.measure:
        assert record.column(record.measure).type.startswith("DECIMAL")
        if record.measure_unit and record.measure_unit != "hours":
            assert record.column(record.measure_unit).type == "VARCHAR"
    for column in record.columns:
        assert column.references is None or column.references in RECORDS
        if column.from_parent == ROW_KEY:
            assert column.name == record.key
        elif column.from_parent == TODAY:
            assert column.name == record.day
        elif column.from_parent == ACCOUNT_ID:
            assert column.name == record.key
        elif column.from_parent:
            assert record.parent
            assert RECORDS[record.parent].column(column.from_parent).type == column.type
    if record.parent_has:
        assert record.parent
        assert RECORDS[record.parent].column(record.parent_has[0]).type == "JSON"


def test_there_is_a_report_for_each_legacy_report() -> None:
    legacy = {entry["report"] for entry in reference.endpoints()["legacy_reports"]}
    assert legacy == set(LEGACY_REPORTS)
    assert set(LEGACY_REPORTS.values()) == set(list(REPORTS)[:18])


def test_every_list_and_record_of_the_reference_is_a_report() -> None:
    """But for those that are another one's copies: assignments of one project or person, and the
    reports that are computed from records, which the comparison uses."""
    shown = {documented(record)["key"] for record in map(record_of, REPORTS.values())}
    every = {entry["key"] for entry in reference.endpoints()["endpoints"]}
    copies = {"project_user_assignments", "project_task_assignments", "users_me"}
    computed = {key for key in every if key.startswith("report_")} - {"report_project_budget"}
    assert every - copies - computed == shown


def test_reports_take_the_parameters_that_the_reference_says_the_server_applies() -> None:
    named = {
        "from": "window",
        "to": "window",
        "project_id": "project_ids",
        "user_id": "user_ids",
        "state": "invoice_status",
    }
    for entry in reference.endpoints()["legacy_reports"]:
        report = REPORTS[LEGACY_REPORTS[entry["report"]]]
        expected = {named.get(param, param) for param in entry["params"]}
        known = {"updated_since", *named.values()}
        assert expected & known <= set(report.parameters), report.name


def test_reports_show_the_record_that_the_reference_maps_them_to() -> None:
    for entry in reference.endpoints()["legacy_reports"]:
        report = REPORTS[LEGACY_REPORTS[entry["report"]]]
        assert record_of(report).name in entry["endpoints"]
