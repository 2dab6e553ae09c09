"""The jobs `<account>_reconcile` (the whole reconciliation) and `<account>_changes` (its first two
steps), the nightly schedule, and the events that they report to Dagster."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import duckdb

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.loading.figures import themes
from harvest_pipeline.loading.history import left_out
from harvest_pipeline.loading.reconcile import RECONCILE, Reconciled, Reconciliation
from harvest_pipeline.loading.statement import Statement
from harvest_pipeline.loading.verify import compare_and_repair
from harvest_pipeline.loading.window import Loads
from harvest_pipeline.orchestration.checks import check_results, evaluation
from harvest_pipeline.orchestration.dashboard import dashboard_events
from harvest_pipeline.orchestration.jobs import asset_keys, reports
from harvest_pipeline.orchestration.metadata import CURRENT_TAGS, reconciled_metadata
from harvest_pipeline.orchestration.models import model_events
from harvest_pipeline.orchestration.partitions import existing_days
from harvest_pipeline.orchestration.retention import delete_old_runs, materialized
from harvest_pipeline.orchestration.steps import Retries, reading
from harvest_pipeline.orchestration.verify import statement_events
from harvest_pipeline.scope import Scope, Window
from harvest_pipeline.settings import Account
from harvest_pipeline.warehouse import comparisons, statistics
from harvest_pipeline.warehouse.ledger import LoadContext
from harvest_pipeline.warehouse.statistics import Statistics
from harvest_pipeline.warehouse.upkeep import keep_up

#: The hour of the night, in the project's time zone, and how often a missed, dropped or failed
#: night is retried.
_NIGHT = time(3)
_MOST_ATTEMPTS = 3

_Event = dg.AssetMaterialization | dg.AssetCheckEvaluation


def reconcile_job(schema: str) -> str:
    """The name of the job that reconciles an account, and of its schedule."""
    return f"{schema}_reconcile"


def changes_job(schema: str) -> str:
    """The name of the job that loads changes and new days, and of the sensor that launches it."""
    return f"{schema}_changes"


def reconcile_jobs(
    account: Account,
    resources: Mapping[str, object],
    io_manager_key: str,
    executor: dg.ExecutorDefinition | None,
) -> list[dg.JobDefinition]:
    """The two jobs of an account that has reports. The IO manager publishes in the end."""
    if not reports(account):
        return []
    needed = {key: resources[key] for key in (account.name, io_manager_key)}
    return [
        # Dagster's return value has unknown types.
        graph.to_job(resource_defs=needed, executor_def=executor)  # pyright: ignore[reportUnknownMemberType]
        for graph in (
            _reconcile_graph(account, io_manager_key),
            _changes_graph(account, io_manager_key),
        )
    ]


def reconcile_schedules(accounts: Sequence[Account]) -> list[dg.ScheduleDefinition]:
    """One schedule for each account: every night at 03:00, off until switched on."""
    return [_schedule(account) for account in accounts if reports(account)]


def watched(account: Account) -> list[Record]:
    """The records of the account whose lists are checked, without those of their children."""
    return [each for each in _records(account) if each.parent is None and not each.is_snapshot]


def changes_config(schema: str, records: Sequence[str]) -> dict[str, object]:
    """The config of a run of `<account>_changes` that checks these records and their
    children."""
    return {"ops": {_changes_op(schema): {"config": {"records": sorted(records)}}}}


def _changes_op(schema: str) -> str:
    """The name of the op; Dagster does not allow an op with the name of its job."""
    return f"bring_changes_{schema}"


def _records(account: Account) -> list[Record]:
    return [RECORDS[name] for name in dict.fromkeys(each.record.name for each in reports(account))]


def _reconcile_graph(account: Account, io_manager_key: str) -> dg.GraphDefinition:
    description = (
        f"Makes the whole history of the account {account.name} equal to Harvest: changes, new "
        "days, deletions; compares the sums with Harvest's own reports, reads again what differs, "
        "creates the models as the code has them, and writes the dashboard."
    )

    @dg.op(
        name=f"reconcile_{account.name}",
        description=description,
        required_resource_keys={account.name, io_manager_key},
        out=dg.Out(dg.Nothing),
    )
    def op(context: dg.OpExecutionContext) -> Iterator[_Event | dg.Output[None]]:
        records = _records(account)
        with reading(context, account, Retries.of(None), only_changed=True) as loads:
            reconciliation = _reconciliation(context, account, loads, records, thorough=True)
            found = reconciliation.run()
            statement = None
            if reconciliation.refused is None:
                statement = _compared(account, loads, reconciliation)
            yield from _reported(account, loads, found)
            if statement:
                yield from statement_events(account, statement)
            yield from model_events(account, loads.warehouse)
            yield from dashboard_events(account, loads.warehouse)
            if reconciliation.refused:
                raise reconciliation.refused
            keep_up(loads.warehouse, account.project.keep_runs_days)
            yield from _without_old_runs(context.instance, account)
            yield dg.Output(None)

    name = reconcile_job(account.name)
    return dg.GraphDefinition(name, description=description, node_defs=[op])


def _changes_graph(account: Account, io_manager_key: str) -> dg.GraphDefinition:
    description = (
        "Brings what changed at Harvest and the days that are new; the sensor of the same name "
        "launches it."
    )

    @dg.op(
        name=_changes_op(account.name),
        description=description,
        required_resource_keys={account.name, io_manager_key},
        out=dg.Out(dg.Nothing),
        config_schema={
            "records": dg.Field(
                [str], is_required=False, description="Records to look at; all without it."
            )
        },
    )
    def op(context: dg.OpExecutionContext) -> Iterator[_Event | dg.Output[None]]:
        names: list[str] = context.op_config.get("records") or [*RECORDS]
        records = [each for each in _records(account) if {each.name, each.parent} & {*names}]
        with reading(context, account, Retries.of(None), only_changed=True) as loads:
            reconciliation = _reconciliation(context, account, loads, records, thorough=False)
            yield from _reported(account, loads, reconciliation.run())
            if reconciliation.refused:
                raise reconciliation.refused
            yield dg.Output(None)

    name = changes_job(account.name)
    return dg.GraphDefinition(name, description=description, node_defs=[op])


def _reconciliation(
    context: dg.OpExecutionContext,
    account: Account,
    loads: Loads,
    records: Sequence[Record],
    *,
    thorough: bool,
) -> Reconciliation:
    identity = loads.client.identity
    return Reconciliation(
        loads,
        LoadContext(context.run_id, RECONCILE, int(identity.account_id), identity.reader),
        records,
        existing_days(account.project),
        thorough=thorough,
        sweep_requests=account.project.sweep_requests,
    )


def _compared(account: Account, loads: Loads, reconciliation: Reconciliation) -> Statement:
    """Compare with Harvest's reports, and read again what differs. Raises HarvestError."""
    client, warehouse, days = loads.client, loads.warehouse, existing_days(account.project)
    outcomes = [
        compare_and_repair(client, warehouse, theme, days, days.last, reconciliation.read_again)
        for theme in themes(account)
    ]
    with warehouse.reader() as connection:
        last = comparisons.latest(connection)
    # Asked once for each start date: it would cost a quiet night a fifth more requests.
    if last and last.first_day == days.first:
        older = last.left_out
    else:
        older = left_out(client, account.records, days.first)
    statement = Statement(account, days, outcomes, older)
    if found := statement.comparison():
        with warehouse.transaction() as connection:
            comparisons.write(connection, found)
    return statement


