"""Runs: what they ask of Harvest, what they load, and what they say about it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import dagster as dg
import pandas as pd
import pytest

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.catalogue.reports import REPORTS, record_of
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.harvest.errors import ReadNotProven
from harvest_pipeline.loading import window as loads
from harvest_pipeline.orchestration.partitions import daily_partitions, range_tags
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import load_project
from harvest_pipeline_tests.conftest import TODAY, Project
from harvest_pipeline_tests.sandbox.faults import AddField, DropField, Forbid, RetypeField
from harvest_pipeline_tests.sandbox.server import SandboxServer

MEASURES = {"time_entries": "hours", "expenses": "total_cost", "invoices": "due_amount",
            "invoice_payments": "amount", "invoice_line_items": "amount"}  # fmt: skip


def account(years: float) -> SandboxServer:
    """As short as a test can do with: Dagster writes two events for each day of each report."""
    return SandboxServer(today=TODAY, years=years, rate_limit=None, refuse_get_bodies=True)


@pytest.fixture
def sandbox(request: pytest.FixtureRequest) -> Iterator[SandboxServer]:
    with account(years=getattr(request, "param", 0.15)) as server:
        yield server


def content(project: Project) -> list[object]:
    """All that is loaded but for the times of loading."""
    return [
        project.query(f"SELECT * EXCLUDE (_loaded_at) FROM {record} ORDER BY ALL")
        for record in RECORDS
    ]


@dataclass(frozen=True)
class Twice:
    """All reports, loaded twice: the whole account, and then the days of `again` once more."""

    project: Project
    whole: dg.ExecuteInProcessResult
    again: Window
    asked: list[str]
    before: list[object]


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twice]:
    with account(years=0.15) as server:
        with pytest.MonkeyPatch.context() as patch:
            project = Project(server, tmp_path_factory.mktemp("twice"), patch)
            whole = project.materialize(window=project.everything())
            before = content(project)
            again = Window(TODAY - timedelta(days=20), TODAY)
            server.account.request_log.clear()
            project.materialize(window=again)
        yield Twice(project, whole, again, project.paths(), before)
        project.instance.dispose()


def test_a_run_over_all_reports_lands_exactly_the_account(twice: Twice) -> None:
    project, result = twice.project, twice.whole
    assert result.success
    for record in RECORDS:
        project.assert_equal(record, MEASURES.get(record))
    for report in REPORTS.values():
        rows = project.query(f"SELECT count(*) FROM {report.name}")
        assert rows == project.query(f"SELECT count(*) FROM {report.record}")
    checks = result.get_asset_check_evaluations()
    # A report with partitions has two more, and references of snapshots may be gone.
    assert len(checks) == len(REPORTS) * 5 + 10 * 2 - 2
    assert [check.check_name for check in checks if not check.passed] == []


def test_a_run_over_all_reports_asks_each_question_once(twice: Twice) -> None:
    # People are read for their snapshot too.
    assert sorted(twice.asked) == sorted([*set(twice.asked), "/v2/users"])
    there = twice.project.truth("invoices")
    invoices = [row for row in there if row["issue_date"] >= twice.again.first]
    assert 0 < len(invoices) < len(there)
    lists = sum(1 for record in RECORDS.values() if record.endpoint and not record.parent)
    people, estimates = twice.project.truth("users"), twice.project.truth("estimates")
    managers = [row for row in people if "manager" in row["access_roles"]]
    children = 2 * len(invoices) + len(estimates) + 2 * len(people) + len(managers)
    assert len(twice.asked) == 1 + lists + children


def test_loading_again_changes_nothing_but_times(twice: Twice) -> None:
    assert content(twice.project) == twice.before
    loads = twice.project.query("SELECT count(DISTINCT run_id) FROM _loads")
    assert loads == [(2,)]


def test_a_run_of_one_day_loads_that_day_only(project: Project) -> None:
    day = TODAY - timedelta(days=7)
    assert project.materialize("daily", window=Window(day, day)).success
    there = [row for row in project.truth("time_entries") if row["spent_date"] == day]
    assert there
    loaded = project.query("SELECT id, spent_date FROM time_entries ORDER BY id")
    assert loaded == sorted((row["id"], day) for row in there)


def test_children_alone_bring_their_invoices_too(project: Project) -> None:
    assert project.materialize("invoice_payments", window=project.everything()).success
    project.assert_equal("invoice_payments", "amount")
    project.assert_equal("invoices", "amount")


def test_edits_moves_and_deletions_arrive_with_the_next_run(project: Project) -> None:
    window = Window(TODAY - timedelta(days=30), TODAY)
    project.materialize("daily", "invoices", "invoice_payments", window=project.everything())
    account = project.sandbox.account
    recent = [
        row
        for row in project.truth("time_entries")
        if row["spent_date"] >= window.first and not row["is_locked"]
    ]
    edited, moved, deleted = recent[0]["id"], recent[1]["id"], recent[2]["id"]
    account.change("time_entries", edited, hours=Decimal("3.21"))
    account.change("time_entries", moved, spent_date=window.first)
    account.delete("time_entries", deleted)
    open_invoice = next(row for row in project.truth("invoices") if row["state"] == "open")
    account.add_payment(open_invoice["id"], Decimal("1.00"))

    project.materialize("daily", "invoices", "invoice_payments", window=project.everything())
    project.assert_equal("time_entries", "hours")
    project.assert_equal("invoices", "due_amount")
    project.assert_equal("invoice_payments", "amount")
    assert project.query("SELECT spent_date FROM time_entries WHERE id = ?", moved) == [
        (window.first,)
    ]


def test_an_entry_moved_into_the_window_from_outside_appears_once(project: Project) -> None:
    project.materialize("daily", window=project.everything())
    old = min(
        (row for row in project.truth("time_entries") if not row["is_locked"]),
        key=lambda row: row["spent_date"],
    )
    project.sandbox.account.change("time_entries", old["id"], spent_date=TODAY)
    project.materialize("daily", window=Window(TODAY, TODAY))
    assert project.query("SELECT spent_date FROM time_entries WHERE id = ?", old["id"]) == [
        (TODAY,)
    ]


def test_metadata_tells_rows_and_totals_of_each_day_of_a_range(project: Project) -> None:
    window = Window(TODAY - timedelta(days=13), TODAY)
    result = project.materialize("daily", "invoices", window=window)
    events = result.asset_materializations_for_node("harvest__daily")
    assert [event.partition for event in events] == [day.isoformat() for day in window.days()]
    for event in events:
        of_day = [
            row
            for row in project.truth("time_entries")
            if row["spent_date"].isoformat() == event.partition
        ]
        metadata = event.metadata
        assert metadata["rows"].value == len(of_day)
        assert metadata["dagster/partition_row_count"].value == len(of_day)
        hours = sum(Decimal(str(row["hours"])) for row in of_day)
        assert Decimal(str(metadata["hours"].value if of_day else 0)) == hours
        # What has nothing to do with the day would be plotted as if it had.
        numbers = {key for key, each in metadata.items() if isinstance(each.value, int | float)}
        assert numbers <= {"rows", "hours", "dagster/partition_row_count"}
        assert metadata["role"].value == "administrator"
        assert metadata["dagster/table_name"].value == "harvest.daily"
        newest = event.partition == TODAY.isoformat()
        assert {each in metadata for each in ("preview", "table", "read")} == {newest}
    invoices = result.asset_materializations_for_node("harvest__invoices")
    for event in invoices:
        amounts: dict[str, Decimal] = {}
        for row in project.truth("invoices"):
            if row["issue_date"].isoformat() == event.partition:
                key = f"amount_{row['currency']}"
                amounts[key] = amounts.get(key, Decimal(0)) + Decimal(str(row["amount"]))
        shown = {
            key: Decimal(str(value.value))
            for key, value in event.metadata.items()
            if key.startswith("amount_")
        }
        assert shown == amounts


def test_a_name_cannot_break_out_of_the_preview(project: Project) -> None:
    """An image in a Markdown cell would call its server from the browser of whoever looks."""
    client = max(each["id"] for each in project.truth("clients"))
    name = "![x](http://evil.example/x.png)|<b>a</b>\n# b\x1b[31m`c`"
    project.sandbox.account.change("clients", client, name=name)
    result = project.materialize("clients")
    (event,) = result.asset_materializations_for_node("harvest__clients")
    (line,) = [line for line in event.metadata["preview"].value.splitlines() if "evil" in line]
    assert "\x1b" not in line
    assert not re.search(r"(?<!\\)[!\[\]()<>`#:]", line)
    assert project.query("SELECT name FROM clients WHERE id = ?", client) == [(name,)]


def test_an_empty_day_makes_tables_with_all_declared_columns(project: Project) -> None:
    first = project.sandbox.first_day
    sunday = first + timedelta(days=6 - first.weekday())
    reports = [report for report in REPORTS.values() if record_of(report).day]
    result = project.materialize(*(r.name for r in reports), window=Window(sunday, sunday))
    assert result.success
    for report in reports:
        names = [row[0] for row in project.query(f"DESCRIBE {report.name}")]
        columns = [column.name for column in record_of(report).columns]
        assert names == [*columns, "_loaded_at", "_extra"]


def test_the_ledger_tells_what_was_asked_and_what_came(project: Project) -> None:
    window = project.everything()
    result = project.materialize("all_users_time_entries", "daily", window=window)
    rows = project.query(
        "SELECT record, window_first, window_last, run_id, report, requests, rows, total_entries,"
        " proof, role FROM _loads"
    )
    total = len(project.truth("time_entries"))
    report = rows[0][4]
    assert report in ("all_users_time_entries", "daily")
    assert rows == [
        ("time_entries", window.first, window.last, result.run_id, report, 1, total, total,
         "total_entries", "administrator")
    ]  # fmt: skip


@pytest.mark.parametrize("sandbox", [0.3], ids=["four months of invoices"], indirect=True)
def test_a_retried_run_goes_on_where_the_first_one_stopped(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loads, "PARENTS_PER_PIECE", 3)
    window = project.everything()
    invoices = sorted(project.truth("invoices"), key=lambda row: row["issue_date"])
    last = f"/invoices/{invoices[-1]['id']}/messages"
    project.sandbox.account.faults.add(Forbid(path=last))
    failed = project.materialize("invoice_messages", window=window)
    assert not failed.success
    read = {id for (id,) in project.query("SELECT parent_id FROM _parents_read")}
    assert len(read) >= len(invoices) - 3

    project.sandbox.account.request_log.clear()
    tags = {"dagster/parent_run_id": failed.run_id, "dagster/root_run_id": failed.run_id}
    assert project.materialize("invoice_messages", window=window, tags=tags).success
    project.assert_equal("invoice_messages")
    asked = set(project.paths()) - {"/v2/users/me"}
    assert asked == {
        f"/v2/invoices/{row['id']}/messages" for row in invoices if row["id"] not in read
    }


def test_a_run_that_is_retried_much_later_reads_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = Window(TODAY, TODAY)
    first = project.materialize("daily", window=day)
    tags = {"dagster/parent_run_id": first.run_id, "dagster/root_run_id": first.run_id}
    project.sandbox.account.request_log.clear()
    project.materialize("daily", window=day, tags=tags)
    assert "/v2/time_entries" not in project.paths()
    monkeypatch.setattr(loads, "_STILL_GOOD", timedelta(0))
    project.materialize("daily", window=day, tags=tags)
    assert "/v2/time_entries" in project.paths()


def test_a_list_that_keeps_changing_is_read_in_halves(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every read of more than one day is made doubtful; single days are proven."""
    read = loads.read

    def doubtful(client, record, window, folder, **options):
        if window and window.first < window.last and record.name == "time_entries":
            raise ReadNotProven("it changed")
        return read(client, record, window, folder, **options)

    monkeypatch.setattr(loads, "read", doubtful)
    window = Window(TODAY - timedelta(days=6), TODAY)
    assert project.materialize("daily", window=window).success
    loaded = project.query("SELECT window_first, window_last FROM _loads ORDER BY 1")
    assert loaded == [(day, day) for day in window.days()]
    there = [row for row in project.truth("time_entries") if row["spent_date"] >= window.first]
    assert project.query("SELECT count(*) FROM time_entries") == [(len(there),)]


