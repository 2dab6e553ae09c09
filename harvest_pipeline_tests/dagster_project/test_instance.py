"""What a run over many days leaves of its checks in Dagster's instance."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from harvest_pipeline.orchestration.checks import NAMES
from harvest_pipeline.orchestration.instance import Instance
from harvest_pipeline.orchestration.partitions import range_tags
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.conftest import TODAY, Project
from harvest_pipeline_tests.waiting import PATIENCE

WEEK = Window(TODAY - timedelta(days=6), TODAY)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder for Dagster, with this project's dagster.yaml."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "dagster.yaml").symlink_to(project_folder() / "dagster.yaml")
    return folder


def statuses(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey
) -> list[AssetCheckExecutionRecordStatus]:
    """What is written down of a check, the latest first."""
    history = instance.event_log_storage.get_asset_check_execution_history(check, limit=100)
    return [record.status for record in history]


def test_each_check_of_a_run_over_a_week_is_written_down_once(project: Project, home: Path) -> None:
    project.instance.dispose()
    project.instance = dg.DagsterInstance.from_config(str(home))
    assert isinstance(project.instance, Instance)
    for report in ("daily", "clients"):
        result = project.materialize(report, window=WEEK)
        found = {each.asset_check_key for each in result.get_asset_check_evaluations()}
        assert {check.name for check in found} <= NAMES
        for check in found:
            there = statuses(project.instance, check)
            assert there == [AssetCheckExecutionRecordStatus.SUCCEEDED], check


def test_the_checks_of_other_assets_are_left_to_dagster(home: Path) -> None:
    days = dg.DailyPartitionsDefinition("2026-11-01")

    @dg.asset(
        partitions_def=days,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[dg.AssetCheckSpec("mine", asset="other")],
    )
    def other() -> dg.MaterializeResult:
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])

    job = dg.Definitions(assets=[other]).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert job.execute_in_process(instance=instance, tags=range_tags(WEEK)).success
        assert len(statuses(instance, dg.AssetCheckKey(other.key, "mine"))) == 8


def test_the_command_line_takes_it_where_there_is_no_dagster_home(
    project: Project, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `dagster` does in the folder of the project: its temporary home has the dagster.yaml of
    the folder that it is started in."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    words = ("asset", "materialize", "-m", "harvest_pipeline.definitions", "--select")
    done = subprocess.run(
        [sys.executable, "-m", "dagster", *words, "harvest/clients"],
        cwd=home, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert project.query("SELECT count(*) FROM clients") == [(len(project.truth("clients")),)]
