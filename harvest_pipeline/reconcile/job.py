"""The job and the schedule `<account>_reconcile`.

Belongs here: the op, what Dagster is told of it, and when it runs.
Does not belong here: reconciling (reconciliation.py).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.failures import Retries, explained
from harvest_pipeline.jobs import asset_keys, reports
from harvest_pipeline.loads import Loads, spool_folder
from harvest_pipeline.partitions import existing_days, run_chain
from harvest_pipeline.reconcile.reconciliation import RECONCILE, Reconciled, Reconciliation
from harvest_pipeline.reconcile.sweep import Sweep
from harvest_pipeline.recorded import LOAD
from harvest_pipeline.resources import HarvestResource
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import Settings
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.ledger import LoadContext, refuse_another_account

#: Before the nightly schedule of recent days, so that each finds little to do.
_NIGHTLY = "0 3 * * *"


def reconcile_job(schema: str) -> str:
    """The name of the job that reconciles an account, and of its schedule."""
    return f"{schema}_reconcile"


def reconcile_jobs(accounts: Sequence[Settings]) -> list[dg.JobDefinition]:
    """One job for each account."""
    return [_job(settings) for settings in accounts if reports(settings)]


def reconcile_schedules(accounts: Sequence[Settings]) -> list[dg.ScheduleDefinition]:
    """One schedule for each account: every night at 03:00, off until switched on."""
    return [
        dg.ScheduleDefinition(
            name=reconcile_job(settings.schema),
            job_name=reconcile_job(settings.schema),
            cron_schedule=_NIGHTLY,
            execution_timezone=settings.timezone,
            description="Every night at 03:00: the whole history is made equal to Harvest, with a "
            "few requests where nothing was deleted.",
            default_status=dg.DefaultScheduleStatus.STOPPED,
        )
        for settings in accounts
        if reports(settings)
    ]


def _job(settings: Settings) -> dg.JobDefinition:
    @dg.op(
        name=f"reconcile_{settings.schema}",
        description="Finds what differs from Harvest (changes, deletions, days that are missing), "
        "reads it, and keeps what was deleted in the tables <record>_deleted.",
        required_resource_keys={settings.schema},
        out=dg.Out(dg.Nothing),
    )
    def reconcile_account(context: dg.OpExecutionContext) -> None:
        retries = Retries.of(None)
        warehouse = Warehouse(settings.duckdb, settings.schema, log=context.log.info)
        with (
            explained(retries),
            warehouse.reserved(),
            spool_folder(settings.state_folder) as folder,
        ):
            reconciliation = _reconciliation(context, settings, folder)
            for found in reconciliation.run():
                context.log.info(_sentence(found))
                for event in _events(settings, found):
                    context.log_event(event)
            if reconciliation.refused:
                raise reconciliation.refused

    # Its parameters have types that Dagster leaves unknown.
    @dg.job(  # pyright: ignore[reportUnknownMemberType]
        name=reconcile_job(settings.schema),
        description=f"Makes the whole history of the account {settings.schema} equal to Harvest.",
    )
    def job() -> None:
        reconcile_account()

    return job


def _reconciliation(
    context: dg.OpExecutionContext, settings: Settings, folder: Path
) -> Reconciliation:
    harvest: HarvestResource = getattr(context.resources, settings.schema)
    warehouse = Warehouse(settings.duckdb, settings.schema, log=context.log.info)
    client = harvest.client(settings)
    identity = client.identity
    account_id = int(identity.account_id)
    with warehouse.reader() as connection:
        refuse_another_account(connection, account_id)
    loads = Loads(
        client,
        warehouse,
        run_chain(context.run, context.instance),
        folder,
        context.log.info,
        only_changed=True,
    )
    return Reconciliation(
        loads,
        LoadContext(context.run_id, RECONCILE, account_id, identity.role),
        [RECORDS[name] for name in dict.fromkeys(each.record.name for each in reports(settings))],
        existing_days(settings),
        Sweep(settings.today(), settings.sweep_requests),
    )


def _sentence(found: Reconciled) -> str:
    rows = sum(load.rows for load in found.loads)
    return (
        f"{found.record.title}: {found.requests} requests, {rows} rows read, "
        f"{found.deleted} deleted."
    )


def _events(settings: Settings, found: Reconciled) -> Iterator[dg.AssetMaterialization]:
    """What was loaded of the record, for each of its reports; one event a day."""
    if not found.loads:
        return
    metadata = {"reconciled": True, "deleted": found.deleted, LOAD: found.loads[-1].load_id}
    of_record = [each for each in reports(settings) if each.record is found.record]
    kept = existing_days(settings)
    for key in asset_keys(settings, of_record):
        if found.record.day is None:
            yield dg.AssetMaterialization(key, metadata=metadata)
        for day in sorted(found.days):
            if kept.covers(Window(day, day)):
                yield dg.AssetMaterialization(key, partition=day.isoformat(), metadata=metadata)