def test_a_module_that_is_switched_off_keeps_what_was_loaded(project: Project) -> None:
    window = project.everything()
    project.materialize("invoices", "expense_categories", window=window)
    before = project.query("SELECT * FROM invoices ORDER BY id")
    project.sandbox.account.change_company(invoice_feature=False, expense_feature=False)
    assert project.materialize("invoices", "expense_categories", window=window).success
    assert project.query("SELECT * FROM invoices ORDER BY id") == before
    assert project.query("SELECT DISTINCT proof FROM _loads ORDER BY 1") == [
        ("module_off",),
        ("total_entries",),
    ]


def test_new_and_missing_fields_are_kept_and_reported(project: Project) -> None:
    project.sandbox.account.faults.add(AddField(path="/clients", field="tier", value="gold"))
    project.sandbox.account.faults.add(DropField(path="/tasks", field="is_default"))
    result = project.materialize("clients", "tasks")
    assert result.success
    assert project.query("SELECT DISTINCT _extra->>'tier' FROM clients") == [("gold",)]
    assert project.query("SELECT DISTINCT is_default FROM tasks") == [(None,)]
    failed = {
        check.asset_key.path[-1]: check
        for check in result.get_asset_check_evaluations()
        if not check.passed
    }
    assert set(failed) == {"clients", "tasks"}
    assert failed["clients"].severity is dg.AssetCheckSeverity.WARN
    assert failed["clients"].metadata["unknown: tier"].value == len(project.truth("clients"))
    assert failed["tasks"].metadata["missing: is_default"].value == len(project.truth("tasks"))


