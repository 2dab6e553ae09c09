"""Dagster runs with the IO manager on the warehouse of a test."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg

from harvest_pipeline.orchestration.io_manager import HarvestDuckDBIOManager, Reading
from harvest_pipeline.scope import Scope, Spool, Window
from harvest_pipeline.settings.datasets import report_datasets
from harvest_pipeline.settings.resolve import Resolved
from harvest_pipeline.warehouse.place import Place
from harvest_pipeline_tests.warehouse.records import CONTEXT, THIRD

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
