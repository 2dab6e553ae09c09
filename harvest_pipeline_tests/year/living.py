"""One day after the other: people work, the daemon does what is due, the two are compared."""

import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.scope import Window
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.equal import differences, not_kept, out_of_reach
from harvest_pipeline_tests.places import place_at, saved, settings_of
from harvest_pipeline_tests.sandbox.account import Account
from harvest_pipeline_tests.sandbox.faults import AnswerWith
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import identity, truth
from harvest_pipeline_tests.year.playing import Script
from harvest_pipeline_tests.year.running import Daemon, Ran, on
from harvest_pipeline_tests.year.story import DEMOTED, EVE, LAST, OUTAGES, RESTORED, WEATHER, F, L

_A_DAY = timedelta(days=1)
#: What is known of an account's rows: of each record, ids.
_Ids = dict[str, set[int]]


@dataclass(frozen=True)
class Plan:
    """When the machine is awake, and what is set.

    `evenings`: the sensor of one account; `nights`: the reconcile of both. A night belongs to the
    day before it.
    """

    evenings: Collection[date]
    nights: Collection[date]
    variables: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass
class Night:
    """What was seen after a day. `wrong` is what differs of each account whose reconcile succeeded,
    `lost` of the others what was there and is no more, `awaited` the silent changes that are to be
    found yet, `whole` the requests that reading everything again would have cost."""

    day: date
    runs: list[Ran] = field(default_factory=list[Ran])
    wrong: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    lost: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
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
        self.first_day = sandbox.first_day
        self.daemon = Daemon(build_definitions(), self.clock, sandbox.account.request_log)
        self.faults = sandbox.faults
        self._brought: dict[str, _Ids] = {F: {}, L: {}}
        self.gone: dict[str, _Ids] = {F: {}, L: {}}
        self._copies: dict[date, tuple[Callable[[], None], dict[str, _Ids], dict[str, _Ids]]] = {}

    def rows(self, name: str, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """The rows of a query in the schema of an account."""
        with Warehouse(place_at(self.database), name).reader() as connection:
            return connection.execute(sql, parameters).fetchall()

    def live(self) -> None:
        """From the evening before the first day to the last night."""
        day = EVE
        while day <= LAST:
            if day > EVE:
                self._until(day, 10)
                self.script.play(day)
            for fault in WEATHER.get(day, ()):
                self.faults.add(fault)
            if copied := RESTORED.get(day):
                self._restore(copied, day)
            if day in self.plan.nights:
                self.nights.append(self._night(day))
            if day in RESTORED.values():
                known = deepcopy(self._brought), deepcopy(self.gone)
                self._copies[day] = saved(place_at(self.database)), *known
            day += _A_DAY

    def _restore(self, copied: date, today: date) -> None:
        """Put an older warehouse back, which has never seen what was changed in silence since."""
        put_back, self._brought, self.gone = self._copies[copied]
        put_back()
        for row, (at, nights) in self.script.silent.items():
            if at > copied:
                self.script.silent[row] = today, nights

    def _night(self, day: date) -> Night:
        """The evening of a day and what follows until the next morning."""
        night, morning = Night(day), day + _A_DAY
        if day in self.plan.evenings:
            self._until(day, 18)
            night.runs += self.daemon.sensor(f"{F}_changes")
        self._until(morning, 3)
        with self._outage(OUTAGES.get(day)), self._demoted(*DEMOTED.get(day, ("", ""))):
            for name in self.accounts:
                night.runs += self.daemon.schedule(f"{name}_reconcile")
        for name, account in self.accounts.items():
            night.whole[name] = _whole(account)
            self._compare(night, name, account)
        return night

    def _until(self, day: date, hour: int) -> None:
        then = datetime.combine(day, time(hour), UTC)
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

    @contextmanager
    def _demoted(self, name: str, role: str) -> Iterator[None]:
        if not name:
            yield
            return
        account = self.accounts[name]
        person = account.people["administrator"]
        account.change("users", person, access_roles=[role])
        yield
        account.change("users", person, access_roles=["administrator"])

    def _compare(self, night: Night, name: str, account: Account) -> None:
        """What differs, but for days that are not kept; and what is gone and was not kept.

        After a night that failed all that counts is that nothing is lost.
        """
        morning = night.day + _A_DAY
        there = {
            record.name: {identity(record.name, row) for row in truth(account.records, record.name)}
            for record in RECORDS.values()
            if not record.is_snapshot
        }
        brought, gone = self._brought[name], self.gone[name]
        found = {line: line.split(":")[0] for line in differences(self.database, account, name)}
        missing = {row for line, row in found.items() if line.endswith(": is missing")}
        lost = {
            row
            for record, ids in brought.items()
            for row in (f"{record} {id}" for id in ids & there[record])
            if row in missing
        }
        if not night.of(f"{name}_reconcile").success:
            night.lost[name] = sorted(lost)
            return
        unknown = out_of_reach(self.database, account, Window(self.first_day, morning), name)
        silent = {
            row
            for (of, row), (at, nights) in self.script.silent.items()
            if of == name and (morning - at).days < nights
        }
        excused = silent | ((missing & unknown) - lost)
        night.awaited[name] = {row for row in found.values() if row in silent}
        night.wrong[name] = [line for line, row in found.items() if row not in excused]
        for record, ids in there.items():
            gone[record] = (gone.get(record, set()) | (brought.get(record, set()) - ids)) - ids
            brought[record] = {id for id in ids if f"{record} {id}" not in missing}
        kept = {line: line.split(":")[0] for line in not_kept(self.database, gone, name)}
        night.wrong[name] += [line for line, row in kept.items() if row not in silent]


def cost(nights: Sequence[Night], daemon: Daemon) -> str:
    """What was asked of Harvest, and what it would have been without all this, in words."""
    runs = [run for night in nights for run in night.runs]
    loaded = sum(len(run.lists) for run in runs)
    compared = sum(len(run.asked) for run in runs) - loaded
    whole = sum(cost for night in nights for cost in night.whole.values())
    looked = sum(daemon.ticks.values())
    return (
        f"{len(nights)} nights of 2 accounts, {len(runs)} runs: {loaded} requests, and {looked} of "
        f"the sensor to look ({loaded + looked} in all); reading everything again in each of these "
        f"nights: {whole}. Comparing with Harvest's reports: {compared}."
    )


def _whole(account: Account) -> int:
    """The fewest requests that read everything: who it is, pages of 2,000, the messages and the
    payments of each invoice."""
    pages = sum(
        max(1, math.ceil(len(truth(account.records, record.name)) / 2000))
        for record in RECORDS.values()
        if record.endpoint and not record.parent and not record.is_snapshot
    )
    return 1 + pages + 2 * len(account.records.invoices)


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
            **settings_of(place_at(folder / "warehouse.duckdb")),
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
