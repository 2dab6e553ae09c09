"""Readings and DataFrames through real Dagster runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from harvest_pipeline.orchestration import steps
from harvest_pipeline.orchestration.io_manager import HarvestDuckDBIOManager, Reading
from harvest_pipeline.scope import Scope, Spool, Window
from harvest_pipeline.settings.datasets import report_datasets
from harvest_pipeline.settings.resolve import Resolved
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.place import Place
from harvest_pipeline_tests.places import only_a_file
from harvest_pipeline_tests.warehouse.records import (
    CONTEXT,
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
from harvest_pipeline_tests.warehouse.test_database import held

DAYS = dg.DailyPartitionsDefinition(start_date="2026-01-01", end_date="2026-02-01")
BY_DAY: dict[str, Any] = {
    "partitions_def": DAYS,
    "backfill_policy": dg.BackfillPolicy.single_run(),
    "metadata": {"partition_expr": "spent_date"},
}

Asset = dg.AssetsDefinition
Spools = Callable[[], Iterator[Spool]]


def report(name: str, record: str, spools: Spools, **options: Any) -> Asset:
    """An asset that reads these spools."""

    dataset = next(each for each in report_datasets() if each.report.record == record)

    @dg.asset(key=["harvest", name], **options)
    def read(context: dg.AssetExecutionContext) -> Reading:
        window = None
        if options:
            keys = context.partition_key_range
            window = Window(date.fromisoformat(keys.start), date.fromisoformat(keys.end))
        return Reading(dataset, Resolved(Scope(record, window)), spools(), CONTEXT, THIRD)

    return read


def manager_of(place: Place, **given: Any) -> HarvestDuckDBIOManager:
    """The IO manager of the schema `harvest` there."""
    return HarvestDuckDBIOManager(
        database=place.address, ducklake_data=place.data, schema="harvest", **given
    )


@dataclass(frozen=True)
class Dagster:
    """Runs assets with the IO manager on one warehouse, and remembers the runs."""

    place: Place
    instance: dg.DagsterInstance

    def run(
        self,
        assets: Sequence[Asset],
        *,
        days: Window | None = None,
        select: Sequence[Asset] | None = None,
        config: Mapping[str, Any] | None = None,
        wait: float = 0.5,
    ) -> dg.ExecuteInProcessResult:
        """One run, over a range of days if given."""
        tags = (
            {
                "dagster/asset_partition_range_start": days.first.isoformat(),
                "dagster/asset_partition_range_end": days.last.isoformat(),
            }
            if days
            else {}
        )
        manager = manager_of(self.place, lock_wait_seconds=wait)
        return dg.materialize(
            assets,
            resources={"io_manager": manager},
            instance=self.instance,
            selection=select,
            tags=tags,
            run_config={"resources": {"io_manager": {"config": dict(config)}}} if config else None,
            raise_on_error=False,
        )

    def failure(self, *assets: Asset, **options: Any) -> str:
        """The message with which the run of these assets fails."""
        result = self.run(assets, **options)
        assert not result.success
        [failed] = [event for event in result.all_events if event.is_step_failure]
        error = failed.step_failure_data.error
        assert error is not None
        data = failed.step_failure_data.user_failure_data
        return data.description if data and data.description else error.to_string()


@pytest.fixture
def dagster(warehouse: Warehouse) -> Iterator[Dagster]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Dagster(warehouse.place, instance)


def metadata(result: dg.ExecuteInProcessResult, name: str) -> dict[str | None, dict[str, Any]]:
    """The metadata of each materialization of an asset, by partition."""
    found: dict[str | None, dict[str, Any]] = {}
    for event in result.get_asset_materialization_events():
        materialization = event.materialization
        if materialization.asset_key.path[-1] == name:
            found[materialization.partition] = {
                key: value.value for key, value in materialization.metadata.items()
            }
    return found


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


# ---------------------------------------------------------------- DataFrames of users' own assets


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
