"""The file is opened late, waited for with patience, and every obstacle has its sentence."""

import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import duckdb
import pytest

from harvest_pipeline.warehouse import database
from harvest_pipeline.warehouse.database import Warehouse, transaction
from harvest_pipeline.warehouse.errors import WarehouseError, WarehouseLocked
from harvest_pipeline_tests.places import only_a_file, place_at
from harvest_pipeline_tests.waiting import PATIENCE, soon

pytestmark = only_a_file

HOLD = """
import sys, time, duckdb
connection = duckdb.connect(sys.argv[1], read_only=len(sys.argv) > 3)
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


@contextmanager
def held(path: Path, *options: str, seconds: float = PATIENCE) -> Generator[int]:
    """Another process that holds the file; yields its id."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), str(seconds), *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder.pid
    finally:
        holder.kill()
        holder.wait()


def enter(opened: AbstractContextManager[object]) -> None:
    """Open, and close again."""
    with opened:
        pass


def at_once() -> AbstractContextManager[None]:
    """Permanent errors are not waited for, as a lock is: a minute."""
    return soon(before=50)


def test_missing_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a b" / "c" / "warehouse.duckdb"
    with Warehouse(place_at(path), "harvest").connect() as connection:
        connection.execute("CREATE TABLE t (x INT)")
    assert path.exists()


def test_a_folder_is_named(tmp_path: Path) -> None:
    with at_once(), pytest.raises(WarehouseError, match="is a folder; name a file in it"):
        enter(Warehouse(place_at(tmp_path), "harvest").connect())


def test_a_file_that_is_not_duckdb_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.duckdb"
    path.write_text("hello " * 5000)
    for opened in (
        Warehouse(place_at(path), "harvest").connect,
        Warehouse(place_at(path), "harvest").reader,
    ):
        with at_once(), pytest.raises(WarehouseError, match="not a DuckDB database"):
            enter(opened())
    assert path.read_text().startswith("hello")


def test_a_parent_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        at_once(),
        pytest.raises(WarehouseError, match=r"folder of the database .* cannot be made"),
    ):
        enter(Warehouse(place_at(tmp_path / "file" / "warehouse.duckdb"), "harvest").connect())


def test_an_unwritable_parent_is_named() -> None:
    # Nobody may make files in /sys, not even root.
    with at_once(), pytest.raises(WarehouseError, match="cannot be written by this user"):
        enter(Warehouse(place_at(Path("/sys/warehouse.duckdb")), "harvest").connect())


def test_a_parent_that_takes_no_files_is_named() -> None:
    # /proc refuses new files, to root too.
    with at_once(), pytest.raises(WarehouseError, match=r"/proc/warehouse\.duckdb"):
        enter(Warehouse(place_at(Path("/proc/warehouse.duckdb")), "harvest").connect())


def test_a_file_named_like_its_schema_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="same name as the schema 'harvest'"):
        Warehouse(place_at(tmp_path / "Harvest.duckdb"), "harvest")


