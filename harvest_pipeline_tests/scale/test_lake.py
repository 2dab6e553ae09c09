"""A DuckLake: many write and read at once, nobody waits, nobody sees half, and it stays small."""

import subprocess
import sys
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from harvest_pipeline.warehouse.confined import refuse_what_reaches_out
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline.warehouse.upkeep import keep_up
from harvest_pipeline_tests.places import KIND, only_in_postgres, place_at
from harvest_pipeline_tests.waiting import PATIENCE
from harvest_pipeline_tests.warehouse.records import (
    CONTEXT,
    FIRST,
    JANUARY,
    SpoolFolder,
    client,
    dump,
    invoice,
    line_item,
    on,
    select,
    time_entry,
)

pytestmark = pytest.mark.skipif(KIND == "file", reason="this is about a DuckLake")

#: Loads generations of the same thousand invoices: each bears one number, in its ledger row too.
LOADER = """
import sys
from pathlib import Path
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline_tests.places import place_at
from harvest_pipeline_tests.warehouse.records import CONTEXT
from harvest_pipeline_tests.warehouse.test_durability import generation

path, schema, first, last = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
folder = Path(sys.argv[5])
folder.mkdir(exist_ok=True)
warehouse = Warehouse(place_at(path), schema)
for number in range(first, last):
    with warehouse.reserved():
        load(warehouse, generation(folder, number), CONTEXT)
    print(number, flush=True)
"""
#: Reads until a file is there: one generation each time, and never an older one than before.
READER = """
import sys
from pathlib import Path
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.places import place_at

warehouse = Warehouse(place_at(Path(sys.argv[1])), "harvest", wait_seconds=0)
stop = Path(sys.argv[2])
last = reads = 0
while not stop.exists():
    with warehouse.reader() as connection:
        [(rows, kinds, newest, lines, written)] = connection.execute(
            "SELECT count(*), count(DISTINCT subject), max(subject)::INT,"
            " (SELECT count(*) FROM invoice_line_items),"
            " (SELECT max(total_entries) FROM _loads) FROM invoices"
        ).fetchall()
    assert (rows, kinds, lines) == (1000, 1, 1000), (rows, kinds, lines)
    assert newest == written >= last, (newest, written, last)
    last, reads = newest, reads + 1
    if reads == 1:
        print("reading", flush=True)
print(reads, flush=True)
"""


