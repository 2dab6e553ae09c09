"""What is told of days: that yesterday has not come by the hour, and that it came after all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from harvest_pipeline.alerts.messages import Alert, alert
from harvest_pipeline.alerts.state import DaysState
from harvest_pipeline.settings import Account
from harvest_pipeline.settings.alerts import AlertsEntry
from harvest_pipeline.warehouse.coverage import known_of_day
from harvest_pipeline.warehouse.database import Warehouse

#: A load holds the database for seconds, and the daemon gives a whole tick 60.
_WAIT_SECONDS = 15.0
#: A missing day is looked for that many days; then it is history.
_LOOKED_FOR = 31


class Days:
    """The days of the accounts, at the instant `now` (UTC)."""

    def __init__(
        self,
        accounts: Sequence[Account],
        entry: AlertsEntry,
        now: datetime,
        log: Callable[[str], object],
    ) -> None:
        self._accounts = accounts
        self._entry = entry
        self._now = now
        self._log = log

    def alerts(self, state: DaysState) -> Iterator[tuple[Alert | None, DaysState]]:
        """What is to be told, with the state after each. Raises WarehouseError.

        The database is opened only for a day that is neither here nor told of, and for those that
        were told missing.
        """
        for settings in self._accounts:
            if not (records := _records(settings)):
                continue
            days = self._looked_at(settings, state)
            if not days:
                continue
            warehouse = Warehouse(settings.project.duckdb, settings.name, _WAIT_SECONDS, self._log)
            with warehouse.reader() as connection:
                reads = {day: known_of_day(connection, day, records) for day in days}
            for day in days:
                end = _end_of(day, settings)
                late = [record for record in records if _before(reads[day].get(record), end)]
                told = day.isoformat() in state.missing.get(settings.name, ())
                message = None
                if late and not told:
                    missing = {record: records[record] for record in late}
                    message = self._missing(settings, day, missing, reads[day])
                elif told and not late:
                    message = _arrived(settings, day)
                state = self._after(state, settings, day, bool(late))
                if message or not late:
                    yield message, state

    def _looked_at(self, settings: Account, state: DaysState) -> list[date]:
        """Yesterday if it is due and not settled, and the days that are missing."""
        here = self._now.astimezone(ZoneInfo(settings.project.timezone))
        yesterday = here.date() - timedelta(days=1)
        days = [date.fromisoformat(day) for day in state.missing.get(settings.name, ())]
        is_due = here.time() >= self._entry.deadline and yesterday >= settings.project.start_date
        if is_due and state.settled.get(settings.name, "") < yesterday.isoformat():
            days.append(yesterday)
        return days

    def _after(self, state: DaysState, settings: Account, day: date, is_late: bool) -> DaysState:
        name, text = settings.name, day.isoformat()
        oldest = (self._now.date() - timedelta(days=_LOOKED_FOR)).isoformat()
        missing = [each for each in state.missing.get(name, ()) if each != text and each > oldest]
        return DaysState(
            {**state.settled, name: max(text, state.settled.get(name, ""))},
            {**state.missing, name: sorted([*missing, text] if is_late else missing)},
        )

    def _missing(
        self,
        settings: Account,
        day: date,
        late: Mapping[str, Sequence[str]],
        reads: Mapping[str, datetime],
    ) -> Alert:
        known = "; ".join(
            f"{record} {_when(reads[record]) if record in reads else 'never'}" for record in late
        )
        account = f" --account {settings.name}" if len(self._accounts) > 1 else ""
        return alert(
            f"{day} has not arrived",
            [settings.name],
            reports=(report for reports in late.values() for report in reports),
            days=f"{day}",
            cause=f"nothing that was read after the end of this day had been loaded by "
            f"{self._entry.missing_day_by} ({settings.project.timezone}). Last read of it: "
            f"{known}.",
            remedy=f"see in the Dagster UI whether the daemon runs, whether the schedule "
            f"{settings.name}_reconcile is switched on, and how its last run ended; then run "
            f"`harvest-pipeline sync{account} --from {day} --to {day}`.",
        )


def _arrived(settings: Account, day: date) -> Alert:
    return alert(
        f"{day} has arrived",
        [settings.name],
        days=f"{day}",
        cause="the day that was missing has been read and loaded.",
        remedy="nothing.",
    )


def _records(settings: Account) -> dict[str, list[str]]:
    """The records with days, and the reports that show them.

    Messages and payments are left out: nightly runs ask only for those of invoices that changed.
    """
    records: dict[str, list[str]] = {}
    for dataset in settings.datasets:
        if dataset.is_report and dataset.has_partitions and not dataset.record.parent:
            records.setdefault(dataset.record.name, []).append(dataset.name)
    return records


def _end_of(day: date, settings: Account) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(settings.project.timezone))


def _before(read_at: datetime | None, end: datetime) -> bool:
    return read_at is None or read_at < end


def _when(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
