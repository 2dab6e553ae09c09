"""DataFrames of users' own assets, made and read in real Dagster runs."""

import dagster as dg
import pandas as pd

from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.warehouse.records import (
    FIRST,
    JANUARY,
    SECOND,
    SpoolFolder,
    client,
    on,
    select,
    time_entry,
)
from harvest_pipeline_tests.warehouse.runs import (
    BY_DAY,
    DAYS,
    Asset,
    Dagster,
    manager_of,
    metadata,
    report,
)


@dg.asset(
    key=["marts", "hours_of_a_day"],
    ins={"daily": dg.AssetIn(key=["harvest", "daily"])},
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    metadata={"partition_expr": "day", "schema": "marts"},
)
def hours_of_a_day(daily: pd.DataFrame) -> pd.DataFrame:
    """The hours of each day."""
    hours = daily.groupby("spent_date", as_index=False)["hours"].sum()
    return hours.rename(columns={"spent_date": "day"})


@dg.asset(key=["harvest", "names_of_clients"], ins={"clients": dg.AssetIn(["harvest", "clients"])})
def names_of_clients(clients: pd.DataFrame) -> pd.DataFrame:
    """One row per client."""
    return clients[["id", "name"]]


def loaded_daily(spools: SpoolFolder) -> Asset:
    entries = [time_entry(1, FIRST), time_entry(2, SECOND), time_entry(3, SECOND)]
    january = spools.time_entries(JANUARY, entries)
    return report("daily", "time_entries", lambda: iter([january]), **BY_DAY)


def test_a_frame_of_a_range_is_made_from_a_report(
    dagster: Dagster, warehouse: Warehouse, spools: SpoolFolder
) -> None:
    daily = loaded_daily(spools)
    result = dagster.run([daily, hours_of_a_day], days=on(FIRST, SECOND))

    assert result.success
    hours = "SELECT day::DATE, hours FROM marts.hours_of_a_day ORDER BY ALL"
    assert select(warehouse, hours) == [(FIRST, 3.5), (SECOND, 7.0)]

    # One day again: it is replaced, the other stays.
    with warehouse.connect() as connection:
        connection.execute("UPDATE time_entries SET hours = 1 WHERE id = 2")
    again = dagster.run([daily, hours_of_a_day], days=on(SECOND), select=[hours_of_a_day])
    assert again.success
    assert select(warehouse, hours) == [(FIRST, 3.5), (SECOND, 4.5)]
    assert metadata(again, "hours_of_a_day")["2026-01-02"]["dagster/table_name"] == (
        "marts.hours_of_a_day"
    )


@dg.asset(key=["harvest", "all_hours"], ins={"daily": dg.AssetIn(key=["harvest", "daily"])})
def all_hours(daily: pd.DataFrame) -> pd.DataFrame:
    """The hours of all days, in one row."""
    return pd.DataFrame({"hours": [daily["hours"].sum()]})


def test_an_unpartitioned_frame_is_made_from_all_days_of_a_report(
    dagster: Dagster, warehouse: Warehouse, spools: SpoolFolder
) -> None:
    daily = loaded_daily(spools)
    assert dagster.run([daily], days=JANUARY).success
    assert dagster.run([daily, all_hours], select=[all_hours]).success
    assert select(warehouse, "SELECT hours FROM all_hours") == [(10.5,)]


def test_a_frame_is_made_from_an_unpartitioned_report(
    dagster: Dagster, warehouse: Warehouse, spools: SpoolFolder
) -> None:
    spool = spools.write("clients", None, [client(1), client(2)])
    clients = report("clients", "clients", lambda: iter([spool]))
    for _ in range(2):
        select_frame = None if spool.path.exists() else [names_of_clients]
        assert dagster.run([clients, names_of_clients], select=select_frame).success
    found = select(warehouse, "SELECT id FROM names_of_clients ORDER BY id")
    assert found == [(1,), (2,)]


def test_a_report_that_was_never_loaded_is_named(dagster: Dagster, warehouse: Warehouse) -> None:
    clients = report("clients", "clients", lambda: iter([]))
    result = dagster.run([clients, names_of_clients], select=[names_of_clients])

    assert not result.success
    [failed] = [event for event in result.all_events if event.is_step_failure]
    error = failed.step_failure_data.error
    assert error is not None
    assert "materialize harvest/clients first" in error.to_string()
    assert not any(path.exists() for path in warehouse.place.files)


def test_a_frame_that_does_not_fit_leaves_the_old_rows(
    dagster: Dagster, warehouse: Warehouse
) -> None:
    frames = iter(
        [pd.DataFrame({"order": [1, 2]}), pd.DataFrame({"order": ["three"]}), pd.DataFrame()]
    )

    @dg.asset(key=["harvest", "group"])
    def group() -> pd.DataFrame:
        return next(frames)

    assert dagster.run([group]).success
    message = dagster.failure(group)
    assert "The column order of group is BIGINT" in message
    assert select(warehouse, 'SELECT "order" FROM "group"') == [(1,), (2,)]


def test_static_partitions_of_a_frame_are_replaced_one_by_one(
    dagster: Dagster, warehouse: Warehouse
) -> None:
    regions = dg.StaticPartitionsDefinition(["east", "o'west"])

    @dg.asset(
        key=["harvest", "regions"], partitions_def=regions, metadata={"partition_expr": "region"}
    )
    def by_region(context: dg.AssetExecutionContext) -> pd.DataFrame:
        return pd.DataFrame({"region": [context.partition_key], "n": [1]})

    for key in ("east", "o'west", "east"):
        result = dg.materialize(
            [by_region],
            partition_key=key,
            resources={"io_manager": manager_of(warehouse.place)},
            instance=dagster.instance,
        )
        assert result.success
    assert select(warehouse, "SELECT region FROM regions ORDER BY ALL") == [
        ("east",),
        ("o'west",),
    ]
