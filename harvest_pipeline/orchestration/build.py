"""`build_definitions()`: builds assets, jobs, schedules and resources, for other projects too.
Nothing is built on import."""

import warnings

import dagster as dg

from harvest_pipeline.orchestration.alerts import alert_sensors
from harvest_pipeline.orchestration.assets import dataset_assets
from harvest_pipeline.orchestration.dashboard import dashboard_assets
from harvest_pipeline.orchestration.io_manager import HarvestDuckDBIOManager
from harvest_pipeline.orchestration.jobs import all_jobs, dataset_schedules
from harvest_pipeline.orchestration.missing_day import missing_day_checks, missing_day_schedules
from harvest_pipeline.orchestration.models import model_assets
from harvest_pipeline.orchestration.reconcile import reconcile_jobs, reconcile_schedules
from harvest_pipeline.orchestration.resources import HarvestResource, report_options
from harvest_pipeline.orchestration.sensors import all_sensors
from harvest_pipeline.orchestration.verify import reconciliation_assets, reconciliation_checks
from harvest_pipeline.settings import Project, load_project
from harvest_pipeline.settings.resolve import REPORT_OPTIONS

# Dagster marks backfill_policy as beta and warns once for each asset.
warnings.filterwarnings("ignore", category=dg.BetaWarning)


def build_definitions(
    project: Project | None = None,
    *,
    io_manager_key: str = "io_manager",
    executor: dg.ExecutorDefinition | None = dg.in_process_executor,
) -> dg.Definitions:
    """Assets, checks, jobs, schedules and resources of a project; by default the project of the
    environment and of `harvest.yaml`.

    A project with its own IO manager passes another `io_manager_key`. `executor` is the one of
    runs: a step in its own process costs 4 to 6 seconds, and outlives a killed run as a zombie
    that still writes. Reads no secret and sends nothing to Harvest. Raises SettingsError.
    """
    project = project or load_project()
    accounts = project.accounts
    shared: dict[str, object] = {
        io_manager_key: HarvestDuckDBIOManager(
            database=str(project.duckdb),
            ducklake_data=project.ducklake_data,
            # With several accounts, the first part of an asset's key is its schema.
            schema=accounts[0].name if len(accounts) == 1 else None,
            lock_wait_seconds=project.duckdb_wait_seconds,
            publish=str(project.publish or ""),
        ),
        REPORT_OPTIONS: report_options(),
    }
    of_accounts = {account.name: HarvestResource.of_account(account) for account in accounts}
    assets = [
        asset
        for account in accounts
        for asset in (
            *dataset_assets(account, io_manager_key),
            model_assets(account, io_manager_key),
        )
    ]
    jobs = [
        job
        for account in accounts
        for job in reconcile_jobs(
            account, {account.name: of_accounts[account.name], **shared}, io_manager_key, executor
        )
    ]
    return dg.Definitions(
        assets=[*assets, *dashboard_assets(accounts), *reconciliation_assets(accounts)],
        asset_checks=[*reconciliation_checks(accounts), *missing_day_checks(accounts)],
        jobs=[*all_jobs(accounts), *jobs],
        schedules=[
            *dataset_schedules(accounts),
            *reconcile_schedules(accounts),
            *missing_day_schedules(accounts),
        ],
        sensors=[*all_sensors(accounts), *alert_sensors(project)],
        resources={**of_accounts, **shared},
        executor=executor,
    )
