"""Dagster's instance, without the rows that its planning of checks makes by mistake.

Belongs here: that class, which dagster.yaml names.
Does not belong here: what is read from an instance (doctor/).

When a run over days begins, Dagster 1.13 writes down for each check that it is planned, once for
each day of the run, also for checks without days, which are all of this project. These rows are
never looked at again: the evaluation has no day and makes a row of its own. A year of all reports
made 41,000 of them, 80 MiB for ever (`benchmarks/storage.py`). The cause is
`DagsterRun.get_resolved_partitions_subset_for_events`: the days of the run go before those of the
check.
"""

import logging
from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)
from dagster._core.instance.ref import InstanceRef

from harvest_pipeline.checks import NAMES
from harvest_pipeline.settings import load_environment


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
