"""A sign of which runs of a Dagster home are executed by a living process: a locked file for each.

The system releases a lock when its process dies, however that happens. Dagster itself has no such
sign: the run of a killed process would count as running forever. A run that another machine
executes has no file here, and is left alone.
"""

import fcntl
import os
import tempfile
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage

from harvest_pipeline.safety import make_folder

_KILLED = (
    "The process of the run ended without a word: it was killed, or the machine was switched off. "
    "What it had loaded stays."
)
#: The files that this process has locked.
_held: dict[Path, int] = {}


def hold(instance: dg.DagsterInstance, run_id: str) -> None:
    """Show from now on that this process executes or launches the run."""
    if (path := _file(instance, run_id)) in _held:
        return
    make_folder(path.parent)
    file, name = tempfile.mkstemp(dir=path.parent)
    fcntl.flock(file, fcntl.LOCK_EX)
    # Other processes never see it unlocked. The run's own process takes over from the daemon, which
    # launched it.
    Path(name).rename(path)
    _held[path] = file


def let_go(instance: dg.DagsterInstance, run_id: str) -> None:
    """Stop showing that this process executes the run."""
    path = _file(instance, run_id)
    if (file := _held.pop(path, None)) is not None:
        if _is_same(file, path):
            path.unlink()
        os.close(file)


def fail_dead_runs(instance: dg.DagsterInstance) -> None:
    """Mark the runs of dead processes as failed; as canceled if they were being canceled."""
    for path, file in list(_held.items()):
        if not _is_same(file, path) and _held.pop(path, None):  # the run's process has taken over
            os.close(file)
    for path in _folder(instance).glob("*.run"):
        with suppress(FileNotFoundError, BlockingIOError), path.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _fail(instance, path.stem)
            path.unlink()


def _fail(instance: dg.DagsterInstance, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, _KILLED)
    else:
        instance.report_run_failed(run, _KILLED)


def _folder(instance: dg.DagsterInstance) -> Path:
    return Path(instance.root_directory) / "running"


def _file(instance: dg.DagsterInstance, run_id: str) -> Path:
    return _folder(instance) / f"{run_id}.run"


def _is_same(file: int, path: Path) -> bool:
    """Whether the open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


#: This many failed runs stay, however old, so that their cause can still be found.
_FAILED_KEPT = 10


def delete_old_runs(instance: dg.DagsterInstance, job_name: str, days: int) -> int:
    """Delete the runs of a job that ended more than `days` ago, except the last ten that failed.
    Returns how many were deleted.

    With a run, Dagster forgets its materializations: call `materialized` before.
    """
    before = datetime.now(UTC) - timedelta(days=days)
    old = instance.get_runs(dg.RunsFilter(job_name=job_name, created_before=before))
    failed = instance.get_runs(
        dg.RunsFilter(job_name=job_name, statuses=[dg.DagsterRunStatus.FAILURE]), limit=_FAILED_KEPT
    )
    kept = {run.run_id for run in failed}
    gone = [run.run_id for run in old if run.is_finished and run.run_id not in kept]
    for run_id in gone:
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        # Dagster empties the run's own event file, but leaves it there.
        if isinstance(instance.event_log_storage, SqliteEventLogStorage):
            Path(instance.event_log_storage.path_for_shard(run_id)).unlink(missing_ok=True)
    return len(gone)


def materialized(
    instance: dg.DagsterInstance, keys: Collection[dg.AssetKey]
) -> dict[dg.AssetKey, set[str]]:
    """The partitions of these assets that Dagster has a materialization of."""
    return {key: instance.get_materialized_partitions(key) for key in keys}