def _reported(account: Account, loads: Loads, every: Sequence[Reconciled]) -> Iterator[_Event]:
    """The materializations of every touched report and day, and their checks."""
    reader, kept = loads.client.identity.reader, existing_days(account.project)
    with loads.warehouse.reader() as connection:
        for found in every:
            rows = sum(load.rows for load in found.loads)
            loads.log(
                f"{found.record.title}: {found.requests} requests, {rows} rows read, "
                f"{found.deleted} deleted."
            )
            days = sorted(day for day in found.days if kept.covers(Window(day, day)))
            if not found.loads or (found.record.day and not days):
                continue
            scope = Scope(found.record.name, Window(days[0], days[-1]) if days else None)
            figures = _figures(connection, found.record, scope.window)
            metadata = {
                day: reconciled_metadata(day, figures[day], found.requests, found.deleted)
                for day in days or [None]
            }
            of_record = [each for each in reports(account) if each.record is found.record]
            for dataset, key in zip(of_record, asset_keys(account, of_record), strict=True):
                for day in metadata if dataset.has_partitions else [None]:
                    yield dg.AssetMaterialization(
                        key,
                        partition=day.isoformat() if day else None,
                        metadata=metadata.get(day),
                        tags=CURRENT_TAGS,
                    )
                for result in check_results(connection, dataset, scope, reader, key, kept.last):
                    yield evaluation(key, result)


def _figures(
    connection: duckdb.DuckDBPyConnection, record: Record, window: Window | None
) -> Mapping[Any, Statistics]:
    """The figures of each day of the window, or of the whole table under None."""
    if window is None:
        return {None: statistics.of_table(connection, record)}
    return statistics.of_days(connection, record, window)


def _without_old_runs(
    instance: dg.DagsterInstance, account: Account
) -> Iterator[dg.AssetMaterialization]:
    """Delete old runs of the sensor, and report again the days that only they had materialized: the
    nightly run has just shown that they are in the warehouse."""
    keys = asset_keys(account, [each for each in reports(account) if each.has_partitions])
    before = materialized(instance, keys)
    if not delete_old_runs(instance, changes_job(account.name), account.project.keep_runs_days):
        return
    after = materialized(instance, keys)
    for key in keys:
        for day in sorted(before[key] - after[key]):
            yield dg.AssetMaterialization(key, partition=day, tags=CURRENT_TAGS)


def _schedule(account: Account) -> dg.ScheduleDefinition:
    name = reconcile_job(account.name)

    def due(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        tick = context.scheduled_execution_time.astimezone(ZoneInfo(account.project.timezone))
        night = datetime.combine(tick.date(), _NIGHT, tick.tzinfo)
        if tick < night:
            night = datetime.combine(tick.date() - timedelta(days=1), _NIGHT, tick.tzinfo)
        runs = context.instance.get_runs(
            dg.RunsFilter(job_name=name, created_after=night.astimezone(UTC))
        )
        if any(run.status is dg.DagsterRunStatus.SUCCESS for run in runs):
            return dg.SkipReason("The night's work is done.")
        if any(not run.is_finished for run in runs):
            return dg.SkipReason("A run is at it.")
        if len(runs) >= _MOST_ATTEMPTS:
            return dg.SkipReason(
                f"{len(runs)} runs of this night failed: see why; it is tried again next night."
            )
        return dg.RunRequest()

    return dg.ScheduleDefinition(
        name=name,
        job_name=name,
        # Every hour, so that a missed night is made up for within an hour.
        cron_schedule="0 * * * *",
        execution_timezone=account.project.timezone,
        execution_fn=due,
        description="Every night at 03:00: the whole history is made equal to Harvest, and "
        "compared with Harvest's own reports. A night that was missed, or whose run failed, is "
        "made up for at the next full hour.",
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )
