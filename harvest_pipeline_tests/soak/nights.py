"""One night after the other, and what came of each: people work, the pipeline does, the two are
compared."""

import json
import multiprocessing
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

from harvest_pipeline.scope import Window
from harvest_pipeline_tests.equal import WITH_ID, differences, not_kept, out_of_reach
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import truth
from harvest_pipeline_tests.soak import days
from harvest_pipeline_tests.soak.night import UNEXPLAINED, Task, work
from harvest_pipeline_tests.soak.people import A_MONTH, A_WEEK, People, Row
from harvest_pipeline_tests.soak.weather import Climate, Weather

FIRST_NIGHT = date(2026, 1, 5)
#: The first days that are kept, before late entries and after the latest ones.
_KEPT_FROM = FIRST_NIGHT - timedelta(days=120)
#: A run whose process died is run again (dagster.yaml, run_retries).
_RUNS = 3
_A_DAY = 24 * 3600
#: How likely it is of a green night that the warehouse is copied after it.
_COPIED = 0.1
_TOO_LONG = 900.0
#: Starting Python and importing takes a second: it is done once, and the server forks.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([work.__module__])


_ADMINISTRATOR = "administrator"
_RESTORED = "an older warehouse was put back"


@dataclass(frozen=True)
class Night:
    """What came of a night of `person`. `outcome`: "first" (green at the first try), "retried"
    (green, but a step or a run was tried again), "red". `wrong` are the differences after a green
    one, and what a red one lost."""

    number: int
    person: str
    outcome: str
    wrong: tuple[str, ...]
    seconds: float
    edits: tuple[str, ...]
    log: tuple[str, ...]


@dataclass
class Tally:
    """The sums of nights."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    smaller_roles: int = 0
    restored: int = 0
    wrong: int = 0
    edits: int = 0
    seconds: float = 0.0

    def add(self, night: Night) -> None:
        """Count a night."""
        self.outcomes[night.outcome] += 1
        self.smaller_roles += night.person != _ADMINISTRATOR
        self.restored += night.edits[:1] == (_RESTORED,)
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
            f"({green / nights:.2%} green), {self.wrong} wrong; {self.smaller_roles} with a "
            f"smaller role, {self.restored} with an older warehouse; {self.edits} edits, "
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
        sandbox.faults = self.weather
        #: Rows that a green night has brought, and those of them that are gone from the account.
        self._brought: dict[str, set[int]] = {}
        self._gone: dict[str, set[int]] = {name: set() for name in WITH_ID}
        #: What changed in silence, and how many green nights it may still be missing.
        self._awaited: dict[Row, int] = {}
        self._copy: _Copy | None = None

    def night(self, number: int) -> Night:
        """A day's work of the people, and then the pipeline's night."""
        began = time.monotonic()
        chance = Random(f"{self.seed}/{number}")
        restored = self._copy is not None and chance.random() < self.weather.climate.restore
        self.account.clock.advance(_A_DAY / 2)
        self.people.compared = self._days()
        edits = days.work(self.people, chance)
        self.account.clock.advance(_A_DAY / 2 + chance.randint(-3600, 3600))
        self._awaited |= self.people.silent
        if self._copy:
            self._copy.silent.update(self.people.silent)
            if restored:
                edits.insert(0, _RESTORED)
                self._restore(self._copy)
        self.people.silent.clear()
        self._disturbed.clear()
        person = _ADMINISTRATOR
        if number > 1 and chance.random() < self.weather.climate.smaller_role:
            person = chance.choice(["manager", "member"])
        outcome, log, wrong = self._pipeline(number, person)
        if outcome == "red":
            wrong += self._lost()
        elif person != _ADMINISTRATOR:
            wrong.append(f"a {person} reads what an administrator has loaded, and all is green")
        else:
            wrong += self._compare()
            if self._copy is None or chance.random() < _COPIED:
                known = deepcopy((self._brought, self._gone))
                self._copy = _Copy(self.database.read_bytes(), *known, {*self._awaited})
        seconds = time.monotonic() - began
        return Night(number, person, outcome, tuple(wrong), seconds, tuple(edits), tuple(log))

    def _days(self) -> Window:
        return Window(_KEPT_FROM, self.people.today)

    def _restore(self, copy: "_Copy") -> None:
        """Put an older warehouse back, which has never seen what was changed in silence since."""
        self.database.write_bytes(copy.database)
        self._brought, self._gone = deepcopy((copy.brought, copy.gone))
        self._awaited |= {
            row: A_MONTH if row[0] == "time_entries" else A_WEEK for row in copy.silent
        }

    def _disturb(self, chance: Random) -> None:
        self._disturbed |= days.interfere(self.people, chance)

    def _pipeline(self, number: int, person: str) -> tuple[str, list[str], list[str]]:
        """Runs until one succeeds, or fails in a way that Dagster does not try again; and what it
        says itself that differs."""
        runs: tuple[str, ...] = ()
        log: list[str] = []
        for attempt in range(_RUNS):
            runs = (f"{self.seed}-{number}-{attempt}", *runs)
            exit_code, told = self._run(number, attempt, runs, person)
            log += [f"run {attempt}: exit code {exit_code}, {told['error']}", *told["log"]]
            if exit_code == UNEXPLAINED:
                raise AssertionError(f"night {number} of seed {self.seed}: {told['error']}")
            if exit_code == 0:
                outcome = "first" if told["tries"] == 1 and attempt == 0 else "retried"
                return outcome, log, told["different"]
            if exit_code is not None and exit_code > 0:
                break
        return "red", log, []

    def _run(
        self, number: int, attempt: int, runs: tuple[str, ...], person: str
    ) -> tuple[int | None, dict[str, Any]]:
        task = Task(
            self.sandbox.api_url,
            self.sandbox.id_url,
            self.sandbox.tokens[person],
            self.account.id,
            self.folder,
            self.database,
            self._days(),
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

    def _lost(self) -> list[str]:
        """What a green night has brought, Harvest still has, and is here no more."""
        if not self.database.exists():
            return []
        found = differences(self.database, self.account)
        missing = {row for line in found if line.endswith(": is missing") and (row := _row(line))}
        brought = {(name, id) for name, ids in self._brought.items() for id in ids}
        return [f"{name} {id}: is lost" for name, id in (missing & brought) - self._disturbed]

    def _compare(self) -> list[str]:
        """What is wrong, but for what cannot be known yet: edits that came while the night's work
        was being done, new rows on days that are not kept, and for a week or a month those that
        Harvest does not tell of."""
        found = differences(self.database, self.account)
        with self.account.lock:
            there = {
                name: {row["id"] for row in truth(self.account.records, name)} for name in WITH_ID
            }
        missing = {row for line in found if line.endswith(": is missing") and (row := _row(line))}
        brought = {(name, id) for name, ids in self._brought.items() for id in ids}
        far = out_of_reach(self.database, self.account, self._days())
        unknown = {row for row in missing - brought if " ".join(map(str, row)) in far}
        for name, ids in there.items():
            self._gone[name] = (self._gone[name] | (self._brought.get(name, set()) - ids)) - ids
            self._brought[name] = {id for id in ids if (name, id) not in missing}
        found += not_kept(self.database, self._gone)
        excused = self._disturbed | self._awaited.keys() | unknown
        self._awaited = {row: left - 1 for row, left in self._awaited.items() if left > 1}
        return [line for line in found if _row(line) not in excused]


@dataclass(frozen=True)
class _Copy:
    """An older warehouse: what was known when it was copied, and what changed in silence since or
    was not found by then."""

    database: bytes
    brought: dict[str, set[int]]
    gone: dict[str, set[int]]
    silent: set[Row]


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
