"""Celery's run launcher for hosts of which one may die: it asks the worker whether it has the run.

`deploy/celery/dagster.yaml` names it; nothing else imports this module, which needs the extra
`server`.
"""
# pyright: basic, reportMissingImports=false

import dagster as dg
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

#: Seconds; a worker answers beside its runs, as soon as its machine lets it.
_TIMEOUT = 10.0


class CeleryLauncher(CeleryRunLauncher):
    """Dagster's own in everything but what it takes for a living worker.

    Dagster's goes by what Celery has stored of a task. A worker that is killed, or whose machine
    is, stores nothing any more: its runs would count as running for ever.
    """

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the run's worker has it, has ended it, or is gone. Takes ten seconds if it is."""
        health = super().check_run_worker_health(run)
        if health.status is not WorkerStatus.RUNNING:
            return health
        task = self.celery.AsyncResult(run.tags[DAGSTER_CELERY_TASK_ID_TAG])
        worker = (task.info or {}).get("hostname")
        control = self.celery.control.inspect([worker], timeout=_TIMEOUT, limit=1)
        answers = control.query_task(task.id) or {}
        if any(task.id in tasks for tasks in answers.values()):
            return health
        # Unless it has ended between the two questions.
        health = super().check_run_worker_health(run)
        if health.status is not WorkerStatus.RUNNING:
            return health
        return CheckRunHealthResult(WorkerStatus.FAILED, f"{worker} does not have the run any more")
