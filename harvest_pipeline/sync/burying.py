"""What a run leaves in Dagster whose process was killed: an entry that says it is running.

Belongs here: setting that right at once; Dagster's daemon would do it hours later, if it runs.
Does not belong here: runs whose process lives (worker.py).
"""

import dagster as dg


def bury(home: str, run_id: str) -> None:
    """Let the run of the instance at `home` count as failed, and free its pool."""
    with dg.DagsterInstance.from_config(home) as instance:
        run = instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, "The process of the run was killed.")
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
