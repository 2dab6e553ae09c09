"""One day after the other: people work, the daemon does what is due, the two are compared.

Belongs here: the order of a day and of a night, and what was seen in it.
Does not belong here: the script (story.py), how runs are made (running.py).
"""

import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from unittest.mock import patch

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.sandbox.account import Account
from harvest_pipeline.sandbox.faults import AnswerWith
from harvest_pipeline.sandbox.server import SandboxServer
from harvest_pipeline.sandbox.truth import truth
from harvest_pipeline_tests.equal import differences, not_kept
from harvest_pipeline_tests.year.playing import Script
from harvest_pipeline_tests.year.running import Daemon, Ran, on
from harvest_pipeline_tests.year.story import EVE, LAST, OUTAGES, WEATHER, F, L

_A_DAY = timedelta(days=1)
#: How long Harvest's silence about messages and payments may last.
_A_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Plan:
    """When the machine is awake, and what is set.

    `evenings`: the sensor of one account; `nights`: the reconcile of both; `compared`: the
    comparison with Harvest's reports, of those without an outage. A night belongs to the day before
    it.
    """

    evenings: Collection[date]
    nights: Collection[date]
    compared: Collection[date]
    variables: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass
class Night:
    """What was seen after a day. `wrong` is what differs of each account whose reconcile succeeded,
    `awaited` what may differ for a week yet, `whole` the requests that reading everything again
    would have cost."""

    day: date
    runs: list[Ran] = field(default_factory=list[Ran])
    wrong: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    awaited: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    whole: dict[str, int] = field(default_factory=dict[str, int])

    def of(self, by: str) -> Ran:
        """The one run that a schedule has requested."""
        (run,) = (run for run in self.runs if run.by == by)
        return run


class Year:
    """Two accounts, the project that follows them, and the nights so far."""

    def __init__(self, sandbox: SandboxServer, folder: Path, plan: Plan) -> None:
        self.accounts = dict(zip((F, L), sandbox.accounts, strict=True))
        self.database = folder / "warehouse.duckdb"
        self.script = Script(self.accounts)
        self.nights: list[Night] = []
        self.plan = plan
        self.clock = sandbox.world.clock
        self.daemon = Daemon(build_definitions(), self.clock, sandbox.account.request_log)
        self.faults = sandbox.world.faults
        self._brought: dict[tuple[str, str], set[int]] = {}
        self.gone: dict[str, dict[str, set[int]]] = {F: {}, L: {}}

    def live(self) -> None:
        """From the evening before the first day to the last night."""
        day = EVE
        while day <= LAST:
            if day > EVE:
                self._until(day, 10)
                self.script.play(day)
            for fault in WEATHER.get(day, ()):
                self.faults.add(fault)
            if day in self.plan.nights:
                self.nights.append(self._night(day))
            day += _A_DAY

    def _night(self, day: date) -> Night:
        """The evening of a day and what follows until the next morning."""
        night, morning = Night(day), day + _A_DAY
        if day in self.plan.evenings:
            self._until(day, 18)
            night.runs += self.daemon.sensor(f"{F}_changes")
        self._until(morning, 3)
        with self._outage(OUTAGES.get(day)):
            for name in self.accounts:
                night.runs += self.daemon.schedule(f"{name}_reconcile")
        if day in self.plan.compared:
            self._until(morning, 6, 30)
            for name in self.accounts.keys() - {OUTAGES.get(day)}:
                night.runs += self.daemon.schedule(f"{name}_equality")
        for name, account in self.accounts.items():
            night.whole[name] = _whole(account)
            if night.of(f"{name}_reconcile").success:
                self._compare(night, name, account)
        return night

    def _until(self, day: date, hour: int, minute: int = 0) -> None:
        then = datetime.combine(day, time(hour, minute), UTC)
        self.clock.advance(max(0.0, (then - self.clock.precise()).total_seconds()))

    @contextmanager
    def _outage(self, name: str | None) -> Iterator[None]:
        if name is None:
            yield
            return
        fault = AnswerWith(status=503, account=self.accounts[name].id, times=None)
        self.faults.waiting.insert(0, fault)
        yield
        self.faults.waiting.remove(fault)

    def _compare(self, night: Night, name: str, account: Account) -> None:
        """What differs, but for days to come; and what is gone and was not kept."""
        morning = night.day + _A_DAY
        there = {record: {r["id"]: r for r in truth(account.records, record)} for record in RECORDS}
        to_come = {
            f"{record} {key}"
            for record in ("time_entries", "expenses", "invoices")
            for key, row in there[record].items()
            if row[RECORDS[record].day or ""] > morning
        }
        silent = {
            row
            for (of, row), at in self.script.silent.items()
            if of == name and morning - at < _A_WEEK
        }
        found = {line: line.split(":")[0] for line in differences(self.database, account, name)}
        night.awaited[name] = {row for row in found.values() if row in silent}
        night.wrong[name] = [line for line, row in found.items() if row not in to_come | silent]
        gone = self.gone[name]
        for record, rows in there.items():
            before = self._brought.get((name, record), set())
            gone[record] = (gone.get(record, set()) | (before - rows.keys())) - rows.keys()
            # What is to come, or came in silence, may not have been brought yet.
            known = {key for key in rows if f"{record} {key}" not in to_come | silent}
            self._brought[name, record] = known | (before & rows.keys())
        kept = {line: line.split(":")[0] for line in not_kept(self.database, gone, name)}
        night.wrong[name] += [line for line, row in kept.items() if row not in silent]


