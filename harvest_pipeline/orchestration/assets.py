"""The software-defined assets: one for each dataset, the catalogue's reports and the user's own."""

from collections.abc import Iterator, Mapping

import dagster as dg

from harvest_pipeline.loading.history import left_out
from harvest_pipeline.orchestration.checks import check_specs, unsound
from harvest_pipeline.orchestration.io_manager import Reading
from harvest_pipeline.orchestration.metadata import CURRENT, code_version, definition_metadata
from harvest_pipeline.orchestration.narrow import assets_of
from harvest_pipeline.orchestration.partitions import (
    ONLY_CHANGED,
    daily_partitions,
    day_of,
    existing_days,
    window_of,
)
from harvest_pipeline.orchestration.steps import Retries, each_explained, explained, reading
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import Account
from harvest_pipeline.settings.datasets import Dataset
from harvest_pipeline.settings.resolve import REPORT_OPTIONS, Days, Resolved, resolve
from harvest_pipeline.warehouse.ledger import LoadContext, loaded_records


def dataset_assets(account: Account, io_manager_key: str) -> list[dg.AssetsDefinition]:
    """The datasets of an account as assets `<schema>/<dataset>`: reports, and the user's own."""
    days = daily_partitions(account.project)
    return [dataset_asset(dataset, account, days, io_manager_key) for dataset in account.datasets]


def dataset_asset(
    dataset: Dataset,
    account: Account,
    days: dg.DailyPartitionsDefinition,
    io_manager_key: str,
) -> dg.AssetsDefinition:
    """The asset of one dataset. Its value is a `Reading`, which the IO manager loads."""
    record = dataset.record
    key = dg.AssetKey([account.name, dataset.name])
    retry = Retries.of(dataset.retry)
    version = code_version(dataset)
    spec = dg.AssetSpec(
        key,
        description=dataset.description,
        group_name=account.group(dataset.report.group),
        owners=account.project.owners,
        # Kinds without an icon would take the place of the name in lists.
        kinds={"duckdb", "view" if dataset.is_view else "table"},
        tags={"harvest/record": record.name},
        metadata=definition_metadata(dataset, account.name),
        deps=_upstream(dataset, account),
        partitions_def=days if dataset.has_partitions else None,
        code_version=version,
    )

    def read_dataset(
        context: dg.AssetExecutionContext, inputs: Mapping[str, object]
    ) -> Iterator[dg.Output[Reading] | dg.AssetCheckResult]:
        only_changed = ONLY_CHANGED.items() <= context.run.tags.items()
        with explained(retry):
            ask = _asked(context, dataset, account)
        with reading(context, account, retry, only_changed=only_changed) as loads:
            identity = loads.client.identity
            with loads.warehouse.reader() as connection:
                is_first = record.name not in loaded_records(connection)
            start = account.project.start_date
            if is_first and (sentence := left_out(loads.client, [record], start)):
                context.log.warning(sentence)
            done = Reading(
                dataset,
                ask,
                each_explained(loads.spools(record, ask.scope), retry),
                LoadContext(
                    context.run.run_id, dataset.name, int(identity.account_id), identity.reader
                ),
                existing_days(account.project).last,
            )
            yield dg.Output(done, data_version=CURRENT)
            # Dagster resumes here when the IO manager has loaded everything.
            yield from done.checks
            if sentence := unsound(dataset, done.checks):
                raise dg.Failure(sentence, allow_retries=False)

    return assets_of(
        key.to_python_identifier(),
        read_dataset,
        [spec],
        check_specs(dataset, key),
        io_manager_key=io_manager_key,
        description=dataset.description,
        required_resource_keys={account.name, REPORT_OPTIONS},
        # Parent records come first, so that references are known when they are checked.
        tags={"dagster/priority": "0" if record.day or record.parent else "1"},
        retry_policy=retry.policy if dataset.retry else None,
        code_version=version,
    )


def _asked(context: dg.AssetExecutionContext, dataset: Dataset, account: Account) -> Resolved:
    """The dataset's parameters in this run; logs the run's parameters that it ignores."""
    today = day_of(context.run, account.zone_of(dataset))
    every = existing_days(account.project)
    run = window_of(context) or Window(*[min(today, every.last)] * 2)
    ask = resolve(
        dataset,
        getattr(context.resources, REPORT_OPTIONS),
        Days(run, every, account.project.timezone),
        _together(context, account) or (dataset,),
    )
    if ask.ignored:
        context.log.info(
            f"{dataset.name} has no {', '.join(ask.ignored)}: it is read as if not given."
        )
    if ask.scope.window != window_of(context) or ask.scope.filters:
        context.log.info(f"Reading {ask.scope}.")
    return ask


def _together(context: dg.AssetExecutionContext, account: Account) -> list[Dataset]:
    """The datasets of the account that this run materializes."""
    keys = context.op_execution_context.job_def.asset_layer.selected_asset_keys
    return [each for each in account.datasets if dg.AssetKey([account.name, each.name]) in keys]


def _upstream(dataset: Dataset, account: Account) -> list[dg.AssetKey]:
    """The report of the parent record, where the account has it."""
    return [
        dg.AssetKey([account.name, each.name])
        for each in account.datasets
        if each.is_report and each.record.name == dataset.record.parent
    ]
