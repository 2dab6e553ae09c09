"""Old runs of the sensor, which are many and small, are deleted with the files that they left."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage

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