def cost(nights: Sequence[Night], daemon: Daemon) -> str:
    """What was asked of Harvest, and what it would have been without all this, in words."""
    runs = [run for night in nights for run in night.runs]
    compared = sum(len(run.asked) for run in runs if run.by.endswith("_equality"))
    loaded = sum(len(run.asked) for run in runs) - compared
    whole = sum(cost for night in nights for cost in night.whole.values())
    looked = sum(daemon.ticks.values())
    return (
        f"{len(nights)} nights of 2 accounts, {len(runs)} runs: {loaded} requests, and {looked} of "
        f"the sensor to look ({loaded + looked} in all); reading everything again in each of these "
        f"nights: {whole}. Comparing with Harvest's reports: {compared}."
    )


def _whole(account: Account) -> int:
    """The fewest requests that read everything: who it is, pages of 2,000, the messages of each
    invoice, the payments of each that was paid at all."""
    pages = sum(
        max(1, math.ceil(len(truth(account.records, record.name)) / 2000))
        for record in RECORDS.values()
        if record.endpoint and not record.parent
    )
    paid = sum(each.due_amount != each.amount for each in account.records.invoices)
    return 1 + pages + len(account.records.invoices) + paid


@contextmanager
def a_year(folder: Path, plan: Plan) -> Iterator[Year]:
    """A year that has been lived, in a project of its own in `folder`."""
    with SandboxServer(
        today=EVE, years=0.2, scale=0.2, accounts=2, rate_limit=None, refuse_get_bodies=True
    ) as sandbox:
        names = zip((F, L), sandbox.accounts, strict=True)
        lines = [f"  - {{name: {name}, account_id: {each.id}}}\n" for name, each in names]
        (folder / "harvest.yaml").write_text("".join(["accounts:\n", *lines]))
        variables = {
            **sandbox.environment(),
            "HARVEST_ACCOUNT_ID": "",
            "HARVEST_CONFIG": str(folder / "harvest.yaml"),
            "HARVEST_DUCKDB": str(folder / "warehouse.duckdb"),
            "HARVEST_START_DATE": f"{sandbox.first_day}",
            **plan.variables,
        }
        with patch.dict(os.environ, variables), on(sandbox.world.clock):
            year = Year(sandbox, folder, plan)
            try:
                year.live()
                yield year
            finally:
                year.daemon.close()
