"""Dagster's event log in SQLite, without the rows that its planning of checks makes by mistake.

Belongs here: that storage, which dagster.yaml names, and opening the instance that has it.
Does not belong here: what is read from the event log (recorded.py, doctor/).

When a run over days begins, Dagster 1.13 writes down for each check that it is planned, once for
each day of the run, also for checks without days, which are all of this project. These rows are
never looked at again: the evaluation has no day and makes a row of its own. A year of all reports
made 45,000 of them, which took minutes before the first request and 80 MiB for ever
(`benchmarks/storage.py`). The cause is `DagsterRun.get_resolved_partitions_subset_for_events`: the
days of the run go before those of the check.
"""

import os
from pathlib import Path

import dagster as dg
from dagster._config import UserConfigSchema
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData

from harvest_pipeline.checks import NAMES

_HOME = "dagster_home"


class EventLog(SqliteEventLogStorage):
    """Where Dagster's own is, in `history/runs` of `dagster_home`, and with the same files."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """`dagster_home`: the folder of the instance; dagster.yaml cannot say "this folder"."""
        return {_HOME: dg.StringSource}

    @classmethod
    def from_config_value(  # pyright: ignore[reportIncompatibleMethodOverride] - as its parent does
        cls, inst_data: ConfigurableClassData | None, config_value: dict[str, str]
    ) -> "EventLog":
        """As Dagster makes every storage."""
        base = Path(config_value[_HOME]) / "history" / "runs"
        return cls(base_dir=str(base), inst_data=inst_data)

    def store_asset_check_event(self, event: EventLogEntry, event_id: int | None) -> None:
        """Keep what was planned or found of a check."""
        super().store_asset_check_event(without_days(event), event_id)


def without_days(event: EventLogEntry) -> EventLogEntry:
    """The event; one that says that a check of this project is planned, without the run's days."""
    told = event.dagster_event
    planned = told.event_specific_data if told else None
    if (
        told is None
        or not isinstance(planned, AssetCheckEvaluationPlanned)
        or planned.check_name not in NAMES
    ):
        return event
    once = AssetCheckEvaluationPlanned(asset_key=planned.asset_key, check_name=planned.check_name)
    return event._replace(dagster_event=told._replace(event_specific_data=once))


def instance_of(home: Path | str) -> dg.DagsterInstance:
    """Dagster's instance of a folder, whatever `DAGSTER_HOME` is; dagster.yaml there asks for it.

    Raises whatever Dagster raises for a mistake in dagster.yaml.
    """
    before = os.environ.get("DAGSTER_HOME")
    os.environ["DAGSTER_HOME"] = str(home)
    try:
        return dg.DagsterInstance.from_config(str(home))
    finally:
        if before is None:
            del os.environ["DAGSTER_HOME"]
        else:
            os.environ["DAGSTER_HOME"] = before
