"""The models as Dagster's assets: what they need, what they tell, and when they are created."""

import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pandas as pd
import pytest

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.models import models
from harvest_pipeline.settings import load_project
from harvest_pipeline.warehouse import models as views
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.place import place_of
from harvest_pipeline_tests.conftest import TODAY, Project, failure_of
from harvest_pipeline_tests.sandbox.server import SandboxServer

DAY = date(2026, 11, 2)


@pytest.fixture
def sandbox() -> Any:
    """A month of an account."""
    with SandboxServer(today=TODAY, years=0.1, rate_limit=None) as server:
        yield server


def key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["harvest", name])


def of_run(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    """The metadata of the materialization of an asset."""
    (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == key(name)]
    return {n: v.value for n, v in event.materialization.metadata.items()}


def test_a_model_depends_on_the_reports_of_the_records_and_on_the_models_that_it_reads() -> None:
    graph = build_definitions().resolve_asset_graph()
    parents = {name: {k.path[-1] for k in graph.get(key(name)).parent_keys} for name in models()}
    assert parents["time_daily"] == {"entry_values", "company", "freshness"}
    assert parents["entry_values"] == {
        "all_projects_time_entries", "all_users_time_entries", "daily", "projects",
    }  # fmt: skip
    # Lines are loaded with their invoices, and people are the report on users.
    assert parents["realisation"] >= {"invoices", "invoice_item_categories"}
    assert parents["utilisation"] == {"person_days", "entry_values", "people", "freshness"}
    assert parents["freshness"] == set()
    for name, model in models().items():
        node = graph.get(key(name))
        assert (node.group_name, node.description) == (model.group, model.description)
        assert node.kinds == {"duckdb", "view"}
        assert not node.is_partitioned


def test_a_model_without_some_reports_depends_on_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "harvest.yaml"
    file.write_text("disabled_reports: [all_users_time_entries, daily, invoices]")
    monkeypatch.setenv("HARVEST_CONFIG", str(file))
    graph = build_definitions().resolve_asset_graph()
    parents = {parent.path[-1] for parent in graph.get(key("entry_values")).parent_keys}
    assert parents == {"all_projects_time_entries", "projects"}
    assert not graph.has(key("realisation"))


def test_a_run_of_everything_creates_the_models_after_what_they_read(project: Project) -> None:
    every = (*REPORTS, *models(), "exchange_rates")
    result = project.materialize(*every, window=project.everything())
    assert result.success
    order = [event.asset_key.path[-1] for event in result.get_asset_materialization_events()]
    for name, model in models().items():
        for other in model.reads:
            if other in order:
                assert order.index(other) < order.index(name)
        metadata = of_run(result, name)
        (rows,) = project.query(f"SELECT count(*) FROM {name}")[0]
        assert metadata["dagster/row_count"] == rows
        assert metadata["dagster/table_name"] == f"harvest.{name}"
        schema = metadata["dagster/column_schema"]
        assert {c.name: c.description for c in schema.columns} == model.columns
        described = dict(row[:2] for row in project.query(f"DESCRIBE {name}"))
        assert {c.name: c.type for c in schema.columns} == described
        if rows:
            assert metadata["preview"].count("\n") == min(rows, 5) + 1
        lineage = metadata["dagster/column_lineage"].deps_by_column
        assert [*lineage] == [*model.columns]
    daily = of_run(result, "time_daily")["dagster/column_lineage"].deps_by_column
    assert daily["hours"] == [dg.TableColumnDep(key("entry_values"), "hours")]
    lines = of_run(result, "realisation")["dagster/column_lineage"].deps_by_column
    expected = dg.TableColumnDep(key("invoices"), "invoice_line_items.amount")
    assert expected in lines["invoiced_amount"]
    read_at = project.query("SELECT as_of FROM freshness WHERE record = 'expenses'")[0][0]
    assert of_run(result, "expenses_by_team")["as_of"] == read_at.timestamp()
    grains = [c for c in result.get_asset_check_evaluations() if c.check_name == "grain_is_unique"]
    assert len(grains) == len(models())
    assert all(check.passed for check in grains)


def test_a_model_needs_no_request_and_no_credentials(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARVEST_ACCESS_TOKEN")
    result = project.materialize("time_daily")
    assert result.success
    assert project.paths() == []
    metadata = of_run(result, "time_daily")
    assert metadata["dagster/row_count"] == 0
    assert metadata["preview"] == "no rows"
    assert "as_of" not in metadata
    assert project.query("SELECT count(*) FROM time_daily") == [(0,)]


def test_two_rows_of_the_same_grain_fail_the_check(project: Project) -> None:
    account = load_project().accounts[0]
    with Warehouse(place_of(account.project), "harvest").transaction() as connection:
        views.create(connection, ["time_by_client"], "UTC")
        for n in (1, 1, 2):
            connection.execute(
                "INSERT INTO time_entries (id, spent_date, hours, user_id) VALUES (?, ?, 1, 1)",
                [n, DAY],
            )
    result = project.materialize("entry_values")
    assert result.success
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert check.metadata["duplicated"].value == 2


def test_a_table_in_the_place_of_a_view_is_not_replaced(project: Project) -> None:
    with duckdb.connect(project.database) as connection:
        connection.execute("CREATE SCHEMA harvest")
        connection.execute("CREATE TABLE harvest.time_daily AS SELECT 1 AS mine")
    result = project.materialize("time_daily")
    assert "There is a table time_daily" in failure_of(result)
    assert project.query("FROM time_daily") == [(1,)]


def test_another_asset_can_read_a_model_as_a_frame(project: Project) -> None:
    @dg.asset(key=key("mine"), ins={"hours": dg.AssetIn(key("freshness"))})
    def mine(hours: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"columns": [*hours.columns]})

    definitions = dg.Definitions.merge(build_definitions(), dg.Definitions(assets=[mine]))
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=project.instance, asset_selection=[key("freshness"), key("mine")]
    )
    assert result.success
    assert project.query("FROM mine") == [("record",), ("as_of",)]


