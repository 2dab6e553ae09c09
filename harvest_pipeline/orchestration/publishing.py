"""The copy for readers is published at the end of a run, by the run's own process."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.storage.tags import MAX_RETRIES_TAG

from harvest_pipeline.safety.files import private_files
from harvest_pipeline.warehouse.database import WAITING, Warehouse
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.publish import publish


# Of any other exception at the end of a run Dagster only takes note, and the run counts as
# successful: a backup that is not made any more has to be seen.
class NotPublished(dg.DagsterError):
    """The copy for readers could not be published. Everything was loaded all the same.

    Make room on the disk, or the folder of `HARVEST_PUBLISH` writable; the next run that changes
    something publishes it (docs/publishing.md).
    """


@contextmanager
def published_afterwards(
    context: dg.InitResourceContext, warehouse: Warehouse, target: Path
) -> Generator[None]:
    """The lifetime of a resource that all runs use; at its end the copy is published, if a step has
    succeeded and no other run is under way.

    Otherwise a reader would see half of what the other one loads; that one publishes in its turn.
    Raises NotPublished.
    """
    import fcntl  # not on Windows, where everything else of Dagster's works

    run, instance = context.run, context.instance
    if run is None or instance is None:  # no run: somebody loads a value
        yield
        return
    log = context.log or dg.get_dagster_logger()
    try:
        warehouse.place.prepare()
        with private_files():
            lock = warehouse.place.beside(".runs.lock").open("a")
    except OSError:  # nothing can be loaded there; opening the database says why
        yield
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info(f"{WAITING}another run is publishing {target}")
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield
        if not _has_loaded(instance, run.run_id):
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info(f"Another run is under way, and publishes {target} when it ends.")
            return
        began = time.monotonic()
        try:
            if publish(warehouse, target):
                log.info(f"Published {target} in {time.monotonic() - began:.1f} s.")
        except WarehouseError as error:
            # Dagster would launch the run again, in which there is nothing left to execute.
            instance.add_run_tags(run.run_id, {MAX_RETRIES_TAG: "0"})
            raise NotPublished(str(error)) from None
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
            instance.report_run_canceling(run)  # else Dagster takes it for a failure
            raise


def _has_loaded(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a step of the run has succeeded, and nobody has cancelled it."""
    now = instance.get_run_by_id(run_id)
    if now is None or now.status is not dg.DagsterRunStatus.STARTED:
        return False
    found = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_SUCCESS, limit=1)
    return bool(found.records)