def test_unknown_references_are_reported(project: Project) -> None:
    assert project.materialize("tasks", "projects").success
    gone = project.truth("task_assignments")[0]["task"]["id"]
    project.sandbox.account.faults.add(
        RetypeField(path="/task_assignments", field="task.id", value=gone + 10**6)
    )
    result = project.materialize("assignments")
    assert result.success
    failed = [c for c in result.get_asset_check_evaluations() if not c.passed]
    assert [check.check_name for check in failed] == ["references_are_known"]
    assert failed[0].metadata["task_id"].value == 1


def test_other_assets_read_a_report_as_a_dataframe_of_their_partition(project: Project) -> None:
    days = daily_partitions(load_project())

    @dg.asset(
        key_prefix="harvest",
        partitions_def=days,
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata={"partition_expr": "spent_date"},
        ins={"daily": dg.AssetIn(key=["harvest", "daily"])},
    )
    def hours_per_day(daily: pd.DataFrame) -> pd.DataFrame:
        return daily.groupby("spent_date", as_index=False)["hours"].sum()

    window = Window(TODAY - timedelta(days=9), TODAY)
    definitions = dg.Definitions.merge(build_definitions(), dg.Definitions([hours_per_day]))
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=project.instance,
        asset_selection=[dg.AssetKey(["harvest", "daily"]), hours_per_day.key],
        tags=range_tags(window),
    )
    assert result.success
    for _ in range(2):
        expected = project.query(
            "SELECT spent_date, sum(hours)::DOUBLE FROM daily GROUP BY ALL ORDER BY 1"
        )
        stored = project.query(
            "SELECT spent_date::DATE, hours::DOUBLE FROM hours_per_day ORDER BY 1"
        )
        assert [day for day, _ in stored] == [day for day, _ in expected]
        assert [h for _, h in stored] == pytest.approx([h for _, h in expected])


def test_days_belong_to_the_time_zone_of_the_settings(project: Project) -> None:
    project.set(HARVEST_TIMEZONE="Pacific/Auckland", HARVEST_START_DATE="2026-01-01")
    loaded = load_project()
    days = daily_partitions(loaded).get_partition_keys()
    assert days[-1] == loaded.today().isoformat()
    assert days[0] == "2026-01-01"
    assert [date.fromisoformat(day) for day in days] == list(
        Window(date(2026, 1, 1), loaded.today()).days()
    )
