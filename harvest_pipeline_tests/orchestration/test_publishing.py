"""The copy for readers: when it is published, what is in it."""

import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pytest

from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.models import models
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.publish import publish
from harvest_pipeline_tests.orchestration.published import (
    Published,
    a_month,
    everything,
    problem_of,
)
from harvest_pipeline_tests.orchestration.published import published as published
from harvest_pipeline_tests.orchestration.published import sandbox as sandbox
from harvest_pipeline_tests.places import place_at
from harvest_pipeline_tests.sandbox.faults import AnswerWith
from harvest_pipeline_tests.warehouse.test_database import held


def test_a_run_of_one_report_publishes_it(published: Published) -> None:
    assert published.materialize("clients").success
    assert published.read("SELECT * EXCLUDE (_loaded_at) FROM clients ORDER BY id") == (
        published.query("SELECT * EXCLUDE (_loaded_at) FROM clients ORDER BY id")
    )
    assert published.read("SELECT record, rows FROM _loads") == published.query(
        "SELECT record, rows FROM _loads"
    )
    assert stat.S_IMODE(published.copy.stat().st_mode) == 0o600
    assert {each.name for each in published.copy.parent.iterdir()} == {published.copy.name}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """A project after its first night, with a schema of the user's."""
    with a_month() as sandbox, pytest.MonkeyPatch.context() as patch:
        published = Published(sandbox, tmp_path_factory.mktemp("night"), patch)
        published.at(published.database.with_name("analytics.duckdb"))
        with duckdb.connect(published.database) as connection:
            connection.execute("CREATE SCHEMA mine; CREATE TABLE mine.goals AS SELECT 42 AS hours")
            connection.execute(
                "CREATE VIEW mine.twice AS SELECT hours * 2 AS hours FROM mine.goals"
            )
            connection.execute('CREATE TABLE mine."a/b.c" AS SELECT 42 AS hours')
        assert published.night().success
        yield published
        published.instance.dispose()


@pytest.mark.slow
def test_a_night_publishes_every_table_and_the_models_as_tables(night: Published) -> None:
    with duckdb.connect() as both:
        both.execute(f"ATTACH '{night.database}' AS w (READ_ONLY)")
        both.execute(f"ATTACH '{night.copy}' AS c (READ_ONLY)")
        names = (
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = ?"
            " UNION ALL SELECT schema_name, view_name FROM duckdb_views()"
            " WHERE database_name = ? AND NOT internal ORDER BY ALL"
        )
        there = both.execute(names, ["w", "w"]).fetchall()
        in_copy = both.execute(names, ["c", "c"]).fetchall()
        assert in_copy == sorted([*there, ("main", "_published")])
        for schema, name in there:
            if name == "_models":
                continue
            for one, other in (("w", "c"), ("c", "w")):
                table = f'{schema}."{name}"'
                rows = f"FROM {one}.{table} EXCEPT ALL FROM {other}.{table}"
                # What is due and what is current go by the clock.
                assert both.execute(rows).fetchall() == [], name
        kinds = dict(
            both.execute(
                "SELECT table_name, table_type FROM information_schema.tables"
                " WHERE table_catalog = 'c' AND table_schema = 'harvest'"
            ).fetchall()
        )
        assert {kinds[name] for name in models()} == {"BASE TABLE"}
        assert kinds["people"] == "VIEW"
        for what in ("comment", "column_name, data_type, comment"):
            source = "duckdb_tables()" if what == "comment" else "duckdb_columns()"
            views = source.replace("tables", "views")
            column = "view_name" if what == "comment" else "table_name"
            asked = "SELECT {} FROM {} WHERE database_name = ? AND {} = 'profitability'"
            assert both.execute(asked.format(what, source, "table_name"), ["c"]).fetchall() == (
                both.execute(asked.format(what, views, column), ["w"]).fetchall()
            )


@pytest.mark.long
def test_a_run_that_changes_nothing_publishes_nothing(published: Published) -> None:
    assert everything(published).success
    before = published.version()
    for _ in range(2):
        assert published.materialize(*models(), "exchange_rates").success
        assert published.version() == before
    assert published.materialize("clients").success  # its row in the ledger is news
    assert published.version() != before


def test_models_alone_are_published_too(published: Published) -> None:
    assert published.materialize("freshness").success
    assert published.read("SELECT count(*) FROM freshness") == [(0,)]


@pytest.mark.long
def test_what_changes_is_published_by_the_run_of_the_sensor(published: Published) -> None:
    job = build_definitions().resolve_job_def("harvest_changes")
    assert job.execute_in_process(instance=published.instance).success
    assert published.read("SELECT count(*) FROM clients") == published.query(
        "SELECT count(*) FROM clients"
    )


