"""SQL reaches the tables and the file that a load reads, and nothing else."""

import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from harvest_pipeline.warehouse.database import Warehouse, scratch
from harvest_pipeline.warehouse.errors import WarehouseError, WarehouseLocked
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline.warehouse.sql import file_pattern, literal
from harvest_pipeline_tests.warehouse.records import (
    CONTEXT,
    FIRST,
    SpoolFolder,
    on,
    select,
    time_entry,
)

Connected = AbstractContextManager[duckdb.DuckDBPyConnection]
#: Every kind of connection that there is; a file that it may read, if any.
KINDS: dict[str, Callable[[Warehouse, Path], Connected]] = {
    "writer": lambda warehouse, _: warehouse.connect(),
    "loader": lambda warehouse, spool: warehouse.connect(spool),
    "reader": lambda warehouse, _: warehouse.reader(),
    "reader of nothing": lambda warehouse, _: replace(warehouse, schema="absent").reader(),
    "scratch": lambda _, spool: scratch(spool),
    "empty scratch": lambda *_: scratch(),
}
PROBES = {
    "read_csv": "SELECT * FROM read_csv('/etc/passwd', header = false, sep = '\t')",
    "read_text": "SELECT * FROM read_text('/etc/passwd')",
    "read_blob": "SELECT * FROM read_blob('{folder}/other.ndjson')",
    "file as a table": "FROM '{folder}/other.ndjson'",
    "glob": "SELECT * FROM glob('/etc/*')",
    "another spool": "SELECT * FROM read_ndjson_objects('{folder}/other.ndjson')",
    "a pattern over spools": "SELECT * FROM read_ndjson_objects('{folder}/*.ndjson')",
    "around the corner": "SELECT * FROM read_text('{folder}/spools/../other.ndjson')",
    "COPY TO": "COPY (SELECT 1) TO '{folder}/new.csv'",
    "COPY TO the spool's folder": "COPY (SELECT 1) TO '{folder}/spools/new.csv'",
    "EXPORT": "EXPORT DATABASE '{folder}/exported'",
    "IMPORT": "IMPORT DATABASE '{folder}/imported'",
    "ATTACH": "ATTACH '{folder}/other.duckdb' AS other",
    "ATTACH a new file": "ATTACH '{folder}/new.duckdb' AS other",
    "INSTALL": "INSTALL httpfs",
    "LOAD": "LOAD httpfs",
    "LOAD a file": "LOAD '{folder}/evil.duckdb_extension'",
    "http": "SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')",
    "https": "FROM 'https://127.0.0.1:1/x.parquet'",
    "s3": "FROM 's3://bucket/x.parquet'",
    "external access": "SET enable_external_access = true",
    "unlock": "SET lock_configuration = false",
    "reset": "RESET lock_configuration",
    "allowed paths": "SET allowed_paths = ['/etc/passwd']",
    "allowed directories": "SET allowed_directories = ['/etc']",
    "temp directory": "SET temp_directory = '{folder}/elsewhere'",
    "PRAGMA": "PRAGMA temp_directory='{folder}/elsewhere'",
    "time zone": "SET TimeZone = 'Asia/Kolkata'",
    "extensions": "SET autoload_known_extensions = true",
    "log of queries": "SET log_query_path = '{folder}/queries'",
    "secret": "CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'x')",
}
#: These fail in any connection here: there is no network and no extension, and external access
#: is never switched on in an open database.
NOT_HERE = {"INSTALL", "LOAD", "LOAD a file", "http", "https", "s3", "secret", "external access"}


