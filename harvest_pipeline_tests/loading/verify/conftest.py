"""A loaded warehouse, made once; every test compares or spoils a copy of it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.harvest import access
from harvest_pipeline.harvest.auth import PersonalAccessToken
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.extract import read
from harvest_pipeline.harvest.limits import Limit, Limits
from harvest_pipeline.loading.figures import Theme
from harvest_pipeline.loading.verify import Outcome, compare
from harvest_pipeline.scope import Window
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.ledger import LoadContext
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline_tests.conftest import HASTE, TODAY
from harvest_pipeline_tests.places import place_at
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.warehouse.records import ADMINISTRATOR


@dataclass
class Place:
    """A sandbox account, and a warehouse that was loaded from it."""

    sandbox: SandboxServer
    database: Path
    state: Path

    @property
    def days(self) -> Window:
        """All days that the account has."""
        return Window(self.sandbox.first_day, TODAY)

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(place_at(self.database), "harvest")

    def client(self, person: str = "administrator", limits: Limits | None = None) -> HarvestClient:
        """A client with that person's token and a request count of its own."""
        return HarvestClient(
            api_url=self.sandbox.api_url,
            id_url=self.sandbox.id_url,
            credentials=PersonalAccessToken(self.sandbox.tokens[person], "HARVEST_ACCESS_TOKEN"),
            account_id=str(self.sandbox.account_id),
            instance=None,
            contact="sandbox@fernhill.example",
            state_folder=self.state,
            log=print,
            patience=HASTE,
            limits=limits,
        )

    def compare(self, theme: Theme, person: str = "administrator", **options: Any) -> Outcome:
        """The comparison of all days, or of `days`, within `limits`."""
        self.sandbox.account.request_log.clear()
        days = options.pop("days", self.days)
        with closing(self.client(person, options.pop("limits", None))) as client:
            return compare(client, self.warehouse, theme, days, TODAY, **options)

    def asked(self) -> list[str]:
        """The reports that were asked for in the last comparison."""
        return [path for path in self.sandbox.account.request_log.paths() if "/reports/" in path]

    def change(self, sql: str, *parameters: Any) -> None:
        """Tamper with the warehouse."""
        with duckdb.connect(self.database) as connection:
            connection.execute("USE harvest")
            connection.execute(sql, parameters)

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with duckdb.connect(self.database, read_only=True) as connection:
            connection.execute("USE harvest")
            return connection.execute(sql, parameters).fetchall()


@pytest.fixture(scope="package")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The account as it was loaded; neither it nor the database is changed."""
    with SandboxServer(
        today=TODAY, years=0.3, scale=0.7, rate_limit=None, refuse_get_bodies=True
    ) as server:
        folder = tmp_path_factory.mktemp("loaded")
        place = Place(server, folder / "warehouse.duckdb", folder / "state")
        with closing(place.client()) as client:
            for name in ("projects", "invoices", "expenses", "time_entries"):
                record = RECORDS[name]
                spool = read(client, record, place.days if record.day else None, folder)
                context = LoadContext("run", name, server.account_id, ADMINISTRATOR)
                load(place.warehouse, spool, context)
        yield place


@pytest.fixture
def place(loaded: Place, tmp_path: Path) -> Place:
    """With a copy of the database to tamper with; the account is everybody's."""
    copy = shutil.copy(loaded.database, tmp_path / "warehouse.duckdb")
    return Place(loaded.sandbox, Path(copy), tmp_path / "state")


@pytest.fixture
def environment(place: Place, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The variables of a project on that account, without the limit that all tests would share."""
    options = {"patience": HASTE, "limits": Limits(reports=Limit(10_000, 1.0, 1.0))}
    monkeypatch.setattr(access, "HarvestClient", lambda **g: HarvestClient(**{**g, **options}))
    for name, value in {
        **place.sandbox.environment(),
        "HARVEST_DUCKDB": str(place.database),
        "HARVEST_START_DATE": place.days.first.isoformat(),
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def edited(place: Place) -> Iterator[Callable[..., Any]]:
    """Changes a record of the account, and changes it back in the end."""
    account = place.sandbox.account
    undo: list[Callable[[], object]] = []

    def edit(kind: str, id: int, **fields: Any) -> None:
        record = account.records.table(kind).get(id)
        before = {name: getattr(record, name) for name in [*fields, "updated_at"]}
        account.clock.advance(60)
        account.change(kind, id, **fields)
        undo.append(lambda: account.change(kind, id, touch=False, **before))

    yield edit
    for step in reversed(undo):
        step()