def test_an_asset_of_the_user_is_published(published: Published) -> None:
    @dg.asset(key=dg.AssetKey(["harvest", "mine"]))
    def mine() -> pd.DataFrame:
        return pd.DataFrame({"number": [7]})

    definitions = dg.Definitions.merge(build_definitions(), dg.Definitions(assets=[mine]))
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=published.instance, asset_selection=[mine.key]
    )
    assert result.success
    assert published.read("FROM mine") == [(7,)]


def test_a_run_that_fails_publishes_nothing(published: Published) -> None:
    assert published.materialize("clients").success
    before = published.version()
    published.sandbox.account.faults.add(AnswerWith(401, path="/expenses", times=None))
    assert not published.night().success
    assert published.query("SELECT count(*) FROM time_entries") > [(0,)]  # half a night
    assert published.version() == before


def test_while_another_run_is_under_way_nothing_is_published(published: Published) -> None:
    definitions = build_definitions()
    manager = definitions.resources["io_manager"]
    inner: list[bool] = []

    @dg.asset(io_manager_key="io_manager", key=dg.AssetKey(["harvest", "mine"]))
    def mine() -> pd.DataFrame:
        assert published.materialize("clients").success
        inner.append(published.copy.exists())
        return pd.DataFrame({"number": [7]})

    assert dg.materialize([mine], resources={"io_manager": manager}, instance=published.instance)
    assert inner == [False]
    assert published.read("FROM mine") == [(7,)]
    assert published.read("SELECT count(*) FROM clients") > [(0,)]


def test_the_permissions_of_the_copy_stay(published: Published) -> None:
    assert published.materialize("clients").success
    published.copy.chmod(0o644)
    before = published.version()
    assert published.materialize("tasks").success
    assert published.version() != before
    assert stat.S_IMODE(published.copy.stat().st_mode) == 0o644


def test_a_reader_goes_on_reading_the_copy_that_it_has_opened(published: Published) -> None:
    assert published.materialize("clients").success
    with duckdb.connect(published.copy, read_only=True) as reader:
        assert published.materialize("tasks", "projects").success
        assert reader.execute("SELECT count(*) FROM harvest.clients").fetchall()[0][0]
        with pytest.raises(duckdb.CatalogException):
            reader.execute("FROM harvest.tasks")
    assert published.read("SELECT count(*) FROM tasks") > [(0,)]


def test_a_program_that_writes_into_the_copy_spoils_no_later_one(published: Published) -> None:
    assert published.materialize("clients").success
    write = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]);"
        "c.execute('CREATE TABLE main.spoilt AS SELECT 1'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", write, str(published.copy)], check=False)
    assert published.copy.with_name(f"{published.copy.name}.wal").exists()
    assert published.materialize("tasks").success
    assert published.read("SELECT count(*) FROM tasks") > [(0,)]
    assert published.read("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'spoilt'") == [
        (0,)
    ]


def in_the_way_a_folder(copy: Path) -> None:
    copy.mkdir()


def in_the_way_a_file(copy: Path) -> None:
    copy.parent.rmdir()
    copy.parent.write_text("not a folder")


@pytest.mark.parametrize("obstacle", [in_the_way_a_folder, in_the_way_a_file])
def test_a_copy_that_cannot_be_written_is_one_sentence_and_loses_nothing(
    published: Published, obstacle: Callable[[Path], None]
) -> None:
    definitions = build_definitions()
    published.copy.parent.mkdir()
    obstacle(published.copy)
    job = definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=published.instance,
        asset_selection=[dg.AssetKey(["harvest", "clients"])],
        raise_on_error=False,
    )
    said = problem_of(result)
    assert said.startswith("The copy for readers ")
    assert str(published.copy) in said
    assert "nothing that was loaded is lost" in said
    assert published.query("SELECT count(*) FROM clients") > [(0,)]
    run = published.instance.get_run_by_id(result.run_id)
    assert run and run.tags["dagster/max_retries"] == "0"


