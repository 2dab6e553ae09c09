"""Readings through real Dagster runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from harvest_pipeline.orchestration import steps
from harvest_pipeline.scope import Spool
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.places import only_a_file
from harvest_pipeline_tests.warehouse.records import (
    FIRST,
    JANUARY,
    SECOND,
    THIRD,
    SpoolFolder,
    client,
    on,
    select,
    time_entry,
)
from harvest_pipeline_tests.warehouse.runs import (
    BY_DAY,
    Dagster,
    manager_of,
    metadata,
    report,
)
from harvest_pipeline_tests.warehouse.test_database import held


def figures(result: dg.ExecuteInProcessResult, name: str) -> dict[str | None, dict[str, Any]]:
    """Of that metadata what the tests of figures are about."""
    wanted = ("rows", "hours", "table", "dagster/table_name")
    return {
        partition: {key: value for key, value in every.items() if key in wanted}
        for partition, every in metadata(result, name).items()
    }


def test_a_reading_is_loaded_and_described(
    dagster: Dagster, warehouse: Warehouse, spools: SpoolFolder
) -> None:
    spool = spools.write("clients", None, [client(1), client(2)])
    result = dagster.run([report("clients", "clients", lambda: iter([spool]))])

    assert result.success
    assert select(warehouse, "SELECT id FROM clients ORDER BY id") == [(1,), (2,)]
    assert figures(result, "clients") == {
        None: {"rows": 2, "dagster/table_name": "harvest.clients"}
    }
    assert not spool.path.exists()


def test_every_day_of_a_range_has_its_own_metadata(dagster: Dagster, spools: SpoolFolder) -> None:
    entries = [time_entry(1, FIRST), time_entry(2, FIRST, hours=1.25), time_entry(3, THIRD)]
    range_spool = spools.time_entries(on(FIRST, THIRD), entries)
    asset = report("daily", "time_entries", lambda: iter([range_spool]), **BY_DAY)
    result = dagster.run([asset], days=on(FIRST, THIRD))

    table = {"dagster/table_name": "harvest.daily"}
    assert figures(result, "daily") == {
        "2026-01-01": {"rows": 2, "hours": 4.75, **table},
        "2026-01-02": {"rows": 0, **table},
        "2026-01-03": {"rows": 1, "hours": 3.5, "table": "3 rows, 8.25 hours", **table},
    }


def test_a_month_is_described_day_by_day(dagster: Dagster, spools: SpoolFolder) -> None:
    january = spools.time_entries(
        JANUARY, [time_entry(n, day) for n, day in enumerate(JANUARY.days())]
    )
    asset = report("daily", "time_entries", lambda: iter([january]), **BY_DAY)
    result = dagster.run([asset], days=JANUARY)

    found = metadata(result, "daily")
    assert list(found) == [day.isoformat() for day in JANUARY.days()]
    assert {each["rows"] for each in found.values()} == {1}


def test_spools_are_asked_for_one_by_one_while_the_database_is_free(
    dagster: Dagster, warehouse: Warehouse, spools: SpoolFolder
) -> None:
    seen: list[list[tuple[Any, ...]]] = []

    def pieces() -> Iterator[Spool]:
        for id, day in enumerate((FIRST, SECOND), start=1):
            # A writer of the same process would be refused while the IO manager has it open.
            with warehouse.connect() as connection:
                tables = connection.execute("SELECT count(*) FROM duckdb_tables()").fetchall()
            seen.append(select(warehouse, "SELECT id FROM time_entries") if tables[0][0] else [])
            yield spools.time_entries(on(day), [time_entry(id, day)])

    asset = report("daily", "time_entries", pieces, **BY_DAY)
    result = dagster.run([asset], days=on(FIRST, SECOND))

    assert result.success
    assert seen == [[], [(1,)]]
    first, last = metadata(result, "daily").values()
    assert "read" not in first
    assert last["read"].startswith("2 requests, ")


def test_a_run_that_has_loaded_it_all_reads_nothing_and_is_described(
    dagster: Dagster, spools: SpoolFolder
) -> None:
    spool = spools.time_entries(on(FIRST), [time_entry(1)])
    first = report("daily", "time_entries", lambda: iter([spool]), **BY_DAY)
    second = report("all_users_time_entries", "time_entries", lambda: iter([]), **BY_DAY)
    dagster.run([first], days=on(FIRST))
    result = dagster.run([second], days=on(FIRST))

    assert metadata(result, "all_users_time_entries")["2026-01-01"]["rows"] == 1
    read = metadata(result, "all_users_time_entries")["2026-01-01"]["read"]
    assert read == "0 requests, 0.0 s"


@pytest.mark.parametrize(
    ("raised", "attempts"),
    [
        (dg.Failure("wrong token", allow_retries=False), 1),
        (dg.RetryRequested(max_retries=2, seconds_to_wait=0), 3),
        (ValueError("no network"), 2),
    ],
)
def test_what_is_raised_while_reading_reaches_dagster_as_it_is(
    dagster: Dagster, warehouse: Warehouse, spools: SpoolFolder, raised: Exception, attempts: int
) -> None:
    tries = 0

    def broken() -> Iterator[Spool]:
        nonlocal tries
        tries += 1
        yield spools.time_entries(on(FIRST), [time_entry(tries)])
        raise raised

    policy = dg.RetryPolicy(max_retries=1)
    asset = report("daily", "time_entries", broken, retry_policy=policy, **BY_DAY)
    result = dagster.run([asset], days=on(FIRST, SECOND))

    assert not result.success
    assert tries == attempts
    # What was loaded before stays; the next attempt goes on from there.
    assert select(warehouse, "SELECT id FROM time_entries") == [(attempts,)]


def test_a_broken_spool_ends_the_run_with_its_sentence(
    dagster: Dagster, warehouse: Warehouse, spools: SpoolFolder
) -> None:
    good = spools.time_entries(on(FIRST), [time_entry(1)])
    rows = [time_entry(id, SECOND, hours="many") for id in (2, 3)]
    bad = spools.time_entries(on(SECOND), rows)
    asset = report(
        "daily",
        "time_entries",
        lambda: iter([good, bad]),
        retry_policy=dg.RetryPolicy(max_retries=3),
        **BY_DAY,
    )
    message = dagster.failure(asset, days=on(FIRST, SECOND))

    assert "The field hours of time_entries is declared as DECIMAL(38,18)" in message
    assert select(warehouse, "SELECT id FROM time_entries") == [(1,)]
    assert not bad.path.exists()


@only_a_file
def test_a_held_database_is_waited_for_and_its_holder_named(
    dagster: Dagster,
    warehouse: Warehouse,
    spools: SpoolFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps, "_PAUSE_SECONDS", 0.0)
    with warehouse.connect():
        pass

    def read() -> Iterator[Spool]:
        yield spools.write("clients", None, [client(1)])

    with held(warehouse.place.path) as pid:
        message = dagster.failure(report("clients", "clients", read))
    assert f"(process {pid})" in message


def test_another_database_is_not_accepted_at_launch(warehouse: Warehouse, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.duckdb"
    asset = report("clients", "clients", lambda: iter([]))
    with pytest.raises(dg.DagsterResourceFunctionError) as refused:
        dg.materialize(
            [asset],
            resources={"io_manager": manager_of(warehouse.place)},
            run_config={"resources": {"io_manager": {"config": {"database": str(elsewhere)}}}},
        )
    assert "The launch changes database" in str(refused.value.__cause__)
    assert not elsewhere.exists()


def test_the_same_settings_may_be_named_at_launch(dagster: Dagster, warehouse: Warehouse) -> None:
    # The launchpad writes them out.
    place = warehouse.place
    config = {
        "database": place.address,
        "ducklake_data": place.data,
        "schema": "harvest",
        "lock_wait_seconds": 0.5,
    }
    asset = report("clients", "clients", lambda: iter([]))
    assert dagster.run([asset], config=config).success
