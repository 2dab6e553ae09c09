"""A database that has lost what Dagster shows as loaded is never green: F29, R29."""

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.doctor.account import AccountCheck
from harvest_pipeline.doctor.origins import Origins
from harvest_pipeline.doctor.recorded import recorded_sections
from harvest_pipeline.recorded import CHECK, Recorded
from harvest_pipeline.sandbox.server import SandboxServer
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import Settings
from harvest_pipeline.warehouse import database, integrity
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline_tests.conftest import TODAY, Project

OLD, LOST, NEW = (Window(TODAY - timedelta(n + 4), TODAY - timedelta(n)) for n in (10, 5, 0))
DAILY = dg.AssetKey(["harvest", "daily"])


@dataclass(frozen=True)
class Loaded:
    """A project that has loaded OLD and then LOST; its log (.wal) still holds both. Copies of its
    files lie in `folder`: `older` from before LOST, `whole` from after it."""

    project: Project
    home: Path
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

    def load(self, window: Window) -> dg.AssetCheckEvaluation:
        """Run it, and return what the check says."""
        result = self.project.materialize("daily", window=window)
        assert result.success
        (check,) = [c for c in result.get_asset_check_evaluations() if c.check_name == CHECK]
        return check

    def loss(self) -> list[str] | None:
        """The days that are lost; None if nothing is."""
        with Warehouse(self.file, "harvest").reader() as connection:
            loss = Recorded.until_now(self.project.instance, DAILY, connection).loss(connection)
        return loss and loss.stretches

    def rows(self) -> list[tuple[object, ...]]:
        """All that is loaded, read from the first column to the last."""
        with Warehouse(self.file, "harvest").reader() as connection:
            return connection.execute("FROM time_entries ORDER BY id").fetchall()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    with (
        SandboxServer(today=TODAY, years=0.1, rate_limit=None) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        project = Project(server, tmp_path_factory.mktemp("project"), patch)
        home = tmp_path_factory.mktemp("home")
        project.instance = dg.DagsterInstance.local_temp(str(home))
        made = Loaded(project, home, tmp_path_factory.mktemp("kept"))
        # As if each run were killed right after its commit: nothing leaves the log.
        kept = f"{database._SESSION}; PRAGMA disable_checkpoint_on_shutdown"
        patch.setattr(database, "_SESSION", kept)
        made.load(OLD)
        made.keep("older")
        assert made.load(LOST).passed
        made.keep("whole")
        yield made
        project.instance.dispose()


def an_older_copy(loaded: Loaded) -> None:
    loaded.put("older")


def no_log(loaded: Loaded) -> None:
    loaded.log.unlink()


def a_torn_log(loaded: Loaded) -> None:
    loaded.log.write_bytes(loaded.log.read_bytes()[:-2000])


def a_log_with_a_flipped_bit(loaded: Loaded) -> None:
    content = bytearray(loaded.log.read_bytes())
    content[len(content) * 3 // 4] ^= 4
    loaded.log.write_bytes(content)


@pytest.mark.parametrize("damage", [an_older_copy, no_log, a_torn_log, a_log_with_a_flipped_bit])
def test_a_loss_is_refused_or_named_day_by_day(
    loaded: Loaded, damage: Callable[[Loaded], None]
) -> None:
    loaded.put("whole")
    assert loaded.loss() is None
    damage(loaded)
    try:
        found = loaded.loss()
    except WarehouseError as error:
        assert "is damaged" in str(error)
        assert "`harvest-pipeline restore FILE`" in str(error)
        return
    assert found is not None
    assert found[-1].endswith(f"{LOST.last}")


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
        with Warehouse(loaded.file, "harvest").reader() as connection:
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


def test_the_next_run_is_red_until_the_lost_days_are_loaded_again(loaded: Loaded) -> None:
    loaded.put("older")
    lost = loaded.load(NEW)
    assert not lost.passed
    assert lost.severity is dg.AssetCheckSeverity.ERROR
    stretch = f"{LOST.first} to {LOST.last}"
    assert lost.metadata["lost"].value == [stretch]
    assert "Materialize these days again" in str(lost.metadata["what to do"].value)
    assert not loaded.load(NEW).passed  # whose own last load is there

    accounts = [AccountCheck(Settings.from_environment(), Origins.read())]
    (found,) = recorded_sections(loaded.home, accounts)
    (finding,) = found.findings
    assert (finding.subject, finding.state) == ("daily", "wrong")
    assert stretch in finding.text

    assert loaded.load(LOST).passed
    (found,) = recorded_sections(loaded.home, accounts)
    assert [finding.state for finding in found.findings] == ["ok"]
