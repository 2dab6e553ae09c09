"""The Dagster definitions: `build_definitions()` and `defs`.

The only module that wires things together. Nothing else belongs here.
"""

import warnings

import dagster as dg

from harvest_pipeline.assets import report_assets
from harvest_pipeline.jobs import report_jobs
from harvest_pipeline.resources import HarvestResource
from harvest_pipeline.schedules import recent_days_schedule
from harvest_pipeline.settings import Settings
from harvest_pipeline.warehouse.io_manager import HarvestDuckDBIOManager

# Dagster marks backfill_policy and pools as beta and says so once for each asset.
warnings.filterwarnings("ignore", category=dg.BetaWarning)


def build_definitions(settings: Settings | None = None) -> dg.Definitions:
    """Assets, checks, jobs, schedules and resources of the account of the environment.

    Reads no secret and asks Harvest nothing. Raises SettingsError.
    """
    settings = settings or Settings.from_environment()
    return dg.Definitions(
        assets=report_assets(settings),
        jobs=report_jobs(settings.schema),
        schedules=[recent_days_schedule(settings)],
        resources={
            "harvest": HarvestResource.from_environment(),
            "io_manager": HarvestDuckDBIOManager(
                database=str(settings.duckdb), schema=settings.schema
            ),
        },
        # A step in a process of its own costs 4 to 6 seconds, and survives its run: a zombie that
        # still writes (RELIABILITY 0.8).
        executor=dg.in_process_executor,
    )


defs = build_definitions()
