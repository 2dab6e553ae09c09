"""A sign of which runs of a Dagster home are executed by a living process: a locked file for each.

The system releases a lock when its process dies, however that happens. Dagster itself has no such
sign: the run of a killed process would count as running forever. A run that another machine
executes has no file here, and is left alone.
"""

import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import dagster as dg

from harvest_pipeline.safety.files import make_folder

_KILLED = (
    "The process of the run ended without a word: it was killed, the machine was switched off, or "
    "the disk of Dagster's home was full. "
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
