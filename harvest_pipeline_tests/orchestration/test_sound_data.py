"""What the UI marks: rows that would make sums wrong, what an older version has loaded, and nights
that were missed."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.orchestration import models
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.conftest import TODAY, Project, failure_of
from harvest_pipeline_tests.sandbox.server import SandboxServer

COMPUTED = ("company", "daily", "projects", "entry_values", "freshness", "time_daily")
LAST_DAY = Window(TODAY, TODAY)
DOUBLED = "INSERT INTO time_entries FROM time_entries WHERE id = (SELECT min(id) FROM time_entries)"
MOVED = (
    "UPDATE time_entries SET spent_date = DATE '2020-01-01'"
    " WHERE id = (SELECT min(id) FROM time_entries)"
)


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """A month of an account."""
    with SandboxServer(today=TODAY, years=0.1, rate_limit=None) as server:
        yield server


def spoil(project: Project, sql: str) -> int:
    """Do that to the rows, and make the view of a model recognizable; returns the id of the row."""
    with duckdb.connect(project.database) as connection:
        connection.execute("USE harvest")
        (id,) = connection.execute("SELECT min(id) FROM time_entries").fetchall()[0]
        connection.execute(sql)
        # As an older version of this package has left it.
        connection.execute("UPDATE _models SET version = 'older' WHERE name = 'time_daily'")
        connection.execute("CREATE OR REPLACE VIEW time_daily AS SELECT 'the older one' AS it")
    return id


def materialized(result: dg.ExecuteInProcessResult) -> set[str]:
    return {
        event.asset_key.path[-1]
        for event in result.all_events
        if event.event_type_value == "ASSET_MATERIALIZATION" and event.asset_key
    }


@pytest.mark.parametrize(
    ("sql", "check"),
    [(DOUBLED, "key_is_unique"), (MOVED, "rows_are_inside_their_window")],
    ids=["doubled", "moved"],
)
def test_models_wait_until_the_rows_that_they_read_are_sound(
    project: Project, sql: str, check: str
) -> None:
    assert project.materialize(*COMPUTED, window=project.everything()).success
    id = spoil(project, sql)
    result = project.materialize(*COMPUTED, window=LAST_DAY)

    assert not result.success
    assert failure_of(result) == (
        "The rows of time_entries are not sound, so what is computed from them waits "
        f"({check}: 1, for example {id}). Read all of them again: `harvest-pipeline sync` with "
        "this report and --full-refresh."
    )
    assert materialized(result) == {"company", "daily", "projects"}
    assert project.query("FROM time_daily") == [("the older one",)]
    assert [c.check_name for c in result.get_asset_check_evaluations() if not c.passed] == [check]

    assert project.materialize(*COMPUTED, window=project.everything()).success
    project.assert_equal("time_entries", "hours")
    assert project.query("SELECT count(*) > 0 FROM time_daily WHERE hours > 0") == [(True,)]


def test_other_findings_do_not_hold_up_anything() -> None:
    graph = build_definitions().resolve_asset_graph()
    checks = {
        (check.asset_key.path[-1], check.name)
        for asset in graph.materializable_asset_keys
        for check in graph.get(asset).check_keys
        if graph.get(check).blocking
    }
    assert {name for _, name in checks} == {"key_is_unique", "rows_are_inside_their_window"}


def reasons(project: Project, *names: str) -> dict[str, list[str]]:
    """Why the UI marks each of these assets as unsynced."""
    graph = build_definitions().resolve_asset_graph()
    context = LoadingContextForTest(project.instance)
    resolver = CachingStaleStatusResolver(project.instance, graph, context)
    causes = {name: resolver.get_stale_causes(dg.AssetKey(["harvest", name])) for name in names}
    return {name: [each.reason for each in found] for name, found in causes.items()}


def test_what_was_loaded_or_created_otherwise_than_the_code_now_says_is_marked(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "harvest.yaml"
    dataset = "datasets: [{{name: some, report: clients, window: {{days_back: {}}}}}]"
    file.write_text(dataset.format(10))
    project.set(HARVEST_CONFIG=str(file))
    names = ("clients", "some", "freshness")
    assert project.materialize(*names).success
    assert reasons(project, *names) == {name: [] for name in names}

    file.write_text(dataset.format(20))
    monkeypatch.setattr(models, "version", lambda name, timezone: "another")
    assert reasons(project, *names) == {
        "clients": [],
        "some": ["has a new code version"],
        "freshness": ["has a new code version"],
    }


def test_only_what_each_night_materializes_is_expected_to_be_fresh() -> None:
    graph = build_definitions().resolve_asset_graph()
    expected = {k.path[-1] for k in graph.get_all_asset_keys() if graph.get(k).freshness_policy}
    assert expected == {"dashboard", "reconciliation"}
