"""What holds personal data is for its owner only, whatever umask the process has."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harvest_pipeline.safety import files
from harvest_pipeline.safety.files import make_folder, private_files
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.places import only_a_file, place_at
from harvest_pipeline_tests.waiting import PATIENCE

pytestmark = only_a_file

#: Reads from a server, loads, and spills, under umask 000; prints the modes seen meanwhile.
SCRIPT = """
import os, sys
from dataclasses import replace
from pathlib import Path
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.harvest.auth import PersonalAccessToken
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.extract import read
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.places import place_at
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.warehouse.records import CONTEXT, client

os.umask(0)
folder = Path(sys.argv[1])
page = fault.page("clients", [client(1), client(2)])
small = {"memory_limit": "60MB", "threads": 2}
many = "SELECT hash(range)::VARCHAR || range::VARCHAR AS x FROM range(2_000_000) ORDER BY x"

def look():
    for path in folder.rglob("*"):
        print(oct(path.stat().st_mode & 0o777), path.relative_to(folder))

with fault.FaultServer(fault.script(page)) as server:
    harvest = HarvestClient(
        api_url=server.url, id_url=server.url, credentials=PersonalAccessToken("t"),
        account_id="1", instance=None, contact="x", state_folder=folder / "a" / "state", log=print,
    )
    spool = read(harvest, RECORDS["clients"], None, folder / "b" / "c" / "spools")
    look()
    harvest.close()
warehouse = Warehouse(place_at(folder / "d" / "e" / "warehouse.duckdb"), "harvest")
load(warehouse, spool, CONTEXT)
look()
warehouse = replace(warehouse, settings=small)
with warehouse.transaction() as connection:
    connection.execute(f"CREATE TABLE spilled AS {many}")
    look()
with warehouse.reader() as connection:
    connection.execute(many).fetchone()
    look()
with warehouse.connect() as connection:  # the log is there until it is closed
    connection.execute("UPDATE clients SET name = 'x'")
    look()
print(oct(os.umask(0)), "umask afterwards")
"""


def test_everything_is_private_under_umask_000(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=True
    )
    seen = dict(reversed(line.split(" ", 1)) for line in done.stdout.splitlines())
    assert seen.pop("umask afterwards") == "0o0"
    kinds = {
        "a/state/requests.sqlite": "0o600",
        "b/c/spools": "0o700",
        "d/e/warehouse.duckdb": "0o600",
        "d/e/warehouse.duckdb.wal": "0o600",
        "d/e/warehouse.duckdb.tmp": "0o700",
    }
    assert seen.items() >= kinds.items()
    assert any("warehouse.duckdb.tmp/" in path for path in seen)
    assert any(path.endswith(".ndjson") for path in seen)
    folders = {path for path in seen if any(other.startswith(f"{path}/") for other in seen)}
    for path, mode in seen.items():
        assert mode == ("0o700" if path in folders else "0o600"), path


@pytest.fixture
def open_umask(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The umask of somebody who shares everything, whatever other tests have left running."""
    monkeypatch.setattr(files, "_umask", files._Umask())
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("open_umask")
def test_folders_that_exist_are_left_as_they_are(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    for _ in range(2):
        make_folder(shared / "a" / "b")
    assert [mode(path) for path in (shared, shared / "a", shared / "a" / "b")] == [
        *(0o755, 0o700, 0o700)
    ]


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(OSError):
            make_folder(folder)


@pytest.mark.usefixtures("open_umask")
def test_a_thread_that_is_done_does_not_open_the_files_of_another(tmp_path: Path) -> None:
    """The umask is one for all threads: the first to leave must not put it back."""
    inside, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with private_files():
            inside.set()
            leave.wait(PATIENCE)
            (tmp_path / "late").touch()

    thread = threading.Thread(target=stay)
    with private_files():
        thread.start()
        assert inside.wait(PATIENCE)
    (tmp_path / "meanwhile").touch()
    leave.set()
    thread.join()
    (tmp_path / "after").touch()
    names = ("late", "meanwhile", "after")
    assert [mode(tmp_path / name) for name in names] == [0o600, 0o600, 0o666]


@pytest.mark.usefixtures("open_umask")
def test_the_umask_is_put_back_when_opening_fails(tmp_path: Path) -> None:
    (tmp_path / "notes.duckdb").write_text("hello " * 5000)
    for opened in (Warehouse(place_at(tmp_path / "notes.duckdb"), "harvest").connect,) * 2:
        with pytest.raises(Exception, match="not a DuckDB database"), opened():
            pass
    (tmp_path / "after").touch()
    assert mode(tmp_path / "after") == 0o666


def opened(database: Path, *, left: bool = False) -> list[str]:
    """What opening a database says, to write and then to read."""
    said: list[str] = []
    warehouse = Warehouse(place_at(database), "harvest", log=said.append, left=left)
    for connected in (warehouse.connect, warehouse.reader):
        with connected():
            pass
    return said


def test_a_database_that_everybody_can_read_is_closed_with_one_sentence(tmp_path: Path) -> None:
    """As one is that was made before, or that was copied back."""
    database = tmp_path / "warehouse.duckdb"
    opened(database)
    database.chmod(0o644)
    assert opened(database) == [
        f"{database} was open to other users of this machine (0644), and is now for you alone; "
        "`chmod 660` lets in a group."
    ]
    assert mode(database) == 0o600
    assert opened(database) == []


@pytest.mark.parametrize("shared", [0o660, 0o640])
def test_a_database_that_is_shared_with_a_group_stays_shared(shared: int, tmp_path: Path) -> None:
    database = tmp_path / "warehouse.duckdb"
    opened(database)
    database.chmod(shared)
    assert opened(database) == []
    assert mode(database) == shared


def test_a_file_of_somebody_else_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "warehouse.duckdb"
    opened(database)
    database.chmod(0o644)
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        assert opened(database) == []
    assert opened(database, left=True) == []
    assert mode(database) == 0o644
