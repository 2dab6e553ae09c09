"""A project that is loaded, and people who change things at Harvest behind its back."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import dagster as dg
import duckdb
import pytest

from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.harvest import access
from harvest_pipeline.orchestration import reconcile
from harvest_pipeline.orchestration.build import build_definitions
from harvest_pipeline_tests.conftest import TODAY, Project, unlimited
from harvest_pipeline_tests.equal import differences
from harvest_pipeline_tests.sandbox.account import Account
from harvest_pipeline_tests.sandbox.server import SandboxServer

#: More than the overlap of two reads: what changes after it is asked for once.
_A_WHILE = 600.0


class Night:
    """One run of `harvest_reconcile`: the lists that it asked for, and Harvest's reports."""

    def __init__(self, result: dg.ExecuteInProcessResult, paths: list[str]) -> None:
        self.result = result
        self.reports = [path for path in paths if "/reports/" in path]
        self.paths = [path for path in paths if path not in self.reports]

    @property
    def days(self) -> set[tuple[str, str | None]]:
        """The reports and days that Dagster was told of."""
        return {
            (event.asset_key.path[-1], event.partition)
            for event in self.result.all_events
            if event.event_type_value == "ASSET_MATERIALIZATION"
            and event.asset_key
            and event.asset_key.path[-1] in REPORTS
        }

    def children(self) -> list[str]:
        """The lists of messages, payments and rates that it asked for."""
        return [path for path in self.paths if path.count("/") == 4]


class Loaded(Project):
    """A project that has all that the account had."""

    first_night: Night
    #: What Dagster takes for today.
    today: date = TODAY

    @property
    def account(self) -> Account:
        """Where people work."""
        return self.sandbox.account

    def reconcile(self, **options: Any) -> Night:
        """Run the job, some time later by Harvest's clock."""
        self.sandbox.world.clock.advance(_A_WHILE)
        self.account.request_log.clear()
        job = build_definitions().get_job_def("harvest_reconcile")
        with self.at_noon():
            result = job.execute_in_process(instance=self.instance, raise_on_error=False, **options)
        self.sandbox.world.clock.advance(_A_WHILE)
        return Night(result, self.paths())

    @contextmanager
    def on_the_day(self, day: date) -> Iterator[None]:
        """Let it be another day for Dagster."""
        self.today = day
        yield
        self.today = TODAY

    def at_noon(self) -> Any:
        now = datetime.combine(self.today, time(12), UTC)
        return dg.partition_loading_context(effective_dt=now)

    def tamper(self, sql: str, *parameters: Any) -> None:
        """Change the warehouse behind the pipeline's back."""
        with duckdb.connect(self.database) as connection:
            connection.execute("USE harvest")
            connection.execute(sql, parameters)

    def pretend_a_month_has_passed(self) -> None:
        """Make every read older than what the slow re-reading of days allows."""
        self.tamper("UPDATE _loads SET read_at = read_at - INTERVAL 40 DAY")

    def pretend_a_week_has_passed(self) -> list[int]:
        """Make the reads of messages and payments a week older, but of invoices that changed in
        that week; returns the ids of the other invoices."""
        long_ago = f"TIMESTAMPTZ '{TODAY - timedelta(days=8)}'"
        with duckdb.connect(self.database) as connection:
            rows = connection.execute(
                f"UPDATE harvest._parents_read SET read_at = {long_ago}"
                f" WHERE record LIKE 'invoice%' AND updated_at < {long_ago} - INTERVAL 1 DAY"
                " RETURNING parent_id"
            ).fetchall()
        return sorted({row[0] for row in rows})

    def differences(self) -> list[str]:
        """What the warehouse does not have as Harvest has it."""
        return differences(self.database, self.account)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """Six weeks of an account, loaded by the first night. Every test leaves it equal."""
    with (
        SandboxServer(today=TODAY, years=0.12, rate_limit=None, refuse_get_bodies=True) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        # The tests' nights follow each other at once.
        patch.setattr(access, "HarvestClient", unlimited)
        # It takes two seconds (orchestration/test_dashboard.py).
        patch.setattr(reconcile, "dashboard_events", lambda *_: iter(()))
        # A night's share of the sweep would be part of what every night costs.
        patch.setenv("HARVEST_SWEEP_REQUESTS", "0")
        loaded = Loaded(server, tmp_path_factory.mktemp("loaded"), patch)
        loaded.first_night = loaded.reconcile()
        yield loaded
        loaded.instance.dispose()


@pytest.fixture(autouse=True)
def equal_in_the_end(loaded: Loaded) -> Iterator[None]:
    """Whatever a test is about: afterwards nothing differs."""
    yield
    assert loaded.differences() == []
