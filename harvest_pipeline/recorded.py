"""What Dagster has recorded of an asset, held against what the database still has.

Belongs here: finding the partitions that Dagster shows as loaded and whose load is gone.
Does not belong here: who is told of them (checks.py, doctor/recorded.py).

A database can lose loads without a word: an older copy is put back, or its log is deleted or
damaged (DuckDB 2.0 opens it and leaves out what follows the damage). What is lost is always the
end, every load after some moment. So where the last load that Dagster knows of is there, nothing
was lost since that was looked at before; only after a loss everything is compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg
import duckdb
from dagster._core.storage.asset_check_execution_record import (
    COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES,
    AssetCheckExecutionRecordStatus,
)

from harvest_pipeline.warehouse.last_loads import last_load, without_load

#: The check that every asset brings with it, and the metadata of a materialization that it reads.
CHECK = "loads_are_still_there"
LOAD = "load"


@dataclass(frozen=True, slots=True)
class Loss:
    """What Dagster has recorded of an asset and the database does not have.

    `partitions` are those that are still missing: days, None for an asset without partitions; none
    of them if a later load has brought them all again.
    """

    partitions: tuple[str | None, ...]

    @property
    def stretches(self) -> list[str]:
        """The days, those that follow each other as one; nothing for an asset without days."""
        stretches: list[tuple[date, date]] = []
        for day in sorted(date.fromisoformat(each) for each in self.partitions if each):
            if stretches and stretches[-1][1] + timedelta(days=1) == day:
                stretches[-1] = stretches[-1][0], day
            else:
                stretches.append((day, day))
        return [f"{a}" if a == b else f"{a} to {b}" for a, b in stretches]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What Dagster knows of an asset at one moment: at the beginning of a step, say.

    `load` is the id of the load of its latest materialization; None if there is none, or if that
    is from elsewhere (reported by hand, or by an older version). `newest` is that of the newest
    load in the ledger: what a step that has nothing to load rests on.
    """

    instance: dg.DagsterInstance
    asset: dg.AssetKey
    load: str | None
    newest: str | None

    @classmethod
    def until_now(
        cls,
        instance: dg.DagsterInstance,
        asset: dg.AssetKey,
        connection: duckdb.DuckDBPyConnection,
    ) -> "Recorded":
        """What is known now."""
        loads = _loads(instance, dg.AssetRecordsFilter(asset_key=asset), 1)
        return cls(instance, asset, next(iter(loads.values()), None), last_load(connection))

    def loss(self, connection: duckdb.DuckDBPyConnection) -> Loss | None:
        """What the database has lost; None if nothing.

        Costs a few milliseconds unless something was lost, then half a second per thousand days.
        """
        is_lost = self.load is not None and bool(without_load(connection, [self.load]))
        if self.load is not None and not is_lost and not self._was_lost():
            return None
        missing = self._missing(connection)
        return Loss(missing) if missing or is_lost else None

    def _was_lost(self) -> bool:
        """Whether the check found something missing when it was evaluated last."""
        last = self.instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(self.asset, CHECK),
            limit=1,
            status=COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES,
        )
        return any(each.status is AssetCheckExecutionRecordStatus.FAILED for each in last)

    def _missing(self, connection: duckdb.DuckDBPyConnection) -> tuple[str | None, ...]:
        """The partitions whose latest materialization is of a load that is gone."""
        latest = self.instance.get_latest_storage_id_by_partition(
            self.asset, dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        ids: Sequence[int] | None = list(latest.values()) or None
        chosen = dg.AssetRecordsFilter(asset_key=self.asset, storage_ids=ids)
        loads = _loads(self.instance, chosen, max(len(latest), 1))
        gone = without_load(connection, set(loads.values()))
        return tuple(partition for partition, load in loads.items() if load in gone)


def _loads(
    instance: dg.DagsterInstance, chosen: dg.AssetRecordsFilter, limit: int
) -> Mapping[str | None, str]:
    """The ids of the loads that materializations name, by partition."""
    loads: dict[str | None, str] = {}
    for record in instance.fetch_materializations(chosen, limit).records:
        materialization = record.asset_materialization
        if materialization is not None and LOAD in materialization.metadata:
            loads[materialization.partition] = str(materialization.metadata[LOAD].value)
    return loads
