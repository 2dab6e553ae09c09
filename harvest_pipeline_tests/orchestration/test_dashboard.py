"""The dashboard as an asset, of the night, and from the command line."""

import stat
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.cli.main import harvest_pipeline
from harvest_pipeline.dashboard.figures import PARTS
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.models import models
from harvest_pipeline.warehouse.comparisons import Comparison, write
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.conftest import TODAY, Project, failure_of
from harvest_pipeline_tests.orchestration.test_models import key, of_run
from harvest_pipeline_tests.places import place_at
from harvest_pipeline_tests.sandbox.server import SandboxServer


@pytest.fixture
def sandbox() -> Any:
    """A month of an account."""
    with SandboxServer(today=TODAY, years=0.1, rate_limit=None) as server:
        yield server


def page_of(project: Project) -> Path:
    return project.database.with_name("harvest-dashboard.html")


def test_a_night_writes_it_and_it_says_that_all_is_equal(project: Project) -> None:
    every = (*REPORTS, *models(), "exchange_rates", "dashboard")
    assert project.materialize(*every, window=project.everything()).success
    # A run comes first: models look up the versions of what the night has just replaced.
    job = build_definitions().resolve_job_def("harvest_reconcile")
    result = job.execute_in_process(instance=project.instance, raise_on_error=False)
    assert result.success
    [event] = [
        each
        for each in result.all_events
        if each.event_type_value == "ASSET_MATERIALIZATION" and each.asset_key == key("dashboard")
    ]
    metadata = event.step_materialization_data.materialization.metadata
    text = metadata["compared"].value
    assert isinstance(text, str)
    assert text.startswith("Equal to Harvest's own reports: ")
    assert metadata["file"].value == str(page_of(project))
    images = [str(each.value) for each in metadata.values() if "base64" in str(each.value)]
    assert len(images) > len(PARTS) - 1
    assert sum(map(len, images)) < 300_000
    assert text.replace("'", "&#39;") in page_of(project).read_text("utf-8")
    assert stat.S_IMODE(page_of(project).stat().st_mode) == 0o600
    assert project.query("SELECT verdict, differences FROM _comparisons") == [("equal", 0)]
    assert unsynced(project.instance) == []
    # What the night has read again shows what it shows after a run.
    for name in ("clients", "daily"):
        event = project.instance.get_latest_materialization_event(key(name))
        assert event is not None
        shown = event.asset_materialization.metadata
        assert {"rows", "preview", "read"} <= shown.keys()
        assert shown["preview"].value.count("\n") > 2


def unsynced(instance: dg.DagsterInstance) -> list[str]:
    """The assets that Dagster's UI marks: something above them is newer."""
    graph = build_definitions().resolve_asset_graph()
    statuses = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    return [
        each.to_user_string()
        for each in graph.materializable_asset_keys
        if statuses.get_status(each) is not StaleStatus.FRESH
    ]


def test_it_says_what_the_last_comparison_found(project: Project) -> None:
    def says() -> str:
        result = project.materialize("dashboard")
        assert result.success
        return str(of_run(result, "dashboard")["compared"])

    assert says() == "Not yet compared with Harvest's own reports: the next night does."
    for day, verdict, differences, sentence in (
        (18, "different", 1, "1 figure differs from Harvest's own reports: 2026-01-01 to "),
        (19, "different", 3, "3 figures differ from Harvest's own reports: "),
        (20, "not proven", 0, "Not all could be compared with Harvest's own reports: "),
    ):
        at = datetime(2026, 11, day, 2, tzinfo=UTC)
        found = Comparison(at, date(2026, 1, 1), TODAY, verdict, differences)
        with Warehouse(place_at(project.database), "harvest").transaction() as connection:
            write(connection, found)
        assert says().startswith(sentence)


def test_an_account_without_a_report_has_the_other_parts(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "harvest.yaml"
    file.write_text("disabled_reports: [invoices]")
    project.set(HARVEST_CONFIG=str(file))
    assert project.materialize("dashboard").success
    text = page_of(project).read_text("utf-8")
    assert "Who is overbooked" in text
    assert "Who owes us" not in text


def test_the_command_writes_it_and_says_where(project: Project) -> None:
    assert project.materialize("clients").success
    done = CliRunner().invoke(harvest_pipeline, ["dashboard", "--no-open"])
    assert done.exit_code == 0, done.output
    assert done.output == f"{page_of(project).as_uri()}\n"
    assert page_of(project).stat().st_size > 500_000


def test_the_command_says_what_to_do_if_nothing_is_loaded(project: Project) -> None:
    done = CliRunner().invoke(harvest_pipeline, ["dashboard"])
    assert done.exit_code == 1
    assert "load with `harvest-pipeline sync` first" in done.output


def test_a_page_that_cannot_be_written_is_one_sentence(project: Project) -> None:
    page_of(project).mkdir()
    sentence = failure_of(project.materialize("dashboard"))
    assert sentence.startswith(f"The dashboard {page_of(project)} could not be written,")
    assert [each.name for each in project.database.parent.glob(".new-*")] == []
