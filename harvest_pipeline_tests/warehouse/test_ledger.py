"""The ledger says what was loaded, and so what need not be asked again."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvest_pipeline.scope import Proof, Scope, Window
from harvest_pipeline.warehouse import ledger, tables
from harvest_pipeline.warehouse.coverage import not_covered
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.ledger import Load, LoadContext, last_loaded_at
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline_tests.places import place_at
from harvest_pipeline_tests.warehouse.records import (
    ADMINISTRATOR,
    CONTEXT,
    FIRST,
    JANUARY,
    SECOND,
    SpoolFolder,
    client,
    on,
    select,
    time_entry,
)

READ_AT = datetime(2026, 2, 1, 8, 0, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def write(
    warehouse: Warehouse, scope: Scope, run: str = "run-1", read_at: datetime = READ_AT
) -> None:
    """Write a load into the ledger, without rows."""
    context = LoadContext(run, "daily", 1, ADMINISTRATOR)
    done = Load(scope, context, Proof.CURSOR_CHAIN, 3, 0, None, 1.5, read_at, {}, {})
    with warehouse.transaction() as connection:
        tables.prepare_tables(connection, ledger.LEDGER)
        ledger.write(connection, done)


def is_covered(warehouse: Warehouse, scope: Scope, *runs: str, since: datetime = LONG_AGO) -> bool:
    with warehouse.reader() as connection:
        return not_covered(connection, scope, runs, since) is None


def test_a_load_is_written_down(warehouse: Warehouse, spools: SpoolFolder) -> None:
    spool = spools.time_entries(JANUARY, [time_entry(1), time_entry(2)])
    done = load(warehouse, spool, CONTEXT)

    [row] = select(
        warehouse,
        "SELECT load_id, record, window_first, window_last, run_id, report, account_id, role,"
        " proof, requests, rows, total_entries, seconds, read_at, loaded_at, unknown_fields,"
        " missing_fields FROM _loads",
    )
    assert row == (
        done.load_id,
        "time_entries",
        date(2026, 1, 1),
        date(2026, 1, 31),
        "run-1",
        "daily",
        1204417,
        "administrator",
        "total_entries",
        1,
        2,
        2,
        0.25,
        spool.read_at,
        done.loaded_at,
        "{}",
        "{}",
    )
    assert select(warehouse, "SELECT DISTINCT _loaded_at FROM time_entries") == [(done.loaded_at,)]


def test_nothing_is_covered_before_the_first_load(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    scope = Scope("time_entries", JANUARY)
    assert not is_covered(warehouse, scope, "run-1")
    load(warehouse, spools.write("clients", None, [client(1)]), CONTEXT)
    assert not is_covered(warehouse, scope, "run-1")


def test_only_loads_of_the_given_runs_and_time_count(warehouse: Warehouse) -> None:
    scope = Scope("time_entries", JANUARY)
    before = datetime.now(UTC)
    write(warehouse, scope)

    assert is_covered(warehouse, scope, "run-0", "run-1")
    assert is_covered(warehouse, Scope("time_entries", on(SECOND)), "run-1")
    assert not is_covered(warehouse, scope, "run-2")
    assert not is_covered(warehouse, scope)
    assert not is_covered(warehouse, Scope("expenses", JANUARY), "run-1")
    assert is_covered(warehouse, scope, "run-1", since=before)
    assert not is_covered(warehouse, scope, "run-1", since=datetime.now(UTC))


def test_a_record_without_a_day_is_covered_by_any_load_of_it(warehouse: Warehouse) -> None:
    write(warehouse, Scope("clients"))

    assert is_covered(warehouse, Scope("clients"), "run-1")
    assert not is_covered(warehouse, Scope("users"), "run-1")


def test_a_load_of_everything_covers_every_window(warehouse: Warehouse) -> None:
    write(warehouse, Scope("time_entries"))
    write(warehouse, Scope("time_entries", on(FIRST)))

    assert is_covered(warehouse, Scope("time_entries", JANUARY), "run-1")
    assert is_covered(warehouse, Scope("time_entries"), "run-1")


def test_windows_do_not_cover_everything(warehouse: Warehouse) -> None:
    write(warehouse, Scope("time_entries", JANUARY))

    assert not is_covered(warehouse, Scope("time_entries"), "run-1")


windows = st.tuples(st.integers(0, 12), st.integers(0, 4)).map(
    lambda pair: Window(FIRST + timedelta(days=pair[0]), FIRST + timedelta(days=pair[0] + pair[1]))
)


@settings(max_examples=8, deadline=None)
@given(loaded=st.lists(windows, max_size=6), asked=windows)
def test_windows_cover_together(
    loaded: list[Window], asked: Window, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    warehouse = Warehouse(place_at(folder / "warehouse.duckdb"), "harvest")
    for window in loaded:
        write(warehouse, Scope("time_entries", window))

    days = {day for window in loaded for day in window.days()}
    assert is_covered(warehouse, Scope("time_entries", asked), "run-1") == (
        set(asked.days()) <= days
    )


def test_the_latest_load_is_told_and_before_the_first_there_is_none(warehouse: Warehouse) -> None:
    with warehouse.reader() as connection:
        assert last_loaded_at(connection) is None
    before = datetime.now(UTC)
    write(warehouse, Scope("clients", None))
    write(warehouse, Scope("projects", None))
    with warehouse.reader() as connection:
        last = last_loaded_at(connection)
    assert last is not None
    assert before <= last <= datetime.now(UTC)


def test_of_a_scope_the_days_after_those_that_were_read_are_left(warehouse: Warehouse) -> None:
    window = on(FIRST, JANUARY.last)
    write(warehouse, Scope("time_entries", on(FIRST)))
    with warehouse.reader() as connection:
        left = not_covered(connection, Scope("time_entries", window), ["run-1"], LONG_AGO)
        other = not_covered(connection, Scope("expenses", window), ["run-1"], LONG_AGO)
    assert left == Scope("time_entries", on(SECOND, JANUARY.last))
    assert other == Scope("expenses", window)
