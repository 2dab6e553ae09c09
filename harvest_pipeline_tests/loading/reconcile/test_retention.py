"""Old runs of the sensor go, with their files; what they had materialized stays known."""

import sqlite3
from pathlib import Path

import dagster as dg
import pytest

from harvest_pipeline.orchestration.build import build_definitions
from harvest_pipeline_tests.conftest import in_memory
from harvest_pipeline_tests.loading.reconcile.conftest import Loaded

DAILY = dg.AssetKey(["harvest", "daily"])


@pytest.fixture
def home(loaded: Loaded, tmp_path: Path) -> Path:
    """A Dagster home on disk, as `make dev` has it."""
    loaded.instance.dispose()
    loaded.instance = dg.DagsterInstance.local_temp(str(tmp_path))
    return tmp_path


def changes(loaded: Loaded, **options: object) -> str:
    """A run of the sensor's job; its id."""
    job = build_definitions().get_job_def("harvest_changes")
    with loaded.at_noon():
        return job.execute_in_process(
            instance=loaded.instance, raise_on_error=False, **options
        ).run_id


@pytest.mark.long
def test_after_a_month_runs_go_and_their_days_stay_materialized(
    loaded: Loaded, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = loaded.account.records.time_entries.ascending()[-1]
    loaded.account.change("time_entries", entry.id, hours="2.22")
    old = changes(loaded)
    monkeypatch.setenv("HARVEST_ACCESS_TOKEN", "wrong")
    failed = changes(loaded)
    monkeypatch.undo()
    recent = changes(loaded)
    days = loaded.instance.get_materialized_partitions(DAILY)
    assert f"{entry.spent_date}" in days
    assert files_of(home, old)
    with sqlite3.connect(home / "history" / "runs.db") as runs:
        for run in (old, failed):
            runs.execute(
                "UPDATE runs SET create_timestamp = '2026-01-01 00:00:00' WHERE run_id = ?", (run,)
            )
    night = loaded.reconcile()
    assert night.result.success
    there = {run.run_id for run in loaded.instance.get_runs()}
    assert there >= {failed, recent, night.result.run_id}
    assert old not in there
    assert files_of(home, old) == []
    assert files_of(home, recent)
    assert loaded.instance.get_materialized_partitions(DAILY) >= days
    loaded.instance.dispose()
    loaded.instance = in_memory()


def files_of(home: Path, run: str) -> list[Path]:
    return [path for path in home.rglob(f"*{run}*") if not path.is_dir() or any(path.iterdir())]