def gets_out(connection: duckdb.DuckDBPyConnection, name: str, folder: Path) -> bool:
    """Whether DuckDB does what the probe asks for."""
    spool = folder / "spools" / "mine.ndjson"
    try:
        connection.execute(PROBES[name].format(folder=folder, spool=spool)).fetchall()
    except duckdb.Error:
        return False
    return True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with everything that the probes are after."""
    (tmp_path / "spools").mkdir()
    for name in ("spools/mine.ndjson", "other.ndjson", "evil.duckdb_extension"):
        (tmp_path / name).write_text('{"id": 1}\n')
    duckdb.connect(tmp_path / "other.duckdb").close()
    (tmp_path / "imported").mkdir()
    (tmp_path / "imported" / "schema.sql").write_text("CREATE TABLE imported (x INT);")
    (tmp_path / "imported" / "load.sql").write_text("")
    return tmp_path


@pytest.fixture
def filled(warehouse: Warehouse) -> Warehouse:
    with warehouse.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS x")
    return warehouse


@pytest.mark.parametrize("kind", KINDS)
def test_no_probe_gets_out(kind: str, filled: Warehouse, folder: Path) -> None:
    spool = folder / "spools" / "mine.ndjson"
    before = sorted(folder.rglob("*"))
    with KINDS[kind](filled, spool) as connection:
        assert [name for name in PROBES if gets_out(connection, name, folder)] == []
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
    assert sorted(folder.rglob("*")) == before


def test_the_probes_do_get_out_of_a_usual_connection(folder: Path) -> None:
    """Otherwise the test above would prove nothing."""
    stopped: set[str] = set()
    for name in PROBES:
        with duckdb.connect() as connection:
            if not gets_out(connection, name, folder):
                stopped.add(name)
    assert stopped <= NOT_HERE


@pytest.mark.parametrize("name", ["plain", "a[1]", "o'hare *?", "[[]", "caf\u00e9 \u96ea", '"{}"'])
def test_a_load_reads_its_own_spool_wherever_it_lies(
    name: str, warehouse: Warehouse, tmp_path: Path
) -> None:
    (tmp_path / name).mkdir()
    spool = SpoolFolder(tmp_path / name).time_entries(on(FIRST), [time_entry(1), time_entry(2)])
    assert load(warehouse, spool, CONTEXT).rows == 2


@pytest.mark.parametrize("function", ["read_ndjson_objects", "read_text", "read_json_auto"])
def test_only_the_named_file_is_readable(function: str, folder: Path) -> None:
    twin = folder / "a[1]"
    twin.write_text('{"id": 1}\n')
    (folder / "a1").write_text('{"id": 2}\n')
    with scratch(twin) as connection:
        sql = f"SELECT count(*) FROM {function}({{}})"
        found = connection.execute(sql.format(literal(file_pattern(twin)))).fetchall()
        assert found == [(1,)]
        for other in ("a1", "other.ndjson"):
            with pytest.raises(duckdb.PermissionException):
                connection.execute(sql.format(literal(str(folder / other))))


def test_frames_and_variables_of_the_process_are_not_found_by_name(filled: Warehouse) -> None:
    secret = [1]  # DuckDB would look for local variables
    with filled.reader() as connection, pytest.raises(duckdb.CatalogException):
        connection.execute("SELECT * FROM secret")
    assert secret


@pytest.mark.parametrize("kind", ["writer", "reader"])
def test_what_does_not_fit_into_memory_still_goes_to_disk(
    kind: str, filled: Warehouse, folder: Path
) -> None:
    small = replace(filled, settings={"memory_limit": "60MB", "threads": 2})
    with KINDS[kind](small, folder) as connection:
        sorted_texts = connection.execute(
            "SELECT hash(range)::VARCHAR || range::VARCHAR AS x FROM range(2_000_000) ORDER BY x"
        )
        assert sorted_texts.fetchone() is not None
        assert list(small.path.parent.glob("*.tmp/*"))
        sorted_texts.fetchall()
    assert not list(small.path.parent.glob("*.tmp"))


def test_what_a_scratch_cannot_keep_in_memory_lies_beside_the_spool(folder: Path) -> None:
    spool = folder / "spools" / "mine.ndjson"
    for given, temporary in ((spool, f"{spool}.tmp"), (None, "")):
        with scratch(given) as connection:
            found = connection.execute("SELECT current_setting('temp_directory')").fetchall()
            assert found == [(temporary,)]


def test_settings_of_users_are_kept(filled: Warehouse) -> None:
    own = replace(filled, settings={"threads": 1, "default_null_order": "nulls_first"})
    for opened in (own.connect, own.reader):
        with opened() as connection:
            found = connection.execute(
                "SELECT current_setting('threads'), current_setting('default_null_order')"
            ).fetchall()
        assert [tuple(map(str, row)) for row in found] == [("1", "NULLS_FIRST")]


@pytest.mark.parametrize(
    "setting",
    [
        {"enable_external_access": True},
        {"Enable_External_Access": "true"},
        {"lock_configuration": False},
        {"allowed_paths": ["/"]},
        {"allowed_directories": ["/"]},
        {"autoload_known_extensions": True},
        {"autoinstall_known_extensions": 1},
        {"allow_community_extensions": True},
    ],
)
def test_settings_cannot_undo_the_lockdown(setting: dict[str, Any], warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="remove it from connection_config"):
        replace(warehouse, settings=setting)


def test_settings_may_name_what_is_so_anyway(filled: Warehouse) -> None:
    settings = {"enable_external_access": False, "lock_configuration": "true"}
    with replace(filled, settings=settings).reader() as connection:
        assert connection.execute("SELECT x FROM t").fetchall() == [(1,)]


# Connections of one process share what is locked down


def test_readers_of_one_process_share_the_file(filled: Warehouse) -> None:
    with filled.reader() as one, filled.reader() as other:
        for connection in (one, other):
            assert connection.execute("SELECT x FROM t").fetchall() == [(1,)]
            shown = connection.execute("SELECT '2026-07-01T12:00:00Z'::TIMESTAMPTZ::VARCHAR")
            assert shown.fetchall() == [("2026-07-01 12:00:00+00",)]
        with pytest.raises(duckdb.PermissionException):
            other.execute("SELECT * FROM read_text('/etc/passwd')")


def test_a_second_writer_of_the_process_waits_for_the_first(filled: Warehouse) -> None:
    with (
        filled.connect(),
        pytest.raises(WarehouseLocked, match="another connection of this process"),
        filled.connect(),
    ):
        pass


@contextmanager
def threads(work: Callable[[], None], count: int) -> Generator[None]:
    """`work` in several threads, all of which must end."""
    failed: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # to be shown by the test
            failed.append(error)

    started = [threading.Thread(target=guarded) for _ in range(count)]
    for thread in started:
        thread.start()
    yield
    for thread in started:
        thread.join()
    assert not failed, failed


def test_threads_that_open_it_at_once_all_find_it_locked_down(filled: Warehouse) -> None:
    patient = replace(filled, wait_seconds=60, log=lambda _: None)

    def read_and_write() -> None:
        for opened in (patient.reader, patient.connect):
            with opened() as connection:
                locked = connection.execute("SELECT current_setting('lock_configuration')")
                assert locked.fetchall() == [(True,)]
        with patient.transaction() as connection:
            connection.execute("INSERT INTO t VALUES (2)")

    with threads(read_and_write, 4):
        pass
    assert select(filled, "SELECT count(*) FROM t") == [(5,)]