@pytest.mark.long
def test_a_night_leaves_every_view_as_the_code_has_it_and_its_lineage(project: Project) -> None:
    with duckdb.connect(project.database) as connection:
        connection.execute("CREATE SCHEMA harvest")
        connection.execute("CREATE VIEW harvest.time_daily AS SELECT 1 AS old")
    job = build_definitions().resolve_job_def("harvest_reconcile")
    result = job.execute_in_process(instance=project.instance, raise_on_error=False)
    assert result.success
    assert project.query("SELECT sum(hours) FROM time_daily") == project.query(
        "SELECT sum(hours) FROM time_entries"
    )
    for name, model in models().items():
        (event,) = [
            each
            for each in result.all_events
            if each.event_type_value == "ASSET_MATERIALIZATION" and each.asset_key == key(name)
        ]
        metadata = event.step_materialization_data.materialization.metadata
        lineage = metadata["dagster/column_lineage"].value
        assert [*lineage.deps_by_column] == [*model.columns]
    checks = [
        each.asset_check_evaluation_data
        for each in result.all_events
        if each.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    grains = [each for each in checks if each.check_name == "grain_is_unique"]
    assert {each.asset_key for each in grains} == {key(name) for name in models()}
    assert all(each.passed for each in checks)


RATES = "day,from,to,rate\n2026-01-01,EUR,USD,1.0834567890123\n2026-02-01, eur ,usd,1.1\n"
READ = [
    (date(2026, 1, 1), "EUR", "USD", "1.083456789012300000"),
    (date(2026, 2, 1), "EUR", "USD", "1.100000000000000000"),
]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_exchange_rates_are_those_of_the_file_to_the_last_digit(
    project: Project, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / f"rates [1].{kind}"
    (tmp_path / "rates.csv").write_text(RATES)
    if kind == "parquet":
        types = "types = {'rate': 'DECIMAL(20,13)'}"
        with duckdb.connect() as connection:
            connection.execute(f"COPY (FROM read_csv('{tmp_path}/rates.csv', {types})) TO '{file}'")
    else:
        (tmp_path / "rates.csv").rename(file)
    project.set(HARVEST_EXCHANGE_RATES=str(file))
    for _ in range(2):  # again: they are replaced
        result = project.materialize("exchange_rates")
        assert result.success
        assert of_run(result, "exchange_rates")["dagster/row_count"] == 2
        found = project.query("SELECT day, from_currency, to_currency, rate FROM exchange_rates")
        assert [(*row[:3], f"{row[3]}") for row in found] == READ


def test_without_a_file_the_rates_are_the_users_own(project: Project) -> None:
    assert project.materialize("exchange_rates").success
    assert project.query("FROM exchange_rates") == []
    with duckdb.connect(project.database) as connection:
        connection.execute("INSERT INTO harvest.exchange_rates VALUES ('2026-01-01', 'A', 'B', 2)")
    assert project.materialize("exchange_rates").success
    assert project.query("SELECT rate FROM exchange_rates") == [(2,)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "No files found"),
        ("day,rate\n2026-01-01,1\n", "from"),
        ("day,from,to,rate\nx,A,B,1", "x"),
    ],
)
def test_a_file_of_rates_that_cannot_be_read_is_named_and_changes_nothing(
    project: Project, tmp_path: Path, text: str | None, problem: str
) -> None:
    assert project.materialize("exchange_rates").success
    with duckdb.connect(project.database) as connection:
        connection.execute("INSERT INTO harvest.exchange_rates VALUES ('2026-01-01', 'A', 'B', 2)")
    file = tmp_path / "rates.csv"
    if text:
        file.write_text(text)
    project.set(HARVEST_EXCHANGE_RATES=str(file))
    sentence = failure_of(project.materialize("exchange_rates"))
    assert f"The exchange rates in {file} cannot be read" in sentence
    assert problem in sentence
    assert project.query("SELECT count(*) FROM exchange_rates") == [(1,)]


def test_loading_the_definitions_does_not_load_the_parser_of_sql() -> None:
    code = "import sys, harvest_pipeline.definitions; sys.exit('sqlglot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_table_that_a_model_reads_is_shown_by_an_asset() -> None:
    graph = build_definitions().resolve_asset_graph()
    for name, model in models().items():
        records = {other for other in model.reads if other in RECORDS}
        assert bool(records) <= bool(graph.get(key(name)).parent_keys)
