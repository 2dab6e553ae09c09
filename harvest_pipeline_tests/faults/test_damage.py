"""A damaged database is refused, or holds whole loads: F29, R29."""

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.scope import Window
from harvest_pipeline.warehouse import engine, integrity, tables
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.ledger import LEDGER
from harvest_pipeline_tests.conftest import TODAY, Project
from harvest_pipeline_tests.places import place_at
from harvest_pipeline_tests.sandbox.server import SandboxServer

OLD, LOST = (Window(TODAY - timedelta(n + 4), TODAY - timedelta(n)) for n in (5, 0))


@dataclass(frozen=True)
class Loaded:
    """A project that has loaded OLD and then LOST; its log (.wal) still holds both. Copies of its
    files lie in `folder`: `older` from before LOST, `whole` from after it."""

    project: Project
    folder: Path

    @property
    def file(self) -> Path:
        return self.project.database

    @property
    def log(self) -> Path:
        return self.file.with_name(f"{self.file.name}.wal")

    def keep(self, name: str) -> None:
        (self.folder / name).mkdir()
        for file in (self.file, self.log):
            shutil.copy(file, self.folder / name)

    def put(self, name: str) -> None:
        for file in (self.file, self.log):
            shutil.copy(self.folder / name / file.name, file)

    def fold(self) -> None:
        """Take what is in the log into the file."""
        with duckdb.connect(self.file) as connection:
            connection.execute("CHECKPOINT")

    def loads(self) -> int:
        """How many loads the ledger has; none where there is no ledger."""
        with Warehouse(place_at(self.file), "harvest").reader() as connection:
            if not tables.exists(connection, LEDGER.name):
                return 0
            return connection.execute(f"SELECT count(*) FROM {LEDGER.name}").fetchall()[0][0]

    def rows(self) -> list[tuple[object, ...]]:
        """All that is loaded, read from the first column to the last."""
        with Warehouse(place_at(self.file), "harvest").reader() as connection:
            return connection.execute("FROM time_entries ORDER BY id").fetchall()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    with (
        SandboxServer(today=TODAY, years=0.1, rate_limit=None) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        project = Project(server, tmp_path_factory.mktemp("project"), patch)
        made = Loaded(project, tmp_path_factory.mktemp("kept"))
        # As if each run were killed right after its commit: nothing leaves the log.
        kept = f"{engine.SESSION}; PRAGMA disable_checkpoint_on_shutdown"
        patch.setattr(engine, "SESSION", kept)
        for name, window in (("older", OLD), ("whole", LOST)):
            assert project.materialize("daily", window=window).success
            made.keep(name)
        yield made
        project.instance.dispose()


def no_log(loaded: Loaded) -> None:
    loaded.log.unlink()


def a_torn_log(loaded: Loaded) -> None:
    loaded.log.write_bytes(loaded.log.read_bytes()[:-2000])


def a_log_with_a_flipped_bit(loaded: Loaded) -> None:
    content = bytearray(loaded.log.read_bytes())
    content[len(content) * 3 // 4] ^= 4
    loaded.log.write_bytes(content)


@pytest.mark.parametrize("damage", [no_log, a_torn_log, a_log_with_a_flipped_bit])
def test_a_damaged_log_is_refused_or_leaves_loads_that_are_whole(
    loaded: Loaded, damage: Callable[[Loaded], None]
) -> None:
    """The ledger says which: what the loop works from is in the same file as the rows."""
    kept: dict[int, list[tuple[object, ...]]] = {}
    for name in ("older", "whole"):
        loaded.put(name)
        kept[loaded.loads()] = loaded.rows()
    assert len(kept) == 2
    damage(loaded)
    try:
        loads = loaded.loads()
    except WarehouseError as error:
        assert "is damaged" in str(error)
        assert "put a backup in its place" in str(error)
        return
    assert loaded.rows() == kept[loads] if loads else damage is no_log


def test_a_log_of_another_time_brings_no_row_twice(loaded: Loaded) -> None:
    """DuckDB 2.0 refuses it; 1.5 plays it again, and the keys are then there twice."""
    loaded.put("whole")
    before = loaded.rows()
    loaded.fold()
    shutil.copy(loaded.folder / "whole" / loaded.log.name, loaded.log)
    try:
        after = loaded.rows()
    except WarehouseError as error:
        assert "is damaged" in str(error)
        return
    if after != before:
        with Warehouse(place_at(loaded.file), "harvest").reader() as connection:
            assert integrity.duplicated_keys(connection, RECORDS["time_entries"]).count


def test_a_damaged_file_is_refused_or_reads_as_it_was(loaded: Loaded) -> None:
    """A hundred flipped bits, each in a file of its own, and ten files that are cut short."""
    loaded.put("whole")
    loaded.fold()
    before, content = loaded.rows(), loaded.file.read_bytes()
    seed = random.randrange(2**32)
    chance, refused = random.Random(seed), 0
    for number in range(110):
        damaged = bytearray(content)
        if number < 100:
            damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        else:
            del damaged[chance.randrange(len(content)) :]
        loaded.file.write_bytes(damaged)
        try:
            assert loaded.rows() == before, f"{number}, seed {seed}"
        except (WarehouseError, duckdb.Error):
            refused += 1
    assert refused > 20  # otherwise nothing was hit that matters
