"""The check `yesterday_is_loaded`, which a schedule runs at 09:00 where there are `alerts:`."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from harvest_pipeline.orchestration.jobs import reports
from harvest_pipeline.orchestration.steps import Retries, explained
from harvest_pipeline.orchestration.verify import reconciliation_key
from harvest_pipeline.settings import Account
from harvest_pipeline.warehouse.coverage import known_of_day, loaded
from harvest_pipeline.warehouse.database import warehouse_of

_NAME = "yesterday_is_loaded"


def missing_day_checks(accounts: Sequence[Account]) -> list[dg.AssetChecksDefinition]:
    """The check of each account; none without `alerts:`.

    It is on the asset that no run materializes: on a report it would run with every load, and fail
    while days of last year are being loaded.
    """
    return [_check(account) for account in accounts if account.project.alerts]


def missing_day_schedules(accounts: Sequence[Account]) -> list[dg.ScheduleDefinition]:
    """`<schema>_yesterday_is_loaded`: every day at 09:00, on by default."""
    return [_schedule(account) for account in accounts if account.project.alerts]


def _check(account: Account) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=reconciliation_key(account),
        name=_NAME,
        description="Everything that was entered for yesterday until it ended has been loaded, as "
        "far as the reports were ever loaded.",
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        with explained(Retries.of(None)):
            missing = _missing(
                account, account.project.today() - timedelta(days=1), context.log.info
            )
        return dg.AssetCheckResult(passed=not missing, description=missing)

    return check


def _schedule(account: Account) -> dg.ScheduleDefinition:
    name = f"{account.name}_{_NAME}"
    check = dg.AssetCheckKey(reconciliation_key(account), _NAME)
    # Its parameters have types that Dagster leaves unknown.
    job = dg.define_asset_job(name, dg.AssetSelection.checks(check))  # pyright: ignore[reportUnknownMemberType]
    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule="0 9 * * *",
        execution_timezone=account.project.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="At 09:00: has everything of yesterday been loaded? If not, `alerts:` send it.",
    )


def _missing(account: Account, day: date, log: Callable[[str], object]) -> str | None:
    """The sentence about a day that was not read since it ended; None if it was.

    Messages and payments are left out: nightly runs only read those of invoices that changed.
    """
    if day < account.project.start_date:
        return None
    records: dict[str, list[str]] = {}
    for dataset in reports(account):
        if dataset.has_partitions and not dataset.record.parent:
            records.setdefault(dataset.record.name, []).append(dataset.name)
    with warehouse_of(account, log).reader() as connection:
        expected = [record for record in records if loaded(connection, record)]
        known = known_of_day(connection, day, expected)
    end = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(account.project.timezone))
    late = {each: known.get(each) for each in expected}
    late = {each: until for each, until in late.items() if until is None or until < end}
    if not late:
        return None
    last = "; ".join(
        f"{', '.join(records[each])} "
        + (f"last at {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if until else "never")
        for each, until in late.items()
    )
    return (
        f"{day} has not been read since it ended ({account.project.timezone}): {last}. See in the "
        f"Dagster UI whether the schedule {account.name}_reconcile is on and how its last run "
        f"ended, or run `harvest-pipeline sync --account {account.name} --from {day} --to {day}`."
    )
