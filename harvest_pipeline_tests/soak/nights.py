"""One night after the other, and what came of each.

Belongs here: the order of a night: people work, the pipeline does, the two are compared.
Does not belong here: any of these (people.py, night.py, equal.py).
"""

import json
import multiprocessing
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.sandbox.server import SandboxServer
from harvest_pipeline.sandbox.truth import truth
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.equal import differences, not_kept
from harvest_pipeline_tests.soak import days
from harvest_pipeline_tests.soak.night import UNEXPLAINED, Task, work
from harvest_pipeline_tests.soak.people import People, Row
from harvest_pipeline_tests.soak.weather import Climate, Weather

#: Long ago, so that the account's clock never overtakes ours: the sweep asks ours how long ago an
#: invoice's messages and payments were read.
FIRST_NIGHT = date(1999, 1, 4)
#: The first day that is kept: before the latest of late entries of the first night.
_KEPT_FROM = date(1998, 1, 1)
#: A run whose process died is run again (dagster.yaml, run_retries).
_RUNS = 3
#: Nights until the sweep has come round.
_SWEEP = 7
_A_DAY = 24 * 3600
_TOO_LONG = 900.0
#: Starting Python and importing takes a second: it is done once, and the server forks.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([work.__module__])


@dataclass(frozen=True)
class Night:
    """What came of a night. `outcome`: "first" (green at the first try), "retried" (green, but a
    step or a run was tried again), "red". `wrong` are the differences after a green one."""

    number: int
    outcome: str
    wrong: tuple[str, ...]
    seconds: float
    edits: tuple[str, ...]
    log: tuple[str, ...]


