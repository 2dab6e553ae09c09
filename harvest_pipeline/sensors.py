"""Sensors: what has changed at Harvest is read soon after. All are off until switched on.

Belongs here: one sensor for each account, and what a person sees of its ticks.
Does not belong here: which changes there are, and which runs bring them in (changes/).
"""

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import dagster as dg

# Dagster's own clock: that by which it knows the days that exist, in its tests too.
from dagster._time import get_current_datetime

from harvest_pipeline import jobs
from harvest_pipeline.access import client_from_environment
from harvest_pipeline.changes.following import Followed, Situation, follow
from harvest_pipeline.changes.launching import run_requests, running
from harvest_pipeline.changes.looking import PATIENCE
from harvest_pipeline.changes.watched import watched
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import HarvestError
from harvest_pipeline.loads import spool_folder
from harvest_pipeline.partitions import existing_days
from harvest_pipeline.settings import Settings
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import WarehouseError

#: Between two ticks. One costs twelve requests of the 2,000 that Harvest allows in that time.
_INTERVAL_SECONDS = 300
#: A run that loads holds the database for seconds.
_WAIT_SECONDS = 10.0
_NOT_LOADED = (
    "Nothing was loaded yet, so there is nothing to keep current: materialize the reports over all "
    "days that you want first."
)


def all_sensors(accounts: Sequence[Settings]) -> list[dg.SensorDefinition]:
    """`<schema>_changes` for each account, as far as it has reports."""
    return [_changes(settings) for settings in accounts if watched(settings)]


def _changes(settings: Settings) -> dg.SensorDefinition:
    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            return _tick(context, settings)
        except (HarvestError, WarehouseError) as error:
            if error.retryable:
                return dg.SkipReason(str(error))
            # What only a person can mend is red in the UI, without the way it took through here.
            raise error.with_traceback(None) from None

    return dg.SensorDefinition(
        name=f"{settings.schema}_changes",
        description=(
            f"Every {_INTERVAL_SECONDS // 60} minutes: asks Harvest what has changed (about twelve "
            "requests) and requests runs over exactly the days that are touched, and over the "
            "small reports that changed. Load all days once before; what was deleted at Harvest "
            "it cannot see."
        ),
        job_name=jobs.all_reports_job(settings.schema),
        evaluation_fn=evaluate,
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.STOPPED,
    )


def _tick(
    context: dg.SensorEvaluationContext, settings: Settings
) -> dg.SensorResult | dg.SkipReason:
    log, every = context.log.info, existing_days(settings)
    situation = Situation(
        watched(settings),
        every,
        # Before the warehouse is looked at: what a run has brought when it ended is there by then.
        running(context.instance, settings.schema),
        get_current_datetime(),
        log,
    )
    warehouse = Warehouse(settings.duckdb, settings.schema, _WAIT_SECONDS, log)
    with spool_folder(settings.state_folder) as folder, _client(settings, log) as client:
        followed = follow(situation, context.cursor, client, warehouse, folder)
    if followed is None:
        return dg.SkipReason(_NOT_LOADED)
    requests: list[dg.RunRequest] = []
    for what, request in run_requests(settings, followed.due, every):
        log(f"Requesting a run over {what}.")
        requests.append(request)
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else _skipped(followed),
        cursor=followed.cursor,
    )


def _skipped(followed: Followed) -> str:
    if followed.waiting:
        return (
            f"Nothing new has changed. Of {followed.waiting} days and small reports with changes, "
            "a run is at each, or did not bring them and is tried again after a pause."
        )
    return f"Nothing has changed ({followed.requests} requests)."


@contextmanager
def _client(
    settings: Settings, log: Callable[[str], None]
) -> Generator[Callable[[], HarvestClient]]:
    """What makes the client of the account; it is closed at the end."""
    made: list[HarvestClient] = []

    def client() -> HarvestClient:
        made.append(client_from_environment(settings, os.environ, log, PATIENCE))
        return made[0]

    try:
        yield client
    finally:
        for each in made:
            each.close()