def test_a_file_of_a_newer_duckdb_is_named(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    duckdb.connect(path).close()
    content = bytearray(path.read_bytes())
    # A header is its checksum, the word DUCK and a version; the checksum is a sum, by XOR, over
    # words of 8 bytes.
    checksum, word = struct.unpack_from("<QQ", content)
    newer = struct.unpack("<Q", b"DUCK" + struct.pack("<I", 9999))[0]
    checksum ^= (word * 0xBF58476D1CE4E5B9 ^ newer * 0xBF58476D1CE4E5B9) % 2**64
    struct.pack_into("<QQ", content, 0, checksum, newer)
    path.write_bytes(content)
    with at_once(), pytest.raises(WarehouseError, match="was written by a newer DuckDB than"):
        enter(Warehouse(place_at(path), "harvest").connect())


def test_the_holder_of_a_lock_is_named(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    log: list[str] = []
    with held(path) as pid:
        began = time.monotonic()
        with soon(), pytest.raises(WarehouseLocked, match=rf"held by .*python.* \(process {pid}\)"):
            enter(Warehouse(place_at(path), "harvest", wait_seconds=0.5, log=log.append).connect())
        assert time.monotonic() - began >= 0.5
    assert len(log) == 1
    assert f"(process {pid})" in log[0]


def test_who_waits_says_so_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "SECONDS_BETWEEN_LINES", 0.2)
    path = tmp_path / "warehouse.duckdb"
    log: list[str] = []
    with held(path) as pid, pytest.raises(WarehouseLocked):
        enter(Warehouse(place_at(path), "harvest", wait_seconds=0.9, log=log.append).connect())
    assert len(log) >= 3
    assert all(f"(process {pid}), " in line for line in log)


RESERVE = """
import sys, time
from pathlib import Path
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.places import place_at
with Warehouse(place_at(Path(sys.argv[1])), sys.argv[2]).reserved():
    print("reserved", flush=True)
    time.sleep(60)
"""


def test_an_account_is_reserved_for_one_process_until_it_dies_and_no_other_account_is(
    tmp_path: Path,
) -> None:
    path = tmp_path / "warehouse.duckdb"
    log: list[str] = []

    def killed_when_waited_for(line: str) -> None:
        log.append(line)
        holder.kill()

    with subprocess.Popen(
        [sys.executable, "-c", RESERVE, str(path), "harvest"], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "reserved\n"
        enter(Warehouse(place_at(path), "acme", log=log.append).reserved())
        assert log == []
        with soon():
            enter(Warehouse(place_at(path), "harvest", log=killed_when_waited_for).reserved())
    assert log == ["Waiting: another run of harvest has to end first, 0 s so far"]


def test_a_reader_of_another_program_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    duckdb.connect(path).close()
    log: list[str] = []
    with held(path, "read_only") as pid:

        def end_it(line: str) -> None:
            log.append(line)
            os.kill(pid, signal.SIGKILL)

        with Warehouse(
            place_at(path), "harvest", wait_seconds=PATIENCE, log=end_it
        ).connect() as connection:
            connection.execute("CREATE TABLE t (x INT)")
        assert len(log) == 1


def test_two_readers_do_not_wait(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    duckdb.connect(path).close()
    with held(path, "read_only"), Warehouse(place_at(path), "main").reader() as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_a_connection_of_the_same_process_is_named(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    warehouse = Warehouse(place_at(path), "harvest", wait_seconds=0.2)
    with (
        warehouse.connect(),
        pytest.raises(WarehouseLocked, match="another connection of this process"),
    ):
        enter(warehouse.reader())


def test_reading_makes_no_file(warehouse: Warehouse) -> None:
    with warehouse.reader() as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
    assert not warehouse.place.path.exists()
    assert not warehouse.place.path.parent.exists()


def test_times_are_utc_for_readers_too(warehouse: Warehouse) -> None:
    for opened in (warehouse.connect, warehouse.reader):
        with opened() as connection:
            shown = connection.execute("SELECT '2026-07-01T12:00:00Z'::TIMESTAMPTZ::VARCHAR")
            assert shown.fetchall() == [("2026-07-01 12:00:00+00",)]


def test_a_transaction_is_rolled_back_by_anything_raised(warehouse: Warehouse) -> None:
    for interruption in (ValueError, KeyboardInterrupt, GeneratorExit):
        with pytest.raises(interruption), warehouse.transaction() as connection:
            connection.execute("CREATE TABLE t (x INT)")
            raise interruption
    with warehouse.reader() as connection:
        assert connection.execute("SELECT count(*) FROM duckdb_tables()").fetchall() == [(0,)]


def test_an_aborted_transaction_cannot_be_committed(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute("CREATE TABLE t (x INT UNIQUE)")
    with pytest.raises(duckdb.Error), warehouse.transaction() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(duckdb.Error):
            connection.execute("INSERT INTO t VALUES (1)")


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    # A limit on the size of files stands for a full disk: writing fails in the middle.
    script = """
import resource, signal, sys
from pathlib import Path
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.places import place_at
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
warehouse = Warehouse(place_at(Path(sys.argv[1])), "harvest")
with warehouse.transaction() as connection:
    connection.execute("CREATE TABLE t AS SELECT range AS x FROM range(10)")
resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, resource.RLIM_INFINITY))
try:
    with warehouse.transaction() as connection:
        connection.execute("INSERT INTO t SELECT hash(range) >> 1 FROM range(3_000_000)")
except Exception as error:
    print(type(error).__name__, error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
with warehouse.transaction() as connection:
    print(connection.execute("SELECT count(*) FROM t").fetchall())
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "warehouse.duckdb")],
        capture_output=True,
        text=True,
        check=True,
    )
    error, rows = done.stdout.splitlines()
    assert error.startswith("WarehouseError The database")
    assert f"The disk of {tmp_path} is full (File too large)" in error
    assert rows == "[(10,)]"


def test_files_can_be_read_by_every_supported_duckdb(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        version = connection.execute(
            "SELECT tags['storage_version'] FROM duckdb_databases()"
            " WHERE database_name = current_database()"
        ).fetchall()
    assert str(version[0][0]).startswith("v1.4.0")


def test_an_interrupted_statement_leaves_transaction_usable_for_others(
    warehouse: Warehouse,
) -> None:
    with warehouse.connect() as connection:
        connection.execute("CREATE TABLE t (x INT)")
        with pytest.raises(ValueError, match="stop"), transaction(connection):
            connection.execute("INSERT INTO t VALUES (1)")
            raise ValueError("stop")
        with transaction(connection):
            connection.execute("INSERT INTO t VALUES (2)")
        assert connection.execute("SELECT x FROM t").fetchall() == [(2,)]
