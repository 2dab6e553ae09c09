"""The definitions: what stands in the UI before anything has run."""

from pathlib import Path

import dagster as dg
import pytest

from harvest_pipeline.catalogue.reports import REPORTS, record_of
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.models import models
from harvest_pipeline.orchestration.resources import HarvestResource
from harvest_pipeline.settings import load_project

START = "2026-01-01"
MODELS = {*(model.name for model in load_project({}).accounts[0].models), "exchange_rates"}


@pytest.fixture
def definitions(monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    for name, value in {
        "HARVEST_ACCESS_TOKEN": "canary-token-4711",
        "HARVEST_START_DATE": START,
        "HARVEST_SCHEMA": "acme",
        "HARVEST_TIMEZONE": "Europe/Berlin",
        "HARVEST_DAYS_BACK": "10",
    }.items():
        monkeypatch.setenv(name, value)
    return build_definitions()


def test_every_report_is_an_asset_that_explains_itself(definitions: dg.Definitions) -> None:
    assets = {spec.key: spec for spec in definitions.resolve_all_asset_specs()}
    keys = {dg.AssetKey(["acme", name]) for name in (*REPORTS, *MODELS, "dashboard")}
    assert set(assets) == {*keys, dg.AssetKey(["acme", "reconciliation"])}
    assert definitions.resolve_asset_graph().materializable_asset_keys == keys
    for report in REPORTS.values():
        spec, record = assets[dg.AssetKey(["acme", report.name])], record_of(report)
        assert spec.group_name == report.group
        # Lists show the source of the description.
        assert not set("`[]*#") & set(spec.description or "`")
        assert spec.kinds == {"duckdb", "view" if report.is_view else "table"}
        assert spec.metadata["documentation"].value == record.documentation
        assert spec.metadata["dagster/table_name"] == f"acme.{report.name}"
        schema = spec.metadata["dagster/column_schema"]
        assert [column.name for column in schema.columns] == [c.name for c in record.columns]
        assert all(column.description for column in schema.columns)


def test_reports_with_a_day_share_one_partitions_definition_that_includes_today(
    definitions: dg.Definitions,
) -> None:
    today = load_project().today().isoformat()
    partitioned = {
        spec.key.path[-1]: spec.partitions_def
        for spec in definitions.resolve_all_asset_specs()
        if spec.partitions_def
    }
    assert set(partitioned) == {r.name for r in REPORTS.values() if "window" in r.parameters}
    (days,) = set(partitioned.values())
    assert (days.get_first_partition_key(), days.get_last_partition_key()) == (START, today)


def test_every_asset_is_backfilled_in_a_single_run_and_waits_in_no_pool(
    definitions: dg.Definitions,
) -> None:
    for key in definitions.resolve_asset_graph().materializable_asset_keys:
        asset = definitions.resolve_assets_def(key)
        assert asset.backfill_policy == dg.BackfillPolicy.single_run()
        assert asset.op.pool is None


def test_there_is_a_job_for_everything(definitions: dg.Definitions) -> None:
    jobs = {"acme_all_reports": {*REPORTS, *MODELS}, "acme_changes": set(), "acme_reconcile": set()}
    assert {job.name for job in definitions.jobs or []} == set(jobs)
    for name, assets in jobs.items():
        job = definitions.resolve_job_def(name)
        assert {key.path[-1] for key in job.asset_layer.selected_asset_keys} == assets


def test_resources_name_variables_and_hold_neither_secrets_nor_hosts(
    definitions: dg.Definitions,
) -> None:
    for resource in (definitions.resources or {}).values():
        assert "canary" not in repr(resource)
    assert set(HarvestResource.model_fields) == {
        "access_token", "client_id", "client_secret", "refresh_token", "account_id", "instance",
    }  # fmt: skip


def test_definitions_load_without_any_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCESS_TOKEN", "CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN", "ACCOUNT_ID"):
        monkeypatch.delenv(f"HARVEST_{name}", raising=False)
    keys = build_definitions().resolve_asset_graph().materializable_asset_keys
    assert len(keys) == len(REPORTS) + len(MODELS) + 1  # the dashboard


def test_assets_belong_to_whom_harvest_yaml_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "harvest.yaml"
    file.write_text("owners: ['team:finance', ada@example.com]")
    monkeypatch.setenv("HARVEST_CONFIG", str(file))
    for spec in build_definitions().resolve_all_asset_specs():
        assert spec.owners == ["team:finance", "ada@example.com"]


def test_the_code_of_a_model_is_its_sql(definitions: dg.Definitions) -> None:
    specs = {spec.key.path[-1]: spec for spec in definitions.resolve_all_asset_specs()}
    for name in models():
        (code,) = specs[name].metadata["dagster/code_references"].code_references
        assert "SELECT" in Path(code.file_path).read_text("utf-8")
