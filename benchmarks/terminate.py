"""A run is terminated, or killed, at a random moment (R20, R22).

    .venv/bin/python -m benchmarks.terminate [terminated] [killed]

Starts `harvest-pipeline sync` over three reports so many times, as a person does, and sends
SIGTERM or SIGKILL to the command. Measured is how long it takes until
the command is gone. Afterwards Dagster must call the run cancelled (or failed), nothing may hold
the database, each table must be that of before or that of Harvest, and a second later
nobody may have written any more.
"""

import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg

from harvest_pipeline.orchestration.running import fail_dead_runs
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.cli.command import Place, Terminal
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import truth

REPORTS = ("clients", "tasks", "invoices")
_ENDED = {"SIGTERM": dg.DagsterRunStatus.CANCELED, "SIGKILL": dg.DagsterRunStatus.FAILURE}


def state(place: Place) -> tuple[object, ...]:
    """What the tables hold, and how many loads there were."""
    tables = [place.query(f"SELECT id FROM {name} ORDER BY id") for name in REPORTS]
    return (*tables, place.query("SELECT count(*) FROM _loads"))


def ended(place: Place, name: str, pause: float) -> tuple[float, str]:
    """Start a run and end it by that signal; seconds until it was gone, and its status."""
    terminal = Terminal(place, "sync", *REPORTS, "--days-back", "60")
    terminal.until(lambda: "0 rows" in terminal.output or "[1/3]" in terminal.output)
    time.sleep(pause)
    began = time.monotonic()
    with suppress(ProcessLookupError):  # it was faster
        terminal.send(signal.Signals[name])
    terminal.end()
    took = time.monotonic() - began
    with place.instance() as instance:
        fail_dead_runs(instance)  # as the next command does
    return took, place.last_run().status.value


def look(place: Place, there: list[list[tuple[object]]], name: str, status: str) -> None:
    """Stop at whatever is wrong after the end."""
    assert status in (_ENDED[name].value, "SUCCESS"), status
    assert Warehouse(place.database, "harvest").holder() is None
    before = state(place)
    for found, wanted in zip(before, there, strict=False):
        assert found == wanted, f"half: {found} instead of {wanted}"
    time.sleep(1)
    assert state(place) == before, "somebody wrote after the end"


def main(terminated: int, killed: int) -> None:
    """All of them; prints the longest time and how the runs ended."""
    chance = random.Random()
    with SandboxServer(years=0.2, rate_limit=None) as sandbox, TemporaryDirectory() as folder:
        place = Place(sandbox, Path(folder))
        done = place.run("sync", *REPORTS, "--days-back", "60")
        assert done.returncode == 0, done.stderr
        there = [
            sorted((row["id"],) for row in truth(sandbox.account.records, name))
            for name in REPORTS[:2]
        ]
        loads = place.query("SELECT count(*) FROM _loads")
        for name, times in (("SIGTERM", terminated), ("SIGKILL", killed)):
            seconds: list[float] = []
            statuses: list[str] = []
            for _ in range(times):
                took, status = ended(place, name, chance.uniform(0, 2.5))
                look(place, there, name, status)
                seconds.append(took)
                statuses.append(status)
            counted = ", ".join(f"{each}: {statuses.count(each)}" for each in sorted({*statuses}))
            print(f"{name} {times} times: gone within {max(seconds, default=0):.1f} s; {counted}")
        time.sleep(60 if killed else 0)
        after = place.query("SELECT count(*) FROM _loads")
        print(f"Loads: {loads[0][0]} before, {after[0][0]} a minute after the last.")


if __name__ == "__main__":
    main(*[int(each) for each in sys.argv[1:]] or [50, 10])
