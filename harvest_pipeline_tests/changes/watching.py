"""An account that was loaded and goes on changing, and the sensor that watches it.

Belongs here: ticks at a time of the test's choice, and what becomes of the runs that they request.
Does not belong here: Dagster's daemon (test_daemon.py).
"""

import logging
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import dagster as dg
from dagster._core.test_utils import create_run_for_test, freeze_time

from harvest_pipeline import access
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.changes import cursor as cursors
from harvest_pipeline.changes.coverage import latest_load
from harvest_pipeline.changes.cursor import Cursor, Seen
from harvest_pipeline.changes.watched import watched
from harvest_pipeline.datasets import Dataset
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.limits import Limit, Limits
from harvest_pipeline.harvest.reading import read
from harvest_pipeline.sandbox.server import SandboxServer
from harvest_pipeline.scope import Window
from harvest_pipeline.sensors import all_sensors
from harvest_pipeline.settings import Settings
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.ledger import LoadContext
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline_tests.conftest import HASTE, TODAY

START = TODAY - timedelta(days=13)
EVERY = Window(START, TODAY)
#: What Dagster takes for now. The sandbox's clock says something else, and this machine's too.
NOW = datetime.combine(TODAY, datetime.min.time(), UTC).replace(hour=18)
MINUTE = timedelta(minutes=1)
TIME = {"all_projects_time_entries", "all_users_time_entries", "daily"}
#: More requests than Harvest allows: the limits have tests of their own.
_UNLIMITED = Limits(Limit(10**6, 15.0, 15.0), Limit(10**6, 15.0, 15.0))


@dataclass
class Tick:
    """What a tick came to."""

    requests: list[dg.RunRequest]
    skipped: str | None
    cursor: str | None
    log: list[str] = field(default_factory=list[str])

    @property
    def asked(self) -> list[tuple[str | None, set[str]]]:
        """The days and the reports of each request."""
        return [(days_of(each), reports_of(each)) for each in self.requests]


def reports_of(request: dg.RunRequest) -> set[str]:
    """The reports that a run materializes."""
    return {key.path[-1] for key in request.asset_selection or ()}


def window_of(request: dg.RunRequest) -> Window | None:
    """The days of a run."""
    first = request.tags.get("dagster/asset_partition_range_start")
    last = request.tags.get("dagster/asset_partition_range_end")
    return Window(date.fromisoformat(first), date.fromisoformat(last)) if first and last else None


def days_of(request: dg.RunRequest) -> str | None:
    """The same in words."""
    window = window_of(request)
    return str(window) if window else None


class Watching:
    """One account of a sandbox, its warehouse and its sensor; `cursor` is that of the last tick."""

    def __init__(self, sandbox: SandboxServer, settings: Settings, folder: Path) -> None:
        self.sandbox = sandbox
        self.account = sandbox.account
        self.settings = settings
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursor: str | None = None
        self.loaded_at = self.account.clock.now()
        self._load = ""
        self._before = folder / "before.duckdb"
        self._folder = folder

    def without(self, *reports: str) -> "Watching":
        """The same with these reports switched off."""
        left = (each for each in self.settings.datasets if each.name not in reports)
        return self.with_datasets(left)

    def with_datasets(self, datasets: Iterable[Dataset]) -> "Watching":
        """The same with these datasets only."""
        settings = replace(self.settings, datasets=tuple(datasets))
        other = Watching(self.sandbox, settings, self._folder)
        other.cursor, other.loaded_at, other._load = self.cursor, self.loaded_at, self._load
        return other

    def load(self, records: Iterable[str] | None = None, window: Window = EVERY) -> None:
        """Read records from Harvest and load them, as a run does."""
        client = access.client_of(
            self.settings, _credentials(self.sandbox), {}, log=lambda line: None
        )
        context = LoadContext("a run", "a report", self.sandbox.account_id, "administrator")
        for name in records or [each.record.name for each in watched(self.settings)]:
            record = RECORDS[name]
            spool = read(client, record, window if record.day else None, self._folder)
            load(self.warehouse, spool, context)
            spool.path.unlink()
        client.close()

    @property
    def warehouse(self) -> Warehouse:
        """The account's warehouse."""
        return Warehouse(self.settings.duckdb, self.settings.schema)

    def keep(self) -> None:
        """Let the warehouse be put back as it is now."""
        shutil.copy(self.settings.duckdb, self._before)
        self.loaded_at = self.account.clock.now()
        with self.warehouse.reader() as connection:
            self._load = latest_load(connection)

    def put_back(self) -> None:
        """The warehouse as it was kept, and a cursor that has followed everything so far."""
        shutil.copy(self._before, self.settings.duckdb)
        # Ten minutes, so that what other tests have changed is out of sight.
        self.account.clock.advance(600)
        self.sandbox.world.faults.clear()
        for run in self.instance.get_runs():
            self.instance.delete_run(run.run_id)
        now = self.account.clock.now()
        seen = {each.record.name: Seen(now) for each in watched(self.settings)}
        self.cursor = cursors.written(Cursor(self._load, seen))
        self.account.clock.advance(10)
        self.account.request_log.clear()

    def tick(self, at: datetime = NOW) -> Tick:
        """One tick; the cursor that it leaves is kept."""
        (sensor,) = all_sensors([self.settings])
        context = dg.build_sensor_context(cursor=self.cursor)
        context._instance = self.instance  # type: ignore[attr-defined] - an ephemeral one is refused
        said: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
        context.log.addHandler(handler)
        with freeze_time(at), context:
            done = sensor.evaluate_tick(context)
        self.cursor = done.cursor
        return Tick(list(done.run_requests or []), done.skip_message, done.cursor, said)

    def carry_out(self, request: dg.RunRequest) -> None:
        """Bring what the run would bring. Every change lies a while back when runs begin."""
        self.account.clock.advance(5)
        names = reports_of(request)
        records = {each.record.name for each in watched(self.settings) if each.names & names}
        self.load(sorted(records), window_of(request) or EVERY)

    def note(self, request: dg.RunRequest, status: dg.DagsterRunStatus) -> dg.DagsterRun:
        """There is a run of that request."""
        return create_run_for_test(
            self.instance,
            job_name="any",
            tags=dict(request.tags),
            status=status,
            asset_selection=frozenset(request.asset_selection or ()),
        )

    def entry_on(self, day: date) -> Any:
        """A time entry of that day which no test has touched."""
        table = self.account.records.time_entries
        return next(
            entry
            for entry in table
            if entry.spent_date == day and entry.updated_at < self.loaded_at
        )

    def questions(self) -> list[tuple[str, Mapping[str, list[str]]]]:
        """The path and the parameters of each request since the log was cleared."""
        return [(each.path, parse_qs(each.query)) for each in self.account.request_log.requests]

    def since(self, record: str) -> datetime:
        """How far the cursor says that a record is followed."""
        read, _ = cursors.read(self.cursor)
        assert read
        return read.records[record].since


def unlimited(**given: Any) -> HarvestClient:
    """A client that meets faults again after a blink and counts no requests."""
    return HarvestClient(**{**given, "patience": HASTE, "limits": _UNLIMITED})


def _credentials(sandbox: SandboxServer) -> dict[str, str]:
    return {
        "access_token": sandbox.tokens["administrator"],
        "account_id": str(sandbox.account_id),
    }