def started(script: str, *arguments: object) -> subprocess.Popen[str]:
    """A process of its own, as on another host."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def lines_of(process: subprocess.Popen[str]) -> list[str]:
    """What it prints until it ends, well."""
    told, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, told
    return told.splitlines()


@only_in_postgres
def test_the_night_of_an_account_spoils_nothing_while_another_one_is_loaded(
    tmp_path: Path, spools: SpoolFolder
) -> None:
    path = tmp_path / "warehouse.duckdb"
    warehouse = Warehouse(place_at(path), "harvest")
    load(warehouse, spools.write("clients", None, [client(0)]), CONTEXT)
    other = started(LOADER, path, "acme", 1, 1000, tmp_path / "acme")
    assert other.stdout and other.stdout.readline() == "1\n"
    for number in map(str, range(10)):
        rows = [client(id, name=number) for id in range(20)]
        load(warehouse, spools.write("clients", None, rows), CONTEXT)
        keep_up(warehouse, 0)
        found = "SELECT count(*), count(DISTINCT id), min(name), max(name) FROM clients"
        assert select(warehouse, found) == [(20, 20, number, number)]
        assert other.poll() is None
    other.kill()


@only_in_postgres
def test_two_accounts_are_loaded_by_two_processes_at_once(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    both = [
        started(LOADER, path, schema, 1, 6, tmp_path / schema) for schema in ("harvest", "acme")
    ]
    for each in both:  # the one waits while the other makes the lake
        assert [line for line in lines_of(each) if "is being made" not in line] == [*"12345"]
    for schema in ("harvest", "acme"):
        found = select(
            Warehouse(place_at(path), schema),
            "SELECT count(*), min(subject), max(subject), (SELECT count(*) FROM _loads)"
            " FROM invoices",
        )
        assert found == [(1000, "5", "5", 5)]


@only_in_postgres
def test_two_processes_in_one_account_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    both = [started(LOADER, path, "harvest", n, n + 4, tmp_path / f"{n}") for n in (1, 101)]
    for each in both:
        lines_of(each)
    found = select(
        Warehouse(place_at(path), "harvest"),
        "SELECT count(*), count(DISTINCT subject), (SELECT count(*) FROM _loads) FROM invoices",
    )
    assert found == [(1000, 1, 8)]


@only_in_postgres
@pytest.mark.slow
def test_readers_are_never_blocked_and_never_see_half_a_load(tmp_path: Path) -> None:
    path, stop = tmp_path / "warehouse.duckdb", tmp_path / "stop"
    lines_of(started(LOADER, path, "harvest", 1, 2, tmp_path / "first"))
    with ExitStack() as stack:
        readers = [stack.enter_context(started(READER, path, stop)) for _ in range(4)]
        for each in readers:
            assert each.stdout is not None
            assert each.stdout.readline() == "reading\n", each.stdout.read()
        lines_of(started(LOADER, path, "harvest", 2, 6, tmp_path / "others"))
        stop.touch()
        reads = [int(lines_of(each)[-1]) for each in readers]
    assert min(reads) > 1


def test_small_loads_make_no_files_and_the_night_leaves_few(
    tmp_path: Path, spools: SpoolFolder
) -> None:
    warehouse = Warehouse(place_at(tmp_path / "warehouse.duckdb"), "harvest")
    many = [time_entry(n, FIRST) for n in range(2000)]
    load(warehouse, spools.time_entries(on(FIRST), many), CONTEXT)
    load(warehouse, spools.write("invoices", JANUARY, [invoice(1, FIRST, [line_item(1)])]), CONTEXT)
    before = files_of(warehouse)
    day = FIRST
    for number in range(8):
        day = FIRST + timedelta(days=1 + number)
        some = [time_entry(10_000 + number, day, hours=float(number % 7))]
        load(warehouse, spools.time_entries(on(day), some), CONTEXT)
        load(warehouse, spools.time_entries(on(FIRST), many[number:]), CONTEXT)
        load(warehouse, spools.write("clients", None, [client(number)]), CONTEXT)
    rows, loads = dump(warehouse), select(warehouse, "FROM _loads ORDER BY rowid")
    # Files are made by those of 2,000 rows alone: one with the rows, one with what they replace.
    assert len(files_of(warehouse)) - len(before) <= 2 * 8

    keep_up(warehouse, 0)
    assert dump(warehouse) == rows
    assert select(warehouse, "FROM _loads ORDER BY rowid") == loads
    assert len(files_of(warehouse)) <= 2 * len(rows)
    # And it goes on.
    load(warehouse, spools.time_entries(on(day), [time_entry(7, day)]), CONTEXT)
    keep_up(warehouse, 0)
    assert select(warehouse, f"SELECT id FROM time_entries WHERE spent_date = DATE '{day}'") == [
        (7,)
    ]


def files_of(warehouse: Warehouse) -> list[str]:
    """The Parquet files that the lake has in its newest snapshot."""
    with warehouse.whole() as connection:
        found: list[str] = []
        tables = connection.execute(
            "SELECT schema_name, table_name FROM duckdb_tables()"
            " WHERE database_name = current_database()"
        ).fetchall()
        for schema, table in tables:
            listed = connection.execute(
                f"SELECT data_file FROM ducklake_list_files(current_database(), '{table}',"
                f" schema => '{schema}')"
            ).fetchall()
            found += [str(file) for (file,) in listed]
        return found


#: What DuckDB's settings refuse, and what `confined` does.
REACHING = [
    "FROM read_csv('/etc/hosts')",
    "SELECT (SELECT content FROM read_text('/etc/hosts'))",
    "FROM glob('/etc/*')",
    "FROM '/etc/hosts'",
    "FROM read_csv('http://127.0.0.1:9/x.csv')",
    "FROM query('SELECT * FROM read_text(''/etc/hosts'')')",
]
CALLING = [
    "WITH a AS (FROM postgres_query('_', 'SELECT pg_read_file(''/etc/hosts'')')) FROM a",
    "SELECT 1 WHERE 1 IN (SELECT y FROM postgres_execute('_', 'CREATE TABLE x (y INT)') AS t(y))",
    "FROM postgres_scan('dbname=postgres', 'pg_catalog', 'pg_user')",
    "FROM ducklake_cleanup_old_files('_attached_file', cleanup_all => true)",
    "FROM query('SELECT 1')",
    "FROM __ducklake_metadata__attached_file.ducklake_schema",
    'SELECT * FROM range(1), "__DUCKLAKE_METADATA__attached_file".public.ducklake_schema',
    "PIVOT clients ON id",
]


def test_sql_of_others_reaches_nothing_else(tmp_path: Path, spools: SpoolFolder) -> None:
    warehouse = Warehouse(place_at(tmp_path / "warehouse.duckdb"), "harvest")
    load(warehouse, spools.write("clients", None, [client(n) for n in range(1000)]), CONTEXT)
    with warehouse.reader(confined=True) as connection:
        for sql in ("SELECT count(*) FROM clients", "DESCRIBE clients", "FROM range(3)"):
            refuse_what_reaches_out(connection, sql)
        assert connection.execute("SELECT count(*) FROM clients").fetchall() == [(1000,)]
        for sql in REACHING:
            with pytest.raises(duckdb.Error, match=r"disabled by config|does not exist"):
                print(sql, connection.execute(sql).fetchall())
        for sql in CALLING:
            with pytest.raises(WarehouseError, match="DuckLake"):
                refuse_what_reaches_out(connection, sql)
