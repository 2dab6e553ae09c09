"""The sensor in Dagster's own loop, killed between the launch of a run and the end of its tick."""

import multiprocessing
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.instance import InstanceRef
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.daemon import get_default_daemon_logger
from dagster._daemon.sensor import execute_sensor_iteration

from harvest_pipeline_tests.changes.watching import MINUTE, NOW, Watching
from harvest_pipeline_tests.conftest import TODAY
from harvest_pipeline_tests.waiting import PATIENCE

MONDAY = TODAY - timedelta(days=4)
_SENSOR = "harvest_changes"


@contextmanager
def workspace_of(instance: dg.DagsterInstance, file: Path) -> Iterator[WorkspaceProcessContext]:
    """The project as the daemon sees it."""
    origin = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(executable_path=sys.executable, python_file=str(file))
    )
    with WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as workspace:
        yield workspace


def look_once(
    workspace: WorkspaceProcessContext, now: datetime, dying_at: str | None = None
) -> None:
    """One turn of the daemon's loop, killed at a point that Dagster names."""
    flags = {_SENSOR: {dying_at: signal.SIGKILL}} if dying_at else None
    with freeze_time(now):
        errors = execute_sensor_iteration(
            workspace,
            get_default_daemon_logger("SensorDaemon"),
            threadpool_executor=None,
            submit_threadpool_executor=None,
            debug_crash_flags=flags,  # type: ignore[arg-type]
        )
        assert not [error for error in errors if error]


def die(ref: InstanceRef, file: Path, now: datetime, dying_at: str) -> None:
    """A daemon of its own that is killed."""
    with dg.DagsterInstance.from_ref(ref) as instance, workspace_of(instance, file) as workspace:
        look_once(workspace, now, dying_at)


@pytest.mark.slow
def test_a_daemon_that_is_killed_anywhere_in_a_tick_launches_each_run_once_and_loses_no_change(
    watching_time: Watching, tmp_path: Path
) -> None:
    file = tmp_path / "project.py"
    file.write_text(
        "from harvest_pipeline.definitions import build_definitions\ndefs = build_definitions()\n"
    )
    watching_time.account.create("time_entries", spent_date=MONDAY)
    with dg.instance_for_test() as instance, workspace_of(instance, file) as workspace:
        (entry,) = workspace.create_request_context().get_code_location_entries().values()
        assert entry.code_location, entry.load_error
        (repository,) = entry.code_location.get_repositories().values()
        with freeze_time(NOW - MINUTE):
            instance.start_sensor(repository.get_sensor(_SENSOR))
        fork = multiprocessing.get_context("fork")
        now = NOW
        for dying_at in ("TICK_CREATED", "RUN_IDS_RESERVED", "RUN_CREATED", "RUN_LAUNCHED"):
            daemon = fork.Process(target=die, args=(instance.get_ref(), file, now, dying_at))
            daemon.start()
            daemon.join(PATIENCE)
            assert daemon.exitcode == -signal.SIGKILL, dying_at
            now += 6 * MINUTE
        look_once(workspace, now)
        runs = [run for run in instance.get_runs() if "harvest/changes" in run.tags]
        of_monday = [
            run
            for run in runs
            if run.tags.get("dagster/asset_partition_range_start") == f"{MONDAY}"
        ]
        (run,) = of_monday
        assert run.status is dg.DagsterRunStatus.QUEUED
        assert len({each.tags["dagster/run_key"] for each in runs}) == len(runs)
        # The queue has done its work: nothing is left to do for the next tick.
        watching_time.account.clock.advance(60)
        watching_time.load()
        for each in runs:
            ended = DagsterEvent(DagsterEventType.RUN_SUCCESS.value, each.job_name)
            instance.report_dagster_event(ended, each.run_id)
        look_once(workspace, now + 6 * MINUTE)
        assert len(instance.get_runs()) == len(runs)
