"""Names, keys and values that want to be SQL stay names, keys and values.

Each property gets thousands of made-up texts. Beside what a statement is about stands a victim,
a table and a schema with known content, that nothing may touch.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import dagster as dg
import duckdb
import pandas as pd
import pytest
from dagster._core.storage.db_io_manager import TablePartitionDimension, TableSlice
from hypothesis import given
from hypothesis import strategies as st

from harvest_pipeline.catalogue.columns import TEXT, Column
from harvest_pipeline.orchestration.io_manager import _TransactionalClient
from harvest_pipeline.scope import Proof, Scope
from harvest_pipeline.warehouse import coverage, frames, ledger, tables
from harvest_pipeline.warehouse.database import Warehouse, scratch
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.ledger import LEDGER, Load
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline.warehouse.sql import identifier, literal
from harvest_pipeline_tests.examples import made_up
from harvest_pipeline_tests.places import KIND, place_at
from harvest_pipeline_tests.warehouse.records import (
    ADMINISTRATOR,
    CONTEXT,
    FIRST,
    SpoolFolder,
    client,
    on,
    select,
    time_entry,
)
from harvest_pipeline_tests.warehouse.runs import manager_of

ATTACKS = [
    '"; DROP TABLE victim; --',
    "'; DROP TABLE victim; --",
    "' OR '1'='1",
    "' or 1=1 --",
    '" OR ""="',
    "x'); DELETE FROM victim; --",
    'x") ; DELETE FROM victim; --',
    "'; ATTACH '/tmp/evil.duckdb' AS evil; --",
    "\\'; DROP TABLE victim; --",
    "a\0'; DROP TABLE victim; --",
    'a\0"; DROP TABLE victim; --',
    "/* */",
    "--",
    ";",
    "$1",
    "?",
    "{}",
    "%s",
    "select",
    "victim",
    "kept.victim",
    "'",
    '"',
    "''",
    '""',
    "\\",
    "\n",
    "\u2019; DROP TABLE victim; --",
    "\uff02; DROP TABLE victim; --",
    "\u202edrop",
    "\ud800",
    "",
    " ",
    "é" * 5000,
]
#: Any text, and texts made of what means something in SQL.
TEXTS = st.one_of(
    st.sampled_from(ATTACKS),
    st.text(alphabet="'\";-/*\\\0 \n\t()$?%{}[],.=aE0_\u00e9\U0001f600", max_size=30),
    st.text(max_size=30),
    st.builds("{}{}{}".format, st.text(max_size=5), st.sampled_from(ATTACKS), st.text(max_size=5)),
)
#: A frame with half a character makes DuckDB 1.5 give up the whole database until it is reopened.
WHOLE_TEXTS = TEXTS.filter(lambda text: "\ud800" not in text)
#: What a name that no database takes may raise; nothing has been done then.
REFUSED = (duckdb.Error, WarehouseError, UnicodeError, RuntimeError)


@pytest.fixture(scope="module")
def beside_victims() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a database with a schema to work in, and with victims."""
    with scratch() as connection:
        connection.execute(
            "CREATE TABLE victim AS SELECT 1 AS x; CREATE SCHEMA kept;"
            " CREATE TABLE kept.victim AS SELECT 2 AS x; CREATE SCHEMA work; USE work;"
            " CREATE TABLE victim AS SELECT 3 AS x"
        )
        yield connection


@contextmanager
def undone(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """What the block does is undone; the victims must have been safe from it."""
    connection.begin()
    try:
        yield
        assert victims(connection) == [(1,), (2,), (3,)]
    finally:
        connection.rollback()
    assert victims(connection) == [(1,), (2,), (3,)]


def victims(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "FROM memory.main.victim UNION ALL FROM memory.kept.victim"
        " UNION ALL FROM memory.work.victim ORDER BY ALL"
    ).fetchall()


def tables_of(connection: duckdb.DuckDBPyConnection) -> set[str]:
    return {
        name
        for (name,) in connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'work'"
        ).fetchall()
    }


@pytest.mark.slow
@made_up(720, few=720)
# Ten in one example: what Hypothesis does for an example takes longer than ten such statements.
@given(ten=st.lists(st.tuples(TEXTS, TEXTS), min_size=10, max_size=10))
def test_what_is_quoted_can_only_be_read_as_what_it_is(
    beside_victims: duckdb.DuckDBPyConnection, ten: list[tuple[str, str]]
) -> None:
    connection = beside_victims
    for name, text in ten:
        try:
            connection.execute(f"SELECT {literal(text)} AS {identifier(name)}, {literal(name)}")
            found = connection.description, connection.fetchall()
        except REFUSED:
            # An empty name; for DuckDB 1.5 a name with NUL; and what is no Unicode.
            assert not name or "\0" in name or "\ud800" in name + text
        else:
            assert found[0][0][0] == name
            assert found[1] == [(text, name)]
    assert victims(connection) == [(1,), (2,), (3,)]


