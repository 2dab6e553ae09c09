"""A disk that is really full, 24 MiB of it: it is named wherever something is to be written, what
was there stays, and after room was made all goes on."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from harvest_pipeline import settings
from harvest_pipeline.cli.main import main
from harvest_pipeline.harvest.errors import StateUnusable, StoreUnusable
from harvest_pipeline.harvest.limits import Limiter
from harvest_pipeline.harvest.spool import SpoolFile
from harvest_pipeline.harvest.token_store import TokenStore
from harvest_pipeline.harvest.vaults import FileVault
from harvest_pipeline.loading.window import spool_folder
from harvest_pipeline.safety.files import DiskFull
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import project_folder
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline_tests.conftest import Project, failure_of
from harvest_pipeline_tests.harvest.connected import account_of
from harvest_pipeline_tests.places import place_at
from harvest_pipeline_tests.waiting import PATIENCE
from harvest_pipeline_tests.warehouse.records import (
    CONTEXT,
    FIRST,
    SECOND,
    SpoolFolder,
    select,
    time_entry,
)

SIZE = 24 * 2**20


class Disk:
    """A file system of its own at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, *, leave: int = 0) -> None:
        """Leave no byte, or so many."""
        status = os.statvfs(self.path)
        with (self.path / "ballast").open("wb", buffering=0) as file:
            file.write(bytes(status.f_bavail * status.f_frsize - leave))

    def empty(self) -> None:
        (self.path / "ballast").unlink()

    def sentence(self, folder: str = "", reason: str = " (No space left on device)") -> str:
        """What is said of it, full."""
        return f"The disk of {self.path / folder} is full{reason}; make room there, and run again."


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root only")
    yield Disk(path)
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_database_that_cannot_be_begun_is_not_left_half_made(
    project: Project, disk: Disk
) -> None:
    project.database = disk.path / "new" / "warehouse.duckdb"
    project.set(HARVEST_DUCKDB=str(project.database))
    disk.fill()
    assert failure_of(project.materialize("clients")) == disk.sentence("new")
    assert not project.database.exists()
    disk.empty()
    assert project.materialize("clients").success


def test_a_load_that_does_not_fit_leaves_what_was_there(disk: Disk, tmp_path: Path) -> None:
    spools = SpoolFolder(tmp_path)
    warehouse = Warehouse(place_at(disk.path / "warehouse.duckdb"), "harvest")
    day = spools.time_entries(Window(FIRST, FIRST), [time_entry(n) for n in range(500)])
    load(warehouse, day, CONTEXT)
    before = select(warehouse, "FROM time_entries ORDER BY id")
    disk.fill(leave=2**20)
    notes = (str(hash(str(n))) * 40 for n in range(10_000))
    rows = [time_entry(n, SECOND, notes=note) for n, note in enumerate(notes, 1000)]
    with pytest.raises(WarehouseError) as refused:
        load(warehouse, spools.time_entries(Window(SECOND, SECOND), rows), CONTEXT)
    said = f"The database {warehouse.place.path} holds what it held before. {disk.sentence()}"
    assert str(refused.value) == said
    assert select(warehouse, "FROM time_entries ORDER BY id") == before  # still full
    disk.empty()
    load(warehouse, day, CONTEXT)
    assert len(select(warehouse, "FROM time_entries")) == len(before)
    assert len(select(warehouse, "FROM _loads")) == 2


def test_the_folder_in_which_requests_are_counted_is_named(
    project: Project, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = property(lambda _: disk.path / "state")
    monkeypatch.setattr(settings.Project, "state_folder", there)
    disk.fill()
    assert failure_of(project.materialize("clients")) == disk.sentence("state", "")
    disk.empty()
    assert project.materialize("clients").success
    disk.fill()
    limiter = Limiter(disk.path / "state")
    with pytest.raises(StateUnusable) as refused:
        for _ in range(100):
            limiter.acquire("another account", reports=False)
    limiter.close()
    assert str(refused.value).startswith(f"The disk of {disk.path / 'state'} is full")


def test_the_folder_of_records_that_are_being_read_is_named(disk: Disk) -> None:
    disk.fill(leave=2**20)
    with (
        pytest.raises(StateUnusable) as read,
        spool_folder(disk.path) as folder,
        SpoolFile(folder, "clients") as spool,
    ):
        spool.add([(1, bytes(2**21))])
    assert str(read.value) == disk.sentence(folder.name)
    with pytest.raises(StateUnusable) as beside, spool_folder(disk.path) as folder:
        (folder / "copy").write_bytes(bytes(2**21))
    assert str(beside.value) == disk.sentence()


def test_the_store_of_tokens_is_named_and_keeps_what_it_had(disk: Disk) -> None:
    store = TokenStore(FileVault(disk.path / "store"), "file")
    store.save(account_of(name="acme"))
    disk.fill()
    with pytest.raises(StoreUnusable) as refused:
        store.save(account_of(name="blue"))
    assert str(refused.value) == disk.sentence("store")
    assert store.names() == ["acme"]
    disk.empty()
    store.save(account_of(name="blue"))
    assert store.names() == ["acme", "blue"]


def test_what_is_made_for_readers_is_named(
    project: Project, disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project.materialize("clients").success
    disk.fill()
    assert main(["export", "clients", "--to", str(disk.path / "clients.csv")]) == 1
    assert disk.sentence() in capsys.readouterr().err
    project.set(HARVEST_PUBLISH=str(disk.path / "copy.duckdb"))
    result = project.materialize("clients")
    (event,) = (e for e in result.all_events if e.event_type is dg.DagsterEventType.RUN_FAILURE)
    assert disk.sentence() in f"{event.job_failure_data.error}"
    assert {each.name for each in disk.path.iterdir()} == {"ballast"}


@pytest.fixture
def home(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Dagster home on the disk."""
    home = disk.path / "home"
    home.mkdir()
    (home / "dagster.yaml").symlink_to(project_folder() / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return home


def test_dagsters_home_is_named_where_a_run_cannot_be_written_down(home: Path, disk: Disk) -> None:
    disk.fill()
    with pytest.raises(DiskFull) as begun:
        dg.DagsterInstance.get()
    assert str(begun.value) == disk.sentence("home", "")
    disk.empty()
    with dg.DagsterInstance.get() as instance:
        disk.fill()
        with pytest.raises(DiskFull) as launched:
            instance.create_run_for_job(dg.GraphDefinition("empty").to_job())
    assert str(launched.value) == disk.sentence("home", "")


def command(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "harvest_pipeline.cli", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("arguments", [("dev",), ("sync", "clients")])
def test_a_command_that_cannot_begin_names_dagsters_home(
    arguments: tuple[str, ...], project: Project, home: Path, disk: Disk
) -> None:
    disk.fill()
    with command(*arguments) as process:
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert re.fullmatch(rf"Error: The disk of {home} is full.*; make room there.*\n", said)


def test_a_run_that_cannot_go_on_names_dagsters_home(
    project: Project, home: Path, disk: Disk
) -> None:
    with command("sync", "clients") as process:
        assert process.stderr and process.stderr.readline() == "clients: begins\n"
        disk.fill()
        *_, last = process.stderr
    assert process.returncode == 1
    assert last.startswith(f"Error: The disk of {home} is full")
