"""Dagster's instance as dagster.yaml names it: it fails the runs of processes that died, and is
without the rows that Dagster's planning of checks makes by mistake.

When a run over days begins, Dagster 1.13 writes down for each check that it is planned, once for
each day of the run, also for checks without days, which are all of this project. These rows are
never looked at again: the evaluation has no day and makes a row of its own. A year of all reports
made 41,000 of them, 80 MiB for ever (`benchmarks/storage.py`). The cause is
`DagsterRun.get_resolved_partitions_subset_for_events`: the days of the run go before those of the
check.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)
from dagster._core.instance.ref import InstanceRef
from dagster._core.utils import make_new_run_id

from harvest_pipeline.orchestration import running
from harvest_pipeline.orchestration.checks import NAMES
from harvest_pipeline.settings import load_environment

if TYPE_CHECKING:  # Dagster itself imports it late
    from dagster._daemon.types import DaemonHeartbeat

#: A run that is launched or begins here, and one that waits for somebody or has ended.
_HELD = {dg.DagsterEventType.RUN_STARTING, dg.DagsterEventType.RUN_START}
_LET_GO = {
    dg.DagsterEventType.RUN_ENQUEUED,
    dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.RUN_CANCELED,
}


class Instance(dg.DagsterInstance):
    """Dagster's own in everything else: the same configuration, the same files."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        # Of the processes of `dagster dev` the first alone knows what was set beside `.env`.
        load_environment()
        super().__init__(*arguments, **named)

    @classmethod
    def config_schema(cls) -> Mapping[str, Any]:
        """The settings of its own in dagster.yaml: none."""
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Mapping[str, Any]:
        """What holds where dagster.yaml says nothing."""
        return InstanceRef.config_defaults(base_dir)

    def create_run_for_job(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        job_def: dg.JobDefinition,
        execution_plan: Any = None,
        run_id: str | None = None,
        **others: Any,
    ) -> dg.DagsterRun:
        """Make a run that this process executes: what others execute is made with `create_run`."""
        running.fail_dead_runs(self)
        run_id = run_id or make_new_run_id()
        # Its days are planned first, for minutes if they are many.
        running.hold(self, run_id)
        return super().create_run_for_job(job_def, execution_plan, run_id, **others)

    def add_daemon_heartbeat(self, daemon_heartbeat: "DaemonHeartbeat") -> None:
        """Note that a daemon lives, which it says every 30 seconds, and look who does not."""
        super().add_daemon_heartbeat(daemon_heartbeat)
        running.fail_dead_runs(self)

    def handle_new_event(self, event: dg.EventLogEntry, *, batch_metadata: Any = None) -> None:
        """Keep an event; show while this process launches or executes its run."""
        kind = event.dagster_event_type if event.is_dagster_event else None
        if kind in _HELD:
            running.hold(self, event.run_id)
        super().handle_new_event(event, batch_metadata=batch_metadata)
        if kind in _LET_GO:
            running.let_go(self, event.run_id)

    def report_dagster_event(
        self,
        dagster_event: dg.DagsterEvent,
        run_id: str,
        log_level: str | int = logging.INFO,
        batch_metadata: Any = None,
        timestamp: float | None = None,
    ) -> None:
        """Keep an event; one that says that a check of this project is planned, without days."""
        planned = dagster_event.event_specific_data
        if isinstance(planned, AssetCheckEvaluationPlanned) and planned.check_name in NAMES:
            once = AssetCheckEvaluationPlanned(
                asset_key=planned.asset_key, check_name=planned.check_name
            )
            dagster_event = dagster_event._replace(event_specific_data=once)
        super().report_dagster_event(dagster_event, run_id, log_level, batch_metadata, timestamp)