@pytest.mark.slow
@made_up(700, few=200)
@given(name=TEXTS, column=TEXTS, text=TEXTS)
def test_a_table_is_made_under_its_literal_name(
    beside_victims: duckdb.DuckDBPyConnection, name: str, column: str, text: str
) -> None:
    if name.lower() == "victim":
        return
    connection = beside_victims
    columns = (Column("key", TEXT, text, ()), Column(column, TEXT, text, ()))
    with undone(connection):
        try:
            tables.prepare_tables(connection, tables.Table(name, text, "key", columns))
        except REFUSED:
            connection.rollback()
            connection.begin()
            assert tables_of(connection) == {"victim"}
            return
        assert tables_of(connection) == {"victim", name}
        assert [*tables.column_types(connection, name)] == ["key", column]
        assert tables.exists(connection, name)


@pytest.mark.slow
@made_up(900, few=200)
@given(name=TEXTS, columns=st.lists(WHOLE_TEXTS, min_size=1, max_size=3), value=WHOLE_TEXTS)
def test_a_frame_is_stored_under_its_literal_names(
    beside_victims: duckdb.DuckDBPyConnection, name: str, columns: list[str], value: str
) -> None:
    if name.lower() == "victim":
        return
    connection = beside_victims
    with undone(connection):
        try:
            frames.store(connection, name, pd.DataFrame([[value] * len(columns)], columns=columns))
        except REFUSED:
            connection.rollback()
            connection.begin()
            assert tables_of(connection) == {"victim"}
            return
        assert tables_of(connection) == {"victim", name}
        assert [*tables.column_types(connection, name)] == columns
        stored = connection.execute(f"SELECT * FROM {identifier(name)}").fetchall()
        assert stored == [(value,) * len(columns)]


@pytest.mark.slow
@made_up(1000, few=200)
@given(keys=st.lists(TEXTS, max_size=4))
def test_only_the_rows_of_the_partitions_are_read_and_deleted(
    beside_victims: duckdb.DuckDBPyConnection, keys: list[str]
) -> None:
    connection = beside_victims
    dimension = TablePartitionDimension("region", keys)
    slice_of_table = TableSlice("regions", "work", "memory", None, [dimension])
    rows = {*(key for key in keys if key.isprintable()), "elsewhere"}
    with undone(connection):
        connection.execute("CREATE TABLE regions (region VARCHAR)")
        connection.executemany("INSERT INTO regions VALUES (?)", [[row] for row in rows])
        try:
            select_rows = _TransactionalClient.get_select_statement(slice_of_table)
            read = connection.execute(select_rows).fetchall()
            _TransactionalClient.delete_table_slice(None, slice_of_table, connection)  # type: ignore[arg-type]
        except REFUSED:
            connection.rollback()
            connection.begin()
            return
        assert {row for (row,) in read} == rows & {*keys}
        left = connection.execute("SELECT region FROM regions").fetchall()
        assert {row for (row,) in left} == rows - {*keys}


@pytest.mark.slow
@made_up(150, few=50)
@given(run_id=TEXTS, report=TEXTS, name=TEXTS, record=TEXTS, field=TEXTS)
def test_the_ledger_takes_every_text_as_it_is(
    beside_victims: duckdb.DuckDBPyConnection,
    run_id: str,
    report: str,
    name: str,
    record: str,
    field: str,
) -> None:
    connection = beside_victims
    now = datetime(2026, 11, 22, tzinfo=UTC)
    done = Load(
        Scope(record),
        replace(CONTEXT, run_id=run_id, report=report, reader=replace(ADMINISTRATOR, name=name)),
        *(Proof.TOTAL_ENTRIES, 1, 1, 1, 0.5, now, {field: 1}, {}, 0, 0, (), now, str(uuid4())),
    )
    with undone(connection):
        try:
            tables.prepare_tables(connection, ledger.LEDGER)
            ledger.prepare_views(connection)
            ledger.write(connection, done)
            missing = coverage.not_covered(connection, Scope(record), [run_id], now)
        except REFUSED:
            assert "\ud800" in run_id + report + name + record + field
            connection.rollback()
            connection.begin()
            return
        assert missing is None
        assert coverage.not_covered(connection, Scope(record), [run_id + "'"], now)
        assert coverage.loaded(connection, record)
        written = connection.execute(
            "SELECT run_id, report, user_name, record, unknown_fields"
            f" FROM {identifier(LEDGER.name)}"
        ).fetchall()
        assert [(*row[:4], json.loads(row[4])) for row in written] == [
            (run_id, report, name, record, {field: 1})
        ]


#: Keys and values that JSON can hold; Harvest may send any of them in a later version.
MEMBERS = st.dictionaries(
    WHOLE_TEXTS.filter(lambda text: len(text) <= 200),
    st.one_of(WHOLE_TEXTS, st.booleans(), st.none()),
    max_size=8,
)


