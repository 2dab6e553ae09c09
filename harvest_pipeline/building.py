"""`build_definitions()`: assets, jobs, schedules and resources, wired together.

The only module that does so. Nothing else belongs here; in particular it builds nothing when it is
imported, so that another project can (definitions.py does, for this one).
"""

import warnings
from collections.abc import Sequence

import dagster as dg

from harvest_pipeline.alerts import alert_sensors
from harvest_pipeline.asking import REPORT_OPTIONS
from harvest_pipeline.assets import dataset_assets
from harvest_pipeline.config import account_settings
from harvest_pipeline.equality.checks import reconciliation_assets, reconciliation_checks
from harvest_pipeline.jobs import all_jobs
from harvest_pipeline.missing_day import missing_day_checks, missing_day_schedules
from harvest_pipeline.reconcile.job import reconcile_jobs, reconcile_schedules
from harvest_pipeline.report_options import report_options
from harvest_pipeline.resources import HarvestResource
from harvest_pipeline.schedules import dataset_schedules
from harvest_pipeline.sensors import all_sensors
from harvest_pipeline.settings import Settings, load_environment
from harvest_pipeline.warehouse.io_manager import HarvestDuckDBIOManager

# Dagster marks backfill_policy as beta and says so once for each asset.
warnings.filterwarnings("ignore", category=dg.BetaWarning)


def build_definitions(
    accounts: Sequence[Settings] | None = None,
    *,
    io_manager_key: str = "io_manager",
    executor: dg.ExecutorDefinition | None = dg.in_process_executor,
) -> dg.Definitions:
    """Assets, checks, jobs, schedules and resources of accounts: those of the environment and of
    `harvest.yaml` where none are given.

    A project that has an IO manager of its own gives another `io_manager_key`. `executor` is that
    of runs: a step in a process of its own costs 4 to 6 seconds, and survives its run, a zombie
    that still writes (RELIABILITY 0.8). Reads no secret and asks Harvest nothing. Raises
    SettingsError.
    """
    accounts = accounts or account_settings(load_environment())
    only = accounts[0] if len(accounts) == 1 else None
    assets = [asset for settings in accounts for asset in dataset_assets(settings, io_manager_key)]
    return dg.Definitions(
        assets=[*assets, *reconciliation_assets(accounts)],
        asset_checks=[*reconciliation_checks(accounts), *missing_day_checks(accounts)],
        jobs=[*all_jobs(accounts), *reconcile_jobs(accounts)],
        schedules=[
            *dataset_schedules(accounts),
            *reconcile_schedules(accounts),
            *missing_day_schedules(accounts),
        ],
        sensors=[*all_sensors(accounts), *alert_sensors(accounts)],
        resources={
            **{settings.schema: HarvestResource.of_account(settings) for settings in accounts},
            io_manager_key: HarvestDuckDBIOManager(
                database=str(accounts[0].duckdb),
                # With several accounts the first part of an asset's key is its schema.
                schema=only.schema if only else None,
            ),
            REPORT_OPTIONS: report_options(),
        },
        executor=executor,
    )
