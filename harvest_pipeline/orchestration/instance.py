"""The Dagster instance of dagster.yaml: it fails the runs of dead processes, and skips superfluous
rows about planned checks.

When a run over days begins, Dagster 1.13 records for each check that it is planned, once for each
day of the run, even for checks without partitions, which all of this project's are. These rows are
never read again: the evaluation has no day and makes its own row. A year of all reports made 41,000
of them, 80 MiB that were never freed (`benchmarks/storage.py`). The cause is
`DagsterRun.get_resolved_partitions_subset_for_events`: the days of the run take precedence over
those of the check.
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

#: A run that is launched or begins here, and one that is waiting or has ended.
_HELD = {dg.DagsterEventType.RUN_STARTING, dg.DagsterEventType.RUN_START}
_LET_GO = {
    dg.DagsterEventType.RUN_ENQUEUED,
    dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.RUN_CANCELED,
}


class Instance(dg.DagsterInstance):
    """Like Dagster's own in everything else: the same configuration, the same files."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        # Of the processes of `dagster dev`, only the first knows what was set besides `.env`.
        load_environment()
        super().__init__(*arguments, **named)

    @classmethod
    def config_schema(cls) -> Mapping[str, Any]:
        """The additional settings in dagster.yaml: none."""
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Mapping[str, Any]:
        """The defaults for dagster.yaml."""
        return InstanceRef.config_defaults(base_dir)

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

    def add_daemon_heartbeat(self, daemon_heartbeat: "DaemonHeartbeat") -> None:
        """Record a daemon's heartbeat, every 30 seconds, and look for dead runs."""
        super().add_daemon_heartbeat(daemon_heartbeat)
        running.fail_dead_runs(self)

    def handle_new_event(self, event: dg.EventLogEntry, *, batch_metadata: Any = None) -> None:
        """Store an event; hold the run's lock while this process launches or executes it."""
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
        """Store an event; one about a planned check of this project is stored without days."""
        planned = dagster_event.event_specific_data
        if isinstance(planned, AssetCheckEvaluationPlanned) and planned.check_name in NAMES:
            once = AssetCheckEvaluationPlanned(
                asset_key=planned.asset_key, check_name=planned.check_name
            )
            dagster_event = dagster_event._replace(event_specific_data=once)
        super().report_dagster_event(dagster_event, run_id, log_level, batch_metadata, timestamp)