@pytest.mark.slow
@made_up(25, few=10)
@given(members=MEMBERS, inner=MEMBERS)
def test_unknown_fields_of_harvest_are_kept_literally(
    tmp_path_factory: pytest.TempPathFactory, members: dict[str, Any], inner: dict[str, Any]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "unknown"
    folder.mkdir(exist_ok=True)
    warehouse = Warehouse(place_at(folder / "warehouse.duckdb"), "harvest")
    entry = time_entry(1)
    new = {key: value for key, value in members.items() if key not in entry}
    inside = {key: value for key, value in inner.items() if key not in entry["client"]}
    sent = {**entry, **new, "client": {**entry["client"], **inside}}
    spool = SpoolFolder(folder).time_entries(on(FIRST), [sent])
    with warehouse.connect() as connection:
        connection.execute("CREATE OR REPLACE TABLE victim AS SELECT 1 AS x")
    try:
        done = load(warehouse, spool, CONTEXT)
    finally:
        spool.path.unlink()
    [(extra, x)] = select(warehouse, "SELECT _extra, x FROM time_entries, victim")
    expected = {**new, **({"client": inside} if inside else {})}
    # A key whose value is null is not told from a key that is missing.
    assert json.loads(extra or "{}", object_pairs_hook=dict) == expected
    assert x == 1
    assert set(done.unknown_fields) == {*new, *(f"client.{key}" for key in inside)}


@pytest.mark.slow
@made_up(25, few=10)
@given(schema=TEXTS)
def test_a_schema_is_made_under_its_literal_name(
    tmp_path_factory: pytest.TempPathFactory, schema: str
) -> None:
    folder = tmp_path_factory.mktemp("schemas")
    with Warehouse(place_at(folder / "w.duckdb"), "kept").connect() as connection:
        connection.execute("CREATE TABLE victim AS SELECT 2 AS x")
    try:
        warehouse = Warehouse(place_at(folder / "w.duckdb"), schema)
        with warehouse.connect() as connection:
            connection.execute("CREATE TABLE t (x INT)")
            found = connection.execute(
                "SELECT schema_name FROM duckdb_tables() WHERE table_name = 't'"
            ).fetchall()
            assert found == [(schema,)]
        with warehouse.reader() as connection:
            assert connection.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
    except REFUSED:
        pass
    with Warehouse(place_at(folder / "w.duckdb"), "kept").reader() as connection:
        assert connection.execute("SELECT x FROM victim").fetchall() == [(2,)]


@pytest.mark.parametrize("frame", [{"a\ud800": ["x"]}, {"a": ["x\ud800"]}], ids=["name", "value"])
@pytest.mark.skipif(KIND != "file", reason="DuckLake 1.0 ends the process: it cannot be caught")
def test_half_a_character_in_a_frame_costs_no_other_table(
    frame: dict[str, list[str]], warehouse: Warehouse
) -> None:
    with warehouse.connect() as connection:
        connection.execute("CREATE TABLE victim AS SELECT 1 AS x")
    with pytest.raises(REFUSED), warehouse.transaction() as connection:
        frames.store(connection, "mart", pd.DataFrame(frame))
    assert select(warehouse, "SELECT x FROM victim") == [(1,)]
    assert select(warehouse, "SELECT table_name FROM duckdb_tables()") == [("victim",)]


# Through Dagster


@pytest.mark.parametrize("attack", ATTACKS[:5])
def test_a_dynamic_partition_replaces_its_own_rows_only(attack: str, warehouse: Warehouse) -> None:
    regions = dg.DynamicPartitionsDefinition(name="regions")

    @dg.asset(
        key=["harvest", "regions"], partitions_def=regions, metadata={"partition_expr": "region"}
    )
    def by_region(context: dg.AssetExecutionContext) -> pd.DataFrame:
        return pd.DataFrame({"region": [context.partition_key], "n": [1]})

    @dg.asset(
        key=["harvest", "copy"],
        partitions_def=regions,
        metadata={"partition_expr": "region"},
        ins={"rows": dg.AssetIn(key=["harvest", "regions"])},
    )
    def copy(rows: pd.DataFrame) -> pd.DataFrame:
        return rows

    with warehouse.connect() as connection:
        connection.execute("CREATE TABLE victim AS SELECT 1 AS x")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("regions", ["safe", attack])
        for key in ("safe", attack, attack):
            result = dg.materialize(
                [by_region, copy],
                partition_key=key,
                resources={"io_manager": manager_of(warehouse.place)},
                instance=instance,
            )
            assert result.success
    for table in ("regions", "copy"):
        found = select(warehouse, f"SELECT region FROM {table} ORDER BY region = 'safe'")
        assert found == [(attack,), ("safe",)]
    assert select(warehouse, "SELECT x FROM victim") == [(1,)]


def test_ids_and_values_that_look_like_sql_reach_the_table(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    texts = [text for text in ATTACKS if "\ud800" not in text]
    rows = [client(number, name=text) for number, text in enumerate(texts)]
    load(warehouse, spools.write("clients", None, rows), CONTEXT)
    assert select(warehouse, "SELECT name FROM clients ORDER BY id") == [(text,) for text in texts]