FULL = """
import resource, sys
from pathlib import Path
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.places import place_at
from harvest_pipeline.warehouse.publish import publish

size = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
publish(Warehouse(place_at(Path(sys.argv[1])), ""), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("name", ["analytics.duckdb", "parquet"])
def test_a_disk_that_is_full_leaves_the_former_copy_and_nothing_else(
    published: Published, tmp_path: Path, name: str
) -> None:
    published.at(tmp_path / "shared" / name)
    assert published.materialize("clients").success
    before = published.version()
    with duckdb.connect(published.database) as connection:
        connection.execute(
            "CREATE TABLE harvest.big AS SELECT hash(i) AS n FROM range(1000000) r(i)"
        )
    for size in (4_000, 1_000_000, 5_000_000):
        arguments = [str(published.database), str(published.copy), str(size)]
        done = subprocess.run(
            [sys.executable, "-c", FULL, *arguments], capture_output=True, text=True, check=False
        )
        assert f"The copy for readers {published.copy} could not be published" in done.stderr
        assert published.version() == before
        left = {each.name for each in published.copy.parent.iterdir()}
        assert left <= {name, f"{name}.published-1", f"{name}.published-2"}
    assert published.materialize("clients").success
    assert published.version() != before


def test_the_copy_waits_for_a_program_that_holds_the_database(published: Published) -> None:
    assert published.materialize("clients").success
    with held(published.database, seconds=2):
        began = time.monotonic()
        warehouse = Warehouse(place_at(published.database), "", log=lambda line: None)
        published.copy.unlink()
        assert publish(warehouse, published.copy)
        assert time.monotonic() - began > 0.5
    with held(published.database), pytest.raises(WarehouseError, match="is held by"):
        publish(
            Warehouse(place_at(published.database), "", 0.1, log=lambda line: None), published.copy
        )


@pytest.mark.long
def test_a_copy_that_is_put_back_is_a_warehouse_again(published: Published) -> None:
    assert everything(published).success
    rows = published.read("SELECT count(*) FROM time_entries")
    published.database.unlink()
    published.copy.rename(published.database)
    result = published.night()
    assert result.success, [e.message for e in result.all_events if e.is_failure]
    assert published.query("SELECT count(*) FROM time_entries") == rows
    found = dict(
        published.query(
            "SELECT table_name, table_type FROM information_schema.tables"
            " WHERE table_schema = 'harvest'"
        )
    )
    assert {found[name] for name in models()} == {"VIEW"}
    read = published.query("SELECT sum(rows) FROM _loads WHERE run_id = ?", result.run_id)
    assert read[0][0] < rows[0][0]  # not all of it again
    assert published.read("SELECT count(*) FROM time_entries") == rows


def test_a_table_of_the_user_in_the_place_of_a_model_is_still_refused(
    published: Published,
) -> None:
    assert published.materialize("freshness", "time_daily").success
    with duckdb.connect(published.database) as connection:
        connection.execute("DROP VIEW harvest.freshness; CREATE TABLE harvest.freshness (mine INT)")
    assert not published.materialize("freshness").success
    assert published.query("FROM freshness") == []


@pytest.mark.slow
def test_a_folder_of_parquet_has_every_table_and_model(night: Published, tmp_path: Path) -> None:
    night.at(tmp_path / "parquet")
    assert night.materialize("clients").success
    schemas = {each.name for each in night.copy.iterdir()}
    assert schemas == {"harvest", "main", "mine"}
    assert duckdb.sql(f"FROM '{night.copy}/mine/a%2Fb%2Ec.parquet'").fetchall() == [(42,)]
    files = {each.stem for each in (night.copy / "harvest").iterdir()}
    assert files >= {*models(), "time_entries", "time_entries_deleted", "_loads", "users"}
    assert "people" not in files
    for name in ("time_entries", "utilisation", "profitability", "freshness"):
        found = duckdb.sql(f"FROM '{night.copy}/harvest/{name}.parquet' ORDER BY ALL")
        with duckdb.connect(night.database, read_only=True) as connection:
            expected = connection.execute(f"FROM harvest.{name} ORDER BY ALL").fetchall()
        assert found.fetchall() == expected
    for each in (night.copy, *night.copy.rglob("*")):
        assert stat.S_IMODE(each.stat().st_mode) == (0o700 if each.is_dir() else 0o600)


def test_the_former_folder_of_parquet_stays_for_those_who_are_reading_it(
    published: Published, tmp_path: Path
) -> None:
    published.at(tmp_path / "parquet")
    assert published.materialize("clients").success
    published.copy.chmod(0o755)
    first = published.copy.resolve()
    before = published.version()
    assert published.materialize("freshness").success
    second = published.copy.resolve()
    assert first != second and first.exists()
    assert stat.S_IMODE((second / "harvest" / "clients.parquet").stat().st_mode) == 0o644
    assert published.version() != before
    before = published.version()
    assert published.materialize("freshness").success
    assert published.version() == before
    assert published.materialize("tasks").success
    assert published.copy.resolve() == first
    assert len([*tmp_path.glob("parquet*")]) == 3  # the link, and two versions


def test_a_folder_with_something_else_in_it_is_refused(
    published: Published, tmp_path: Path
) -> None:
    published.at(tmp_path / "parquet")
    definitions = build_definitions()
    (published.copy / "holiday").mkdir(parents=True)
    job = definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=published.instance,
        asset_selection=[dg.AssetKey(["harvest", "clients"])],
        raise_on_error=False,
    )
    assert "not empty" in problem_of(result)
    assert (published.copy / "holiday").is_dir()
