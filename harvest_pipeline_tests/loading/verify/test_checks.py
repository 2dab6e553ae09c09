"""The asset checks of the comparison: where they stand, how bad an outcome is, what they say."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.loading.figures import themes
from harvest_pipeline.orchestration.verify import CHECKS
from harvest_pipeline_tests.conftest import TODAY
from harvest_pipeline_tests.loading.verify.conftest import Place
from harvest_pipeline_tests.projects import project

KEY = dg.AssetKey(["harvest", "reconciliation"])
#: What Dagster takes for now, so that the last partition is TODAY.
NOW = datetime(TODAY.year, TODAY.month, TODAY.day, 18, 30, tzinfo=UTC)

Run = Callable[..., dict[str, dg.AssetCheckEvaluation]]


@pytest.fixture
def run(environment: pytest.MonkeyPatch, place: Place) -> Iterator[Run]:
    """Runs the checks, or one of them, and gives what they say by their names."""
    job = build_definitions().resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:

        def run(*names: str) -> dict[str, dg.AssetCheckEvaluation]:
            place.sandbox.account.request_log.clear()
            every = names or [name for name, _ in CHECKS.values()]
            only = {dg.AssetCheckKey(KEY, name) for name in every}
            chosen = job.get_subset(asset_selection=set(), asset_check_selection=only)
            with dg.partition_loading_context(effective_dt=NOW):
                result = chosen.execute_in_process(instance=instance)
            return {each.check_name: each for each in result.get_asset_check_evaluations()}

        yield run


def value(evaluation: dg.AssetCheckEvaluation, name: str) -> Any:
    return evaluation.metadata[name].value


def test_the_job_compares_everything_and_says_what_it_did(
    run: Run, place: Place, edited: Callable[..., Any]
) -> None:
    told = run()
    assert set(told) == {name for name, _ in CHECKS.values()}
    for evaluation in told.values():
        assert evaluation.asset_key == KEY
        assert evaluation.passed, evaluation.description
        assert value(evaluation, "differences") == 0
        assert value(evaluation, "days_compared") == str(place.days)
        assert value(evaluation, "compared_at") <= datetime.now(UTC).timestamp()
        assert value(evaluation, "person") == "Ada Okafor, administrator"
    # The first to run has asked who it is.
    assert sorted(value(each, "requests") for each in told.values()) == [4, 10, 11]
    assert len(place.asked()) == 10 + 10 + 4

    ((entry, hours),) = place.query("SELECT id, hours FROM time_entries ORDER BY id LIMIT 1")
    edited("time_entries", entry, hours=hours + 1)
    (late,) = run("equals_harvest_time_reports").values()
    assert (late.passed, late.severity) == (False, dg.AssetCheckSeverity.ERROR)

    place.change("UPDATE expenses SET total_cost = total_cost + 1, project_name = 'x|![](y)'")
    (wrong,) = run("equals_harvest_expense_reports").values()
    assert (wrong.passed, wrong.severity) == (False, dg.AssetCheckSeverity.ERROR)
    rows = value(wrong, "first_differences").splitlines()[2:]
    assert len(rows) == 20 < value(wrong, "differences")
    assert "2026-" in rows[0]
    assert "x\\|\\!\\[\\] \\(y\\)" in rows[0]


def test_a_run_that_materializes_asks_for_none_of_harvests_reports(
    environment: pytest.MonkeyPatch, place: Place
) -> None:
    definitions = build_definitions()
    names = {name for name, _ in CHECKS.values()}
    for job in (
        definitions.resolve_job_def("harvest_all_reports"),
        definitions.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection={dg.AssetKey(["harvest", report]) for report in REPORTS}
        ),
    ):
        steps = {node.name for node in job.nodes}
        assert "harvest__daily" in steps
        assert not any(name in step for name in names for step in steps)


def test_only_that_is_compared_of_which_no_report_is_switched_off() -> None:
    expenses = {name for name, report in REPORTS.items() if report.record == "expenses"}
    without = project(without=expenses).accounts[0]
    assert themes(without) == ["time"]
    another = project(without=["daily", "project_expenses"]).accounts[0]
    assert themes(another) == ["time", "expenses", "uninvoiced"]
