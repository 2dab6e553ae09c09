"""A copy of an account in a warehouse, made by the library alone: what the assets do in a run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.harvest.auth import PersonalAccessToken
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.limits import Limit, Limits
from harvest_pipeline.loading.window import Loads
from harvest_pipeline.scope import Filters, Scope, Spool, Window
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.ledger import Load, LoadContext
from harvest_pipeline.warehouse.loading import load_together
from harvest_pipeline_tests.conftest import HASTE, TODAY
from harvest_pipeline_tests.places import place_at
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.warehouse.records import ADMINISTRATOR

#: No request has to wait; the sandbox has no limit either.
UNLIMITED = Limits(Limit(1_000_000, 1.0, fallback_pause=0.1), Limit(1_000_000, 1.0, 0.1))

#: A query and its rows.
Query = Callable[[str], list[tuple[Any, ...]]]

#: The records that are asked for: the others stand inside them. Parents before their children.
ASKED = tuple(record for record in RECORDS.values() if record.endpoint)


class Copy:
    """The sandbox's first account and the database `<folder>/warehouse.duckdb`."""

    def __init__(self, sandbox: SandboxServer, client: HarvestClient, folder: Path) -> None:
        self.sandbox = sandbox
        self.client = client
        self.folder = folder
        self.database = folder / "warehouse.duckdb"
        self.warehouse = Warehouse(place_at(self.database), "harvest", log=_ignore)

    def everything(self) -> Window:
        """All days of the account."""
        return Window(self.sandbox.first_day, TODAY)

    def spools(
        self,
        record: str,
        window: Window | None = None,
        filters: Filters | None = None,
        *,
        run: str | None = None,
    ) -> Iterator[Spool]:
        """What is read of a record; `window` is for those with a day, and all days if not given.

        What the same `run` has loaded is not read again.
        """
        days = (window or self.everything()) if RECORDS[record].day else None
        if RECORDS[record].is_snapshot:
            days = Window(TODAY, TODAY)
        loads = Loads(self.client, self.warehouse, [run or str(uuid4())], self.folder, _ignore)
        yield from loads.spools(RECORDS[record], Scope(record, days, filters or Filters()))

    def load(self, *records: str, window: Window | None = None) -> None:
        """Read and load records, and their parents where they are needed: one run."""
        run = str(uuid4())
        lists = [name for name in records if RECORDS[name].parent is None]
        self.store([s for name in lists for s in self.spools(name, window, run=run)], run)
        for child in records:
            if child not in lists:
                for spool in self.spools(child, window, run=run):
                    self.store([spool], run)

    def store(self, spools: Sequence[Spool], run: str = "a run") -> list[Load]:
        """Load spools of this folder as the run of an administrator would."""
        account_id = self.sandbox.account_id
        context = LoadContext(run, "acceptance", account_id, ADMINISTRATOR)
        return load_together(self.warehouse, spools, self.folder, context)

    def content(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all records, but for the time of loading."""
        with self.reading() as query:
            return {
                name: query(f"SELECT * EXCLUDE (_loaded_at) FROM {name} ORDER BY ALL")
                for name in RECORDS
            }

    @contextmanager
    def reading(self) -> Iterator[Query]:
        """Queries on the schema `harvest`, all through one connection: opening is slow."""
        with self.warehouse.reader() as connection:
            yield lambda sql: connection.execute(sql).fetchall()


def columns(query: Query) -> dict[str, dict[str, str]]:
    """Every table and view of the schema: its columns with their types."""
    found: dict[str, dict[str, str]] = {}
    for table, column, type in query(
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'harvest' ORDER BY table_name, ordinal_position"
    ):
        found.setdefault(table, {})[column] = type
    return found


@contextmanager
def new_copy(folder: Path, **options: Any) -> Iterator[Copy]:
    """A small account of which nothing is loaded yet; `options` are those of the sandbox."""
    with (
        SandboxServer(
            today=TODAY, rate_limit=None, refuse_get_bodies=True, **{"years": 0.2, **options}
        ) as sandbox,
        client_of(sandbox, folder) as client,
    ):
        yield Copy(sandbox, client, folder)


@contextmanager
def client_of(sandbox: SandboxServer, folder: Path) -> Iterator[HarvestClient]:
    """A client of the sandbox's administrator that meets faults again after a blink."""
    client = HarvestClient(
        api_url=sandbox.api_url,
        id_url=sandbox.id_url,
        credentials=PersonalAccessToken(sandbox.tokens["administrator"]),
        account_id=str(sandbox.account_id),
        instance=None,
        contact="tests@example.com",
        state_folder=folder / "state",
        log=_ignore,
        patience=HASTE,
        limits=UNLIMITED,
    )
    try:
        yield client
    finally:
        client.close()


def _ignore(line: str) -> None:
    pass
