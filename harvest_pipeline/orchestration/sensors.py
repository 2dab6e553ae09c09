"""The sensor `<account>_changes`: checks Harvest for changes, and launches the job that loads them.
Off until switched on."""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.harvest.access import client_from_environment
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import HarvestError, PermissionMissing, RecordNotFound
from harvest_pipeline.harvest.extract import count
from harvest_pipeline.harvest.http import Patience
from harvest_pipeline.loading.proof import Held
from harvest_pipeline.orchestration.partitions import existing_days
from harvest_pipeline.orchestration.reconcile import (
    changes_config,
    changes_job,
    reconcile_job,
    watched,
)
from harvest_pipeline.scope import Filters, Scope
from harvest_pipeline.settings import Account
from harvest_pipeline.warehouse.database import warehouse_of
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.ledger import refuse_another_account

#: Dagster ends a tick after 60 seconds: for a few of these, a loading run holds the database.
_WAIT_SECONDS = 10.0
_PATIENCE = Patience(
    read=10.0, deadline=10.0, total=30.0, attempts=2, longest_pause=2.0, throttle_cap=10.0
)
#: Between runs that fail one after the other; the last of these from then on.
_PAUSES = (timedelta(0), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
_NOT_LOADED = (
    "Nothing was loaded yet, so there is nothing to keep current: materialize the reports over the "
    "days that you want, or switch on the schedule {}, which loads everything tonight."
)


def all_sensors(accounts: Sequence[Account]) -> list[dg.SensorDefinition]:
    """`<schema>_changes` for each account that has reports."""
    return [_changes(account) for account in accounts if watched(account)]


def _changes(account: Account) -> dg.SensorDefinition:
    def evaluate(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        try:
            return _tick(context, account)
        except (HarvestError, WarehouseError) as error:
            if error.retryable:
                return dg.SkipReason(str(error))
            # What only a person can fix is red in the UI, without the traceback of this code.
            raise error.with_traceback(None) from None

    return dg.SensorDefinition(
        name=changes_job(account.name),
        description=(
            f"Every {account.project.changes_seconds} seconds: asks Harvest how many records "
            "changed (about fifteen requests). If any did, or a day is new, one run brings them. "
            f"What was deleted at Harvest it cannot see: {reconcile_job(account.name)} does, every "
            "night."
        ),
        job_name=changes_job(account.name),
        evaluation_fn=evaluate,
        minimum_interval_seconds=account.project.changes_seconds,
        default_status=dg.DefaultSensorStatus.STOPPED,
    )


def _tick(context: dg.SensorEvaluationContext, account: Account) -> dg.RunRequest | dg.SkipReason:
    if reason := _not_now(context.instance, account):
        return dg.SkipReason(reason)
    log = context.log.info
    warehouse = warehouse_of(account, log, wait_seconds=_WAIT_SECONDS)
    with closing(client_from_environment(account, os.environ, log, _PATIENCE)) as client:
        identity = client.identity
        with warehouse.reader() as connection:
            refuse_another_account(connection, int(identity.account_id))
            days = existing_days(account.project)
            held = [Held.of(connection, each, days, identity.reader) for each in watched(account)]
        if not any(each.known for each in held):
            return dg.SkipReason(_NOT_LOADED.format(reconcile_job(account.name)))
        found = list(_moved(client, [each for each in held if each.known]))
        if not found:
            return dg.SkipReason(f"Nothing has changed ({client.requests} requests).")
    log(f"Requesting a run: {'; '.join(map(str, found))}.")
    return dg.RunRequest(
        run_config=changes_config(account.name, [each.record.name for each in found])
    )


@dataclass(frozen=True, slots=True)
class _Moved:
    """A list of which something has to be loaded, and why."""

    record: Record
    why: str

    def __str__(self) -> str:
        return f"{self.record.name}: {self.why}"


def _moved(client: HarvestClient, held: Sequence[Held]) -> Iterator[_Moved]:
    """The lists that changed since the warehouse's last read, or have days that were never read."""
    for each in held:
        if "updated_since" not in each.record.filters:  # the nightly run reads it
            continue
        changed = Filters(updated_since=each.known_until)
        try:
            number = count(client, each.record, Scope(each.record.name, None, changed))
        except (PermissionMissing, RecordNotFound):
            if each.record.module is None or not client.is_off(each.record.module):
                raise
            continue
        if number is None or number:
            yield _Moved(each.record, f"{number} changed")
        elif each.unread:
            yield _Moved(each.record, f"{', '.join(str(scope.window) for scope in each.unread)}")


def _not_now(instance: dg.DagsterInstance, account: Account) -> str | None:
    """Why no run is launched now: one is running, or the last ones have just failed."""
    names = (changes_job(account.name), reconcile_job(account.name))
    records = [
        record
        for name in names
        for record in instance.get_run_records(dg.RunsFilter(job_name=name), limit=len(_PAUSES))
    ]
    if any(not record.dagster_run.is_finished for record in records):
        return "A run is at it."
    records.sort(key=lambda record: record.create_timestamp, reverse=True)
    failed = 0
    for record in records:
        if record.dagster_run.status is not dg.DagsterRunStatus.FAILURE:
            break
        failed += 1
    if failed:
        pause = _PAUSES[min(failed, len(_PAUSES) - 1)]
        ended = datetime.fromtimestamp(records[0].end_time or 0, UTC)
        if datetime.now(UTC) < ended + pause:
            return f"The last {failed} runs failed; the next one is tried after {pause}."
    return None
