"""A process that does one thing after the other as its parent says: runs in Dagster, and commands.

Belongs here: doing them as `dagster asset materialize` and `harvest-pipeline` do, in one process,
because starting a process for each of them costs seconds.
Does not belong here: what is done and expected (failures.py), and talking to it (stage.py).

It is run as a script, with the number of the descriptor for its answers as argument.
"""

import io
import json
import os
import sys
import traceback
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from typing import Any

import dagster as dg
import keyring.core
from alembic.script import ScriptDirectory

from harvest_pipeline import access, failures
from harvest_pipeline.cli import doctor
from harvest_pipeline.cli.main import main as harvest_pipeline
from harvest_pipeline.connect import accounts as accounts_command
from harvest_pipeline.connect import command as connect_command
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.http import Patience
from harvest_pipeline.settings import SettingsError
from harvest_pipeline.warehouse.database import Warehouse

#: What Dagster raises instead of KeyboardInterrupt.
_INTERRUPTED = (KeyboardInterrupt, dg.DagsterExecutionInterruptedError)
_HASTE = Patience(first_pause=0.01, longest_pause=0.02, reread_pause=0.01, attempts=2)


def _hasty_client(**given: Any) -> HarvestClient:
    return HarvestClient(**{**given, "patience": _HASTE})


def _hurry() -> None:
    """Make pauses blinks: nothing else about the failures is different."""
    # Dagster makes a database for each run, and loads its ninety migrations each time anew.
    ScriptDirectory.from_config = cache(ScriptDirectory.from_config)  # type: ignore[method-assign]
    access.HarvestClient = _hasty_client  # type: ignore[assignment,misc]
    failures._PAUSE_SECONDS = 0.01
    failures.Warehouse = partial(Warehouse, wait_seconds=0.2)  # type: ignore[assignment]
    for module in (accounts_command, connect_command):
        module.PATIENCE = replace(module.PATIENCE, first_pause=0.01, attempts=2)
    doctor._PATIENCE = replace(doctor._PATIENCE, first_pause=0.01, attempts=2)


def _run(instance: dg.DagsterInstance, task: dict[str, Any]) -> dict[str, Any]:
    """A run of some reports, and what its failures say."""
    try:
        job = build_definitions().resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(key) for key in task["assets"]],
            run_config=task["run_config"],
            raise_on_error=False,
        )
    except _INTERRUPTED:
        return {"ok": False, "told": ["interrupted"]}
    except SettingsError as error:
        error.show()
        return {"ok": False, "told": [error.message]}
    told = [str(event.event_specific_data) for event in result.all_events if event.is_failure]
    return {"ok": result.success, "told": told}


def _command(task: dict[str, Any]) -> dict[str, Any]:
    """A `harvest-pipeline` command with pipes; what it prints goes where our own output goes."""
    usual = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(task["typed"]), io.StringIO(), io.StringIO()
    try:
        ok = harvest_pipeline(task["command"]) == 0
    except SystemExit as end:
        ok = end.code == 0
    finally:
        told = [sys.stdout.getvalue(), sys.stderr.getvalue()]
        sys.stdin, sys.stdout, sys.stderr = usual
    print(*told, flush=True)
    return {"ok": ok, "told": told}


def main() -> None:
    """Do what comes line by line on standard input."""
    _hurry()
    ours = {name: value for name, value in os.environ.items() if not name.startswith("HARVEST_")}
    with os.fdopen(int(sys.argv[1]), "w") as answers, dg.DagsterInstance.get() as instance:
        print(json.dumps("ready"), file=answers, flush=True)
        for line in sys.stdin:
            task = json.loads(line)
            os.environ.clear()
            os.environ.update({**ours, **task["environment"]})
            keyring.core.init_backend()
            try:
                answer = _command(task) if task["command"] else _run(instance, task)
            except Exception:
                # What nobody has caught would be on the terminal of the person too.
                traceback.print_exc()
                answer = {"ok": False, "told": [traceback.format_exc()]}
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
