"""A project on a sandbox account, as its user has it: environment, Dagster instance, database."""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log.in_memory import InMemoryEventLogStorage
from xdist.scheduler import LoadScopeScheduling

from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.harvest import access
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.http import Patience
from harvest_pipeline.harvest.limits import Limit, Limits
from harvest_pipeline.orchestration.event_log import Batches
from harvest_pipeline.orchestration.instance import Instance
from harvest_pipeline.orchestration.partitions import range_tags
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import load_project
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.places import BUCKET, KIND, POSTGRES, place_at, settings_of
from harvest_pipeline_tests.postgres import postgres as postgres
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import truth
from harvest_pipeline_tests.servers import S3
from harvest_pipeline_tests.surroundings import MISSING, of_nobody

TODAY = date(2026, 11, 20)


class OneWorkerForAServer(LoadScopeScheduling):
    """Keeps the tests of a file on one worker, and all of `ui`: they share what is slow to start.

    xdist's own groups (`--dist loadgroup`) have no effect with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "ui" if "/ui/" in file else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneWorkerForAServer:
    return OneWorkerForAServer(config, log)


def pytest_configure() -> None:
    """Let Ctrl-C and a hangup reach what tests start: under nohup, and in the background of a
    script, they are ignored, which children inherit."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker waits for them in the end."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line for each program that is missing how many tests were not run."""
    reasons = Counter(str(test.longrepr[2]) for test in terminalreporter.stats.get("skipped", ()))
    for reason, tests in sorted(reasons.items()):
        if MISSING in reason:
            terminalreporter.write_line(f"{tests} tests {reason[0].lower()}{reason[1:]}")


#: Faults are met again after a blink instead of after seconds.
HASTE = Patience(first_pause=0.01, longest_pause=0.02, reread_pause=0.01, attempts=3)
_LIMITS = Limits(Limit(1_000_000, 1.0, 1.0), Limit(1_000_000, 1.0, 1.0))


def unlimited(**given: Any) -> HarvestClient:
    """A client in haste that may ask as often as it likes, as the sandbox of many nights lets it.

    In place of `access.HarvestClient`, whose arguments are `given`.
    """
    return HarvestClient(**{**given, "patience": HASTE, "limits": _LIMITS})


class _EventLogInMemory(Batches, InMemoryEventLogStorage):
    """With what the event log of dagster.yaml does."""


def in_memory() -> dg.DagsterInstance:
    """A Dagster instance in memory, of the classes that dagster.yaml names."""
    instance = dg.DagsterInstance.ephemeral()
    instance.__class__ = Instance
    instance._event_storage = _EventLogInMemory()
    instance._event_storage.register_instance(instance)
    return instance


def created_at(instance: dg.DagsterInstance, run_id: str, moment: datetime) -> None:
    """Let a run of an instance in memory have been made at another time than now."""
    storage: Any = instance.run_storage
    with storage.connect() as connection:
        connection.exec_driver_sql(
            "UPDATE runs SET create_timestamp = ? WHERE run_id = ?",
            (moment.replace(tzinfo=None).isoformat(" "), run_id),
        )


class Project:
    """What stands behind one environment: runs that really happen, and what they leave."""

    def __init__(self, sandbox: SandboxServer, folder: Path, monkeypatch: Any) -> None:
        self.sandbox = sandbox
        self.database = folder / "warehouse.duckdb"
        self.place = place_at(self.database)
        self.instance = in_memory()
        self._monkeypatch = monkeypatch
        self.set(
            **settings_of(self.place),
            HARVEST_START_DATE=sandbox.first_day.isoformat(),
            **sandbox.environment(),
        )

    def set(self, **variables: str) -> None:
        """Set environment variables for the rest of the test."""
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)

    def everything(self) -> Window:
        """All days that the sandbox account has."""
        return Window(self.sandbox.first_day, TODAY)

    def materialize(
        self, *reports: str, window: Window | None = None, **options: Any
    ) -> dg.ExecuteInProcessResult:
        """One run over these reports (all, and no models, if none is named) and the days of the
        window."""
        schema = load_project().accounts[0].name
        definitions = build_definitions()
        keys = [dg.AssetKey([schema, report]) for report in reports]
        every = definitions.resolve_asset_graph().materializable_asset_keys
        return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            # Without the checks that stand by themselves: a run of reports does not run them.
            asset_selection=keys or [key for key in every if key.path[-1] in REPORTS],
            tags={**range_tags(window), **options.pop("tags", {})} if window else {},
            raise_on_error=False,
            **options,
        )

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query in the schema `harvest`."""
        with Warehouse(self.place, "harvest").reader() as connection:
            return connection.execute(sql, parameters).fetchall()

    def truth(self, record: str) -> list[dict[str, Any]]:
        """What the sandbox account really holds."""
        return truth(self.sandbox.account.records, record, TODAY)

    def paths(self) -> list[str]:
        """The paths that were asked for since the log was cleared."""
        return self.sandbox.account.request_log.paths()

    def assert_equal(self, record: str, column: str | None = None) -> None:
        """The table has exactly the sandbox's records: ids, and the sum of a column."""
        there = self.truth(record)
        columns = {"teammates": ("user_id", "id"), "project_budgets": ("project_id",)}
        columns |= {"people_snapshots": ("user_id",), "company": ("name",)}
        key = columns.get(record, ("id",))
        sent = ("id",) if record == "people_snapshots" else key
        assert self.query(f"SELECT {', '.join(key)} FROM {record} ORDER BY ALL") == sorted(
            tuple(row[name] for name in sent) for row in there
        )
        if column:
            total = sum((Decimal(str(row[column])) for row in there), Decimal(0))
            assert self.query(f"SELECT coalesce(sum({column}), 0) FROM {record}") == [(total,)]


@pytest.fixture(scope="session", autouse=True)
def nobodys_own_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees the accounts that its user has connected, nor anything else of that person."""
    with of_nobody(tmp_path_factory.mktemp("home")):
        yield


@pytest.fixture(scope="session", autouse=True)
def servers_of_the_place(
    nobodys_own_settings: None, request: pytest.FixtureRequest
) -> Iterator[None]:
    """The servers that the place of the tests needs (places.py)."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        if KIND != "file":
            patch.setenv("HARVEST_TEST_PLACE", KIND)  # for processes that tests start
        if KIND in ("ducklake-postgres", "ducklake-s3"):
            patch.setenv(POSTGRES, request.getfixturevalue("postgres").conninfo)
        if KIND == "ducklake-s3":
            server = stack.enter_context(closing(S3()))
            patch.setenv(BUCKET, server.bucket)
            for name, value in server.environment.items():
                patch.setenv(name, value)
        yield


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """A small sandbox account of a test's own: four months, changed as the test likes."""
    with SandboxServer(today=TODAY, years=0.3, rate_limit=None, refuse_get_bodies=True) as server:
        yield server


@pytest.fixture
def project(
    sandbox: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    """A project on that account, with nothing loaded yet."""
    monkeypatch.setattr(
        access, "HarvestClient", lambda **given: HarvestClient(**{**given, "patience": HASTE})
    )
    made = Project(sandbox, tmp_path, monkeypatch)
    yield made
    made.instance.dispose()


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    """The sentence with which the (first) step of a run failed."""
    event = next(event for event in result.all_events if event.is_step_failure)
    data = event.step_failure_data
    assert data.user_failure_data is not None, data.error
    return data.user_failure_data.description or ""
