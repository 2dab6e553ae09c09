"""The night's work, in a process of its own that can be killed.

It is what the op of the job `<account>_reconcile` does, without Dagster: that would be four fifths
of the time and is killed in other tests. What Dagster does about failures is done here: a step that
may mend itself is tried three times (failures.py), a run whose process died is run again
(dagster.yaml; nights.py).
"""

import json
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from traceback import format_exc
from typing import NoReturn

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.harvest.auth import PersonalAccessToken
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import HarvestError
from harvest_pipeline.harvest.http import Patience
from harvest_pipeline.harvest.limits import Limit, Limits
from harvest_pipeline.loading import proof
from harvest_pipeline.loading import reconcile as reconciliation
from harvest_pipeline.loading.figures import QUESTIONS
from harvest_pipeline.loading.reconcile import RECONCILE, Reconciliation
from harvest_pipeline.loading.verify import compare_and_repair
from harvest_pipeline.loading.window import Loads, spool_folder
from harvest_pipeline.orchestration.steps import Retries
from harvest_pipeline.scope import Window
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.ledger import LoadContext
from harvest_pipeline_tests.places import place_at

#: As many attempts as ever, only sooner after each other.
_PATIENCE = Patience(
    connect=2.0, read=1.5, deadline=3.0, first_pause=0.01, longest_pause=0.03, reread_pause=0.02
)
_LIMITS = Limits(Limit(1_000_000, 1.0, fallback_pause=0.05), Limit(1_000_000, 1.0, 0.05))
_PAGE = 60
#: Exit codes: Harvest or the database refused; somebody cancelled the run; what should not happen.
FAILED, CANCELLED, UNEXPLAINED = 1, 2, 3


@dataclass(frozen=True)
class Task:
    """A run to be done. `runs` are its id and those of the runs that it retries."""

    api_url: str
    id_url: str
    token: str
    account_id: int
    folder: Path
    database: Path
    days: Window
    runs: tuple[str, ...]

    @property
    def told(self) -> Path:
        """The file in which the process tells what became of it."""
        return self.folder / "told.json"


def work(task: Task) -> None:
    """Do it, and tell of it."""
    lines: list[str] = []
    cancelled: list[int] = []

    def cancel(number: int, frame: object) -> NoReturn:
        cancelled.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, cancel)
    # So that the lists of a small account are counted, searched by halves, and read again in turn.
    proof.PAGE = reconciliation.PAGE = _PAGE
    told: dict[str, object] = {"tries": None, "error": None, "different": []}
    code = 0
    try:
        told["tries"], told["different"] = _tries(task, lines)
    except BaseException as error:
        told["error"] = f"{type(error).__name__}: {error}"
        # DuckDB makes a RuntimeError of whatever a signal raises while it works.
        code = CANCELLED if cancelled else FAILED
        if not cancelled and not isinstance(error, (HarvestError, WarehouseError)):
            told["error"], code = format_exc(), UNEXPLAINED
    task.told.write_text(json.dumps({**told, "log": lines}), "utf-8")
    sys.exit(code)


def _tries(task: Task, lines: list[str]) -> tuple[int, list[str]]:
    """The number of tries that the step took, and what the comparison says; raises what the last
    one raised."""
    further = Retries.of(None).further
    for number in range(1, further + 2):
        try:
            return number, _reconciled(task, lines)
        except HarvestError as error:
            lines.append(f"try {number}: {type(error).__name__}: {error}")
            if not error.retryable or number > further:
                raise
    raise AssertionError("there is a last try")


def _reconciled(task: Task, lines: list[str]) -> list[str]:
    """The figures that differ from Harvest's reports after all of it."""
    client = HarvestClient(
        api_url=task.api_url,
        id_url=task.id_url,
        credentials=PersonalAccessToken(task.token),
        account_id=str(task.account_id),
        instance=None,
        contact="soak@example.com",
        state_folder=task.folder / "state",
        log=lines.append,
        patience=_PATIENCE,
        limits=_LIMITS,
    )
    warehouse = Warehouse(place_at(task.database), "harvest", log=lines.append)
    try:
        with spool_folder(task.folder / "state") as folder:
            identity = client.identity
            loads = Loads(client, warehouse, task.runs, folder, lines.append, only_changed=True)
            context = LoadContext(task.runs[0], RECONCILE, task.account_id, identity.reader)
            records = [record for record in RECORDS.values() if record.endpoint]
            night = Reconciliation(loads, context, records, task.days, thorough=True)
            for found in night.run():
                lines.append(f"{found.record.name}: {found.requests} requests")
            if night.refused:
                raise night.refused
            compared = [
                compare_and_repair(
                    client, warehouse, theme, task.days, task.days.last, night.read_again
                )
                for theme in QUESTIONS
            ]
            lines += [f"{each.theme}: {each.requests} requests" for each in compared]
            return [str(pair) for each in compared for pair in each.differences]
    finally:
        client.close()
