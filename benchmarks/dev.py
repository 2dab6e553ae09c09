"""`make dev` at rest, and how long a change at Harvest takes to its row.

    .venv/bin/python -m benchmarks.dev [changes] [seconds at rest]

Serves the UI with its daemon and the sensor on every 60 seconds (HARVEST_CHANGES_SECONDS), on a
sandbox account of a year that was loaded before, at Harvest's limits. At rest the sensor finds
nothing. Then, again and again at another moment of the sensor's minute, five entries on scattered
days change, and the database is looked at until all five rows show it.
"""

import os
import random
import sys
import time
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from benchmarks.measure import Part, Target, cost_of, make_dagster_home, prose, table
from harvest_pipeline_tests.cli.ui.conftest import REPOSITORY, Dev, started_dev
from harvest_pipeline_tests.sandbox.server import SandboxServer

INTERVAL = 60
#: Longer than any tick, run and load.
PATIENCE = 300.0
_START = """
mutation($sensor: SensorSelector!) { startSensor(sensorSelector: $sensor) {
  __typename ... on Sensor { name } ... on PythonError { message } } }"""
_TICKS = os.sysconf("SC_CLK_TCK")


def _processor(processes: Iterable[int]) -> float:
    """Seconds of processor that they and their ended children have taken."""
    fields = [
        Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split() for each in processes
    ]
    return sum(sum(map(int, each[11:15])) for each in fields) / _TICKS


def _megabytes(processes: Iterable[int]) -> float:
    """Resident memory, what processes share counted once."""
    lines = [
        line.split()
        for each in processes
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
    ]
    return sum(int(line[1]) for line in lines if line[0] == "Pss:") / 1024


def _rest(dev: Dev, seconds: float) -> tuple[float, float]:
    """The share of a core, and megabytes."""
    processes = list(dev.processes())
    before, began = _processor(processes), time.monotonic()
    time.sleep(seconds)
    share = (_processor(processes) - before) / (time.monotonic() - began)
    return share, _megabytes(processes)


def _arrived(database: Path, hours: dict[int, float]) -> bool:
    """Whether all of these entries have these hours."""
    try:
        with duckdb.connect(database, read_only=True) as connection:
            found = connection.execute(
                f"SELECT id, hours FROM harvest.time_entries WHERE id IN {tuple(hours)}"
            ).fetchall()
    except duckdb.Error:  # it is being loaded
        return False
    return {key: float(value) for key, value in found} == hours


def _change(sandbox: SandboxServer, database: Path, number: int) -> float:
    """Seconds from the change of five entries to the last of their rows."""
    entries = sandbox.account.records.time_entries.ascending()
    hours = {entries[-1 - number - 300 * place].id: float(1 + number) + 0.25 for place in range(5)}
    assert len({entries[-1 - number - 300 * place].spent_date for place in range(5)}) == 5
    began = time.monotonic()
    for key, value in hours.items():
        sandbox.account.change("time_entries", key, hours=value)
    while not _arrived(database, hours):
        if time.monotonic() - began > PATIENCE:
            raise TimeoutError("a change has not arrived")
        time.sleep(0.5)
    return time.monotonic() - began


def measure(changes: int = 3, seconds: float = 2 * INTERVAL) -> Part:
    """Load, rest, change."""
    chance = random.Random(1)
    with SandboxServer(years=1) as sandbox, TemporaryDirectory(prefix="dev-") as name:
        database = Path(name) / "warehouse.duckdb"
        environment = {
            **sandbox.environment(),
            "DAGSTER_HOME": str(make_dagster_home(Path(name))),
            "HARVEST_DUCKDB": str(database),
            "HARVEST_START_DATE": f"{date.today() - timedelta(days=364)}",
            "HARVEST_CONFIG": os.devnull,
            "HARVEST_CHANGES_SECONDS": str(INTERVAL),
            "PYTHON_DOTENV_DISABLED": "1",
        }
        cost_of("harvest_pipeline.cli", "sync", "--days-back", "364", environment=environment)
        with started_dev(environment, Path(name) / "dev.txt") as dev:
            sensor = {**REPOSITORY, "sensorName": "harvest_changes"}
            said = dev.ask(_START, sensor=sensor)["startSensor"]
            assert said["__typename"] == "Sensor", said
            time.sleep(INTERVAL)  # the first ticks load code, and bring what changed meanwhile
            share, megabytes = _rest(dev, seconds)
            took: list[float] = []
            for number in range(changes):
                took.append(_change(sandbox, database, number))
                time.sleep(chance.uniform(0, 10))
    rows: list[list[object]] = [[n + 1, f"{each:.0f} s"] for n, each in enumerate(took)]
    text = (
        f"{prose(__doc__)}\n\n{table(['change', 'to its rows'], rows)}\n\n"
        f"At rest for {seconds:.0f} s: {share:.1%} of a core, {megabytes:.0f} MB."
    )
    return Part(
        "A running `make dev`",
        text,
        [
            Target(
                "a change at Harvest to its row, five scattered days, sensor on every 60 s",
                "at most 90 s",
                f"{max(took):.0f} s at most of {changes}",
                max(took) <= 90,
                "up to 60 s to the next tick, then a new process that imports Dagster",
            ),
            Target(
                "`make dev` at rest, processor",
                "at most 5 % of a core",
                f"{share:.1%}",
                share <= 0.05,
                "Dagster's daemon and webserver look for work and for changed code",
            ),
            Target(
                "`make dev` at rest, memory",
                "at most 600 MB",
                f"{megabytes:.0f} MB",
                megabytes <= 600,
                "four processes that each import Dagster",
            ),
        ],
    )


if __name__ == "__main__":
    print(measure(*map(int, sys.argv[1:])))
