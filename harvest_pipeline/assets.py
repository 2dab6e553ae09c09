"""One software-defined asset for each dataset: the reports of the catalogue, and the user's own."""

from collections.abc import Iterator

import dagster as dg

from harvest_pipeline.asking import REPORT_OPTIONS, Asked, Days, asked
from harvest_pipeline.checks import check_results, check_specs
from harvest_pipeline.datasets import Dataset
from harvest_pipeline.failures import Retries, each_explained, explained, reading
from harvest_pipeline.metadata import definition_metadata, materialization_metadata
from harvest_pipeline.partitions import (
    ONLY_CHANGED,
    daily_partitions,
    day_of,
    existing_days,
    window_of,
)
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import Settings
from harvest_pipeline.warehouse.io_manager import Reading
from harvest_pipeline.warehouse.ledger import LoadContext


def dataset_assets(settings: Settings, io_manager_key: str) -> list[dg.AssetsDefinition]:
    """The datasets of an account as assets `<schema>/<dataset>`: reports, and the user's own."""
    days = daily_partitions(settings)
    return [dataset_asset(dataset, settings, days, io_manager_key) for dataset in settings.datasets]


def dataset_asset(
    dataset: Dataset,
    settings: Settings,
    days: dg.DailyPartitionsDefinition,
    io_manager_key: str,
) -> dg.AssetsDefinition:
    """The asset of one dataset. Its value is a `Reading`, which the IO manager loads."""
    record = dataset.record
    key = dg.AssetKey([settings.schema, dataset.name])
    retry = Retries.of(dataset.retry)

    @dg.asset(
        key=key,
        description=f"{dataset.description}\n\n[Harvest's documentation]({record.documentation})",
        group_name=dataset.report.group,
        kinds={"harvest", "duckdb", "view" if dataset.is_view else "table"},
        tags={"harvest/record": record.name, "harvest/report": dataset.report.name},
        metadata=definition_metadata(dataset, settings.schema),
        deps=_upstream(dataset, settings),
        partitions_def=days if dataset.has_partitions else None,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=check_specs(dataset, key),
        io_manager_key=io_manager_key,
        retry_policy=retry.policy if dataset.retry else None,
        required_resource_keys={settings.schema, REPORT_OPTIONS},
        # What others refer to comes first, so that references are known when they are checked.
        op_tags={"dagster/priority": "0" if record.day else "1"},
    )
    def read_dataset(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.Output[Reading] | dg.AssetCheckResult]:
        only_changed = ONLY_CHANGED.items() <= context.run.tags.items()
        with explained(retry):
            ask = _asked(context, dataset, settings)
        with reading(context, settings, retry, only_changed=only_changed) as loads:
            identity = loads.client.identity
            yield dg.Output(
                Reading(
                    dataset,
                    ask.scope,
                    each_explained(loads.spools(record, ask.scope), retry),
                    LoadContext(
                        context.run.run_id, dataset.name, int(identity.account_id), identity.reader
                    ),
                    lambda landed: materialization_metadata(landed, identity, ask),
                    anew=ask.anew,
                )
            )
            # Dagster comes back here when the IO manager has loaded all of it.
            today = existing_days(settings).last
            with loads.warehouse.reader() as connection:
                results = list(check_results(connection, dataset, ask.scope, identity, key, today))
            yield from results

    return read_dataset


def _asked(context: dg.AssetExecutionContext, dataset: Dataset, settings: Settings) -> Asked:
    """What this run asks for the dataset; says which parameters of the run it ignores."""
    today = day_of(context.run, dataset.cron.timezone if dataset.cron else settings.timezone)
    every = existing_days(settings)
    run = window_of(context) or Window(*[min(today, every.last)] * 2)
    ask = asked(
        dataset,
        getattr(context.resources, REPORT_OPTIONS),
        Days(run, every, settings.timezone),
        _together(context, settings) or (dataset,),
    )
    if ask.ignored:
        context.log.info(
            f"{dataset.name} has no {', '.join(ask.ignored)}: it is read as if not given."
        )
    if ask.scope.window != window_of(context) or ask.scope.filters:
        context.log.info(f"Reading {ask.scope}.")
    return ask


def _together(context: dg.AssetExecutionContext, settings: Settings) -> list[Dataset]:
    """The datasets of the account that this run materializes."""
    keys = context.op_execution_context.job_def.asset_layer.selected_asset_keys
    return [each for each in settings.datasets if dg.AssetKey([settings.schema, each.name]) in keys]


def _upstream(dataset: Dataset, settings: Settings) -> list[dg.AssetKey]:
    """The report of the parent record, where the account has it."""
    return [
        dg.AssetKey([settings.schema, each.name])
        for each in settings.datasets
        if each.is_report and each.name == dataset.record.parent
    ]
