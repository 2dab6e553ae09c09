"""One software-defined asset for each report of the catalogue.

Belongs here: what an asset is called, what Dagster shows of it, and its computation: read, load,
check.
Does not belong here: anything about one particular report (that is the catalogue's).
"""

from collections.abc import Iterator

import dagster as dg

from harvest_pipeline.catalogue.columns import Report
from harvest_pipeline.catalogue.reports import REPORTS, record_of
from harvest_pipeline.checks import check_results, check_specs
from harvest_pipeline.failures import each_explained, explained
from harvest_pipeline.loads import Loads, spool_folder
from harvest_pipeline.metadata import definition_metadata, materialization_metadata
from harvest_pipeline.partitions import daily_partitions, window_of
from harvest_pipeline.resources import HarvestResource
from harvest_pipeline.scope import Scope
from harvest_pipeline.settings import Settings
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.io_manager import Reading
from harvest_pipeline.warehouse.ledger import LoadContext, refuse_another_account


def report_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The 18 reports as assets `<schema>/<report>`."""
    days = daily_partitions(settings)
    return [report_asset(report, settings, days) for report in REPORTS.values()]


def report_asset(
    report: Report, settings: Settings, days: dg.DailyPartitionsDefinition
) -> dg.AssetsDefinition:
    """The asset of one report. Its value is a `Reading`, which the IO manager loads."""
    record = record_of(report)
    key = dg.AssetKey([settings.schema, report.name])

    @dg.asset(
        key=key,
        description=f"{report.description}\n\n[Harvest's documentation]({record.documentation})",
        group_name=report.group,
        kinds={"harvest", "duckdb", "view" if report.is_view else "table"},
        tags={"harvest/record": record.name},
        metadata=definition_metadata(report, record, settings.schema),
        deps=[dg.AssetKey([settings.schema, record.parent])] if record.parent else [],
        partitions_def=days if record.day else None,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=check_specs(record, key),
        # Runs of one account share its request limit and its database: one step at a time.
        pool=settings.schema,
        required_resource_keys={settings.schema},
        # What others refer to comes first, so that references are known when they are checked.
        op_tags={"dagster/priority": "0" if record.day else "1"},
    )
    def read_report(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.Output[Reading] | dg.AssetCheckResult]:
        harvest: HarvestResource = getattr(context.resources, settings.schema)
        window = window_of(context)
        warehouse = Warehouse(settings.duckdb, settings.schema, log=context.log.info)
        with explained(), spool_folder(settings.state_folder) as folder:
            client = harvest.client(settings)
            identity = client.identity
            with warehouse.reader() as connection:
                refuse_another_account(connection, int(identity.account_id))
            loads = Loads(client, warehouse, _runs(context), folder, context.log.info)
            yield dg.Output(
                Reading(
                    record,
                    each_explained(loads.spools(record, window)),
                    LoadContext(
                        context.run.run_id, report.name, int(identity.account_id), identity.role
                    ),
                    lambda landed: materialization_metadata(landed, identity),
                )
            )
            # Dagster comes back here when the IO manager has loaded all of it.
            with warehouse.reader() as connection:
                scope = Scope(record.name, window)
                results = list(check_results(connection, record, scope, identity, key))
            yield from results

    return read_report


def _runs(context: dg.AssetExecutionContext) -> list[str]:
    """This run, and those that it retries."""
    tags = context.run.tags
    retried = (tags.get("dagster/parent_run_id"), tags.get("dagster/root_run_id"))
    return [context.run.run_id, *(run for run in retried if run)]