@dataclass
class Tally:
    """The sums of nights."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    wrong: int = 0
    edits: int = 0
    seconds: float = 0.0

    def add(self, night: Night) -> None:
        """Count a night."""
        self.outcomes[night.outcome] += 1
        self.wrong += bool(night.wrong)
        self.edits += len(night.edits)
        self.seconds += night.seconds

    def line(self, weather: Weather) -> str:
        """All of it, for people."""
        nights = self.outcomes.total()
        green = nights - self.outcomes["red"]
        return (
            f"{nights} nights: {self.outcomes['first']} green at the first try, "
            f"{self.outcomes['retried']} after a retry, {self.outcomes['red']} red "
            f"({green / nights:.2%} green), {self.wrong} wrong; {self.edits} edits, "
            f"{weather.requests} requests, {weather.faults.total()} faults, "
            f"{weather.deaths['KILL']} kills, {weather.deaths['TERM']} cancellations; "
            f"{self.seconds / nights:.2f} s a night"
        )


class Nights:
    """An account and its warehouse in `folder`."""

    def __init__(self, sandbox: SandboxServer, folder: Path, seed: int, climate: Climate) -> None:
        self.sandbox = sandbox
        self.account = sandbox.account
        self.folder = folder
        self.database = folder / "warehouse.duckdb"
        self.seed = seed
        self.people = People(self.account)
        self._disturbed: set[Row] = set()
        self.weather = Weather(seed, climate, self._disturb)
        sandbox.world.faults = self.weather
        #: Rows that a green night has brought, and those of them that are gone from the account.
        self._brought: dict[str, set[int]] = {}
        self._gone: dict[str, set[int]] = {name: set() for name in RECORDS}
        #: What changed in silence, and how many green nights it may still be missing.
        self._awaited: dict[Row, int] = {}

    def night(self, number: int) -> Night:
        """A day's work of the people, and then the pipeline's night."""
        began = time.monotonic()
        chance = Random(f"{self.seed}/{number}")
        self.account.clock.advance(_A_DAY / 2)
        edits = days.work(self.people, chance)
        self.account.clock.advance(_A_DAY / 2 + chance.randint(-3600, 3600))
        self._awaited |= dict.fromkeys(self.people.silent, _SWEEP)
        self.people.silent.clear()
        self._disturbed.clear()
        outcome, log = self._pipeline(number)
        wrong = self._compare() if outcome != "red" else []
        seconds = time.monotonic() - began
        return Night(number, outcome, tuple(wrong), seconds, tuple(edits), tuple(log))

    def _disturb(self, chance: Random) -> None:
        self._disturbed |= days.interfere(self.people, chance)

    def _pipeline(self, number: int) -> tuple[str, list[str]]:
        """Runs until one succeeds, or fails in a way that Dagster does not try again."""
        runs: tuple[str, ...] = ()
        log: list[str] = []
        for attempt in range(_RUNS):
            runs = (f"{self.seed}-{number}-{attempt}", *runs)
            exit_code, told = self._run(number, attempt, runs)
            log += [f"run {attempt}: exit code {exit_code}, {told['error']}", *told["log"]]
            if exit_code == UNEXPLAINED:
                raise AssertionError(f"night {number} of seed {self.seed}: {told['error']}")
            if exit_code == 0:
                return ("first" if told["tries"] == 1 and attempt == 0 else "retried"), log
            if exit_code is not None and exit_code > 0:
                break
        return "red", log

    def _run(
        self, number: int, attempt: int, runs: tuple[str, ...]
    ) -> tuple[int | None, dict[str, Any]]:
        task = Task(
            self.sandbox.api_url,
            self.sandbox.id_url,
            self.sandbox.tokens["administrator"],
            self.account.id,
            self.folder,
            self.database,
            Window(_KEPT_FROM, self.people.today),
            self.people.today,
            runs,
        )
        task.told.unlink(missing_ok=True)
        self.weather.begin(number, attempt)
        process = _processes.Process(target=work, args=(task,))
        process.start()
        self.weather.strikes(process.pid or 0)
        process.join(_TOO_LONG)
        self.weather.end()
        if process.is_alive():
            process.kill()
            raise AssertionError(f"night {number} did not end within {_TOO_LONG:g} seconds")
        told = json.loads(task.told.read_text("utf-8")) if task.told.exists() else None
        return process.exitcode, told or {"tries": None, "error": "no word", "log": []}

    def _compare(self) -> list[str]:
        """What is wrong, but for what cannot be known yet: edits that came while the night's work
        was being done, and for a week those that Harvest does not tell of."""
        found = differences(self.database, self.account)
        with self.account.lock:
            there = {
                name: {row["id"] for row in truth(self.account.records, name)} for name in RECORDS
            }
        missing = {_row(line) for line in found if line.endswith(": is missing")}
        for name, ids in there.items():
            self._gone[name] = (self._gone[name] | (self._brought.get(name, set()) - ids)) - ids
            self._brought[name] = {id for id in ids if (name, id) not in missing}
        found += not_kept(self.database, self._gone)
        known_later = self._disturbed | self._awaited.keys()
        self._awaited = {row: left - 1 for row, left in self._awaited.items() if left > 1}
        return [line for line in found if _row(line) not in known_later]


@contextmanager
def new_account(folder: Path, seed: int, climate: Climate) -> Iterator[Nights]:
    """A small account of which nothing is loaded yet. `folder` must be empty."""
    with SandboxServer(
        seed=seed, today=FIRST_NIGHT, years=0.2, scale=0.3, rate_limit=None, refuse_get_bodies=True
    ) as sandbox:
        yield Nights(sandbox, folder, seed, climate)


def spend(
    folder: Path, seed: int, nights: int, climate: Climate
) -> Iterator[tuple[Night, Tally, Weather]]:
    """Nights, until one is wrong; each with the sums up to it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with new_account(folder, seed, climate) as spent:
        tally = Tally()
        for number in range(1, nights + 1):
            night = spent.night(number)
            tally.add(night)
            yield night, tally, spent.weather
            if night.wrong:
                return


def _row(line: str) -> Row | None:
    """The row that a difference is about; None if it is about a table."""
    words = line.split(":")[0].split()
    return (words[0], int(words[1])) if len(words) == 2 else None
