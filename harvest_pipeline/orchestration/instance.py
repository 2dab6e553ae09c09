"""The Dagster instance of dagster.yaml: it stores events in batches, plans no day of an asset or a
check without days, fails the runs of dead processes, and prints a line for each run.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.events import DagsterEventBatchMetadata
from dagster._core.execution import context_creation_job
from dagster._core.instance.ref import InstanceRef
from dagster._core.instance.runs.run_domain import RunDomain
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_START_TAG
from dagster._core.utils import make_new_run_id
from dagster._serdes import ConfigurableClassData
from dagster_shared import record

from harvest_pipeline.orchestration import event_log, running
from harvest_pipeline.safety.text import one_line
from harvest_pipeline.settings import load_environment

if TYPE_CHECKING:  # Dagster itself imports it late
    from dagster._daemon.types import DaemonHeartbeat

#: A run that is launched or begins here, and one that is waiting or has ended.
_HELD = {dg.DagsterEventType.RUN_STARTING, dg.DagsterEventType.RUN_START}
_LET_GO = {
    dg.DagsterEventType.RUN_ENQUEUED,
    dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.RUN_CANCELED,
}
_ENDED = _LET_GO - {dg.DagsterEventType.RUN_ENQUEUED}
#: Letters of the reason.
_LONGEST = 500
#: Events that are stored together: half a second in which no other process stores one.
_BATCH = 1000
#: How often Dagster's daemon looks for backfills that someone has launched; Dagster's 30 seconds
#: are a long time for a person who looks at the page.
_SECONDS_BETWEEN_BACKFILLS = 3


class _Runs(RunDomain):
    """What Dagster does when a run is made.

    Of a run over days, Dagster 1.13 plans each of the days for assets and checks without days too
    (`DagsterRun.get_resolved_partitions_subset_for_events` takes the days of the run before it
    looks): 44 % of the planned events of all reports, which nobody reads. The range in the run's
    tags says the same, and there Dagster looks.
    """

    def _log_asset_planned_events(
        self, dagster_run: dg.DagsterRun, execution_plan_snapshot: Any, asset_graph: Any
    ) -> None:
        if ASSET_PARTITION_RANGE_START_TAG in dagster_run.tags:
            dagster_run = record.copy(  # pyright: ignore[reportUnknownMemberType]
                dagster_run, partitions_subset=None
            )
        super()._log_asset_planned_events(  # pyright: ignore[reportUnknownMemberType]
            dagster_run, execution_plan_snapshot, asset_graph
        )


class Instance(dg.DagsterInstance):
    """Like Dagster's own in everything else: the same configuration, the same files."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        # Of the processes of `dagster dev`, only the first knows what was set besides `.env`.
        load_environment()
        super().__init__(*arguments, **named)
        if _is_served():
            # Dagster prints every event of a run, which the UI shows. Its setting, the level of
            # `python_logs`, is also the level of what is stored. A job's own loggers stay.
            context_creation_job.default_system_loggers = _none  # pyright: ignore[reportPrivateImportUsage]

    @classmethod
    def config_schema(cls) -> Mapping[str, Any]:
        """The additional settings in dagster.yaml: none."""
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Mapping[str, Any]:
        """The defaults for dagster.yaml."""
        storage = InstanceRef.config_defaults(base_dir)["storage"]
        assert storage
        ours = ConfigurableClassData(
            event_log.__name__, event_log.Storage.__name__, storage.config_yaml
        )
        return {**InstanceRef.config_defaults(base_dir), "storage": ours}

    def _get_event_batch_size(self) -> int:
        return _BATCH

    @cached_property
    def _last_reported(self) -> dict[str, dg.EventLogEntry]:
        """By run, the event that `handle_new_event` keeps back."""
        return {}

    @cached_property
    def run_domain(self) -> RunDomain:
        """What makes the runs."""
        return _Runs(self)

    def create_run_for_job(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        job_def: dg.JobDefinition,
        execution_plan: Any = None,
        run_id: str | None = None,
        **others: Any,
    ) -> dg.DagsterRun:
        """Create a run that this process executes; runs for other processes use `create_run`."""
        running.fail_dead_runs(self)
        run_id = run_id or make_new_run_id()
        # Planning its days comes first, which takes minutes if they are many.
        running.hold(self, run_id)
        return super().create_run_for_job(job_def, execution_plan, run_id, **others)

    def get_backfill_settings(self) -> Mapping[str, Any]:
        """Dagster's settings of backfills; its daemon asks for them before it looks for the
        first."""
        from dagster._daemon import controller  # only the daemon pays for it

        controller.DEFAULT_DAEMON_INTERVAL_SECONDS = _SECONDS_BETWEEN_BACKFILLS
        return super().get_backfill_settings()

    def add_daemon_heartbeat(self, daemon_heartbeat: "DaemonHeartbeat") -> None:
        """Record a daemon's heartbeat, every 30 seconds, and look for dead runs."""
        super().add_daemon_heartbeat(daemon_heartbeat)
        running.fail_dead_runs(self)

    def handle_new_event(self, event: dg.EventLogEntry, *, batch_metadata: Any = None) -> None:
        """Store an event; hold the run's lock while this process launches or executes it.

        The days that an op reports one after the other, which Dagster stores one by one, become a
        batch, as those of an asset are: it ends with the next event of the run of another kind.
        """
        kind = event.dagster_event_type if event.is_dagster_event else None
        if kind in _HELD:
            running.hold(self, event.run_id)
        # Only days: what has none may be looked up by what the same step materializes next.
        reported = (
            kind is dg.DagsterEventType.ASSET_MATERIALIZATION
            and event.get_dagster_event().partition is not None
            and event.step_key is not None
            and batch_metadata is None
        )
        # The last one is kept back: only the next event shows whether it ends the batch.
        if last := self._last_reported.pop(event.run_id, None):
            batch = DagsterEventBatchMetadata(event.run_id, is_end=not reported)
            super().handle_new_event(last, batch_metadata=batch)
        if reported:
            self._last_reported[event.run_id] = event
            return
        super().handle_new_event(event, batch_metadata=batch_metadata)
        if kind in _LET_GO:
            running.let_go(self, event.run_id)
        if kind in _ENDED and _is_served():
            self._print_end(event)

    def _print_end(self, event: dg.EventLogEntry) -> None:
        """One line: when which run of which job ended, how, after how many seconds, and why."""
        if record := self.get_run_record_by_id(event.run_id):
            run, began = record.dagster_run, record.start_time
            after = f" after {event.timestamp - began:.1f} s" if began else ""
            why = f": {one_line(reason, _LONGEST)}" if (reason := _reason(event)) else ""
            ended = f"{datetime.fromtimestamp(event.timestamp):%H:%M:%S}"
            line = f"{ended}  {run.job_name}  {run.run_id}  {run.status.value}{after}{why}"
            print(line, file=sys.stderr, flush=True)


def _is_served() -> bool:
    """Whether this process belongs to `make dev`, whose terminal all runs share."""
    return bool(os.environ.get("DAGSTER_IS_DEV_CLI"))


def _none(instance: dg.DagsterInstance | None) -> Sequence[tuple[dg.LoggerDefinition, Any]]:
    """No logger of a run that has none of its own."""
    return ()


def _reason(event: dg.EventLogEntry) -> str:
    """Why a run failed: the sentence of its first step that failed, else Dagster's message."""
    if event.dagster_event_type is not dg.DagsterEventType.RUN_FAILURE or not event.dagster_event:
        return ""
    data = event.dagster_event.job_failure_data
    if (step := data.first_step_failure_event) is None:
        return data.error.message if data.error else event.dagster_event.message or ""
    failure = step.step_failure_data
    said = failure.user_failure_data and failure.user_failure_data.description
    return f"{step.step_key}: {said or (failure.error and failure.error.message)}"
