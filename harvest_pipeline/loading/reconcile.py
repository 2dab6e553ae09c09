"""The reconciliation: changes, new days, deletions, and a sweep of what may change without a trace.

Harvest does not promise that an edit of a message or payment updates its invoice, and some changes
leave no trace at all: another rounding rule, a cost rate that is applied to the past
(docs/harvest-api.md). Opening the database takes as long as loading a small record, so related
records are loaded together.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.harvest.errors import HarvestError, PermissionMissing, RecordNotFound
from harvest_pipeline.loading.proof import PAGE, Held, changes, counts, differing
from harvest_pipeline.loading.window import Loads
from harvest_pipeline.scope import Proof, Scope, Spool, Window, stretches
from harvest_pipeline.warehouse import coverage
from harvest_pipeline.warehouse.errors import SeesLess, WarehouseError
from harvest_pipeline.warehouse.gate import refuse_narrower
from harvest_pipeline.warehouse.ledger import Load, LoadContext, loaded_records, write_counted
from harvest_pipeline.warehouse.loading import load_each, load_together
from harvest_pipeline.warehouse.scopes import days_loaded_at, rows_by_day, rows_in

#: Older invoices are paid or written off.
_DAYS = 400
#: Every invoice of these days is read once in this many nights.
_NIGHTS = 7
#: What was read after this is this night's: nights begin at least 12 hours apart.
_TONIGHT = timedelta(hours=12)
#: Every day is read in full again within this many nights ...
_MONTH = 30
#: ... in at most this many of them.
_SHARES = 25


@dataclass(frozen=True, slots=True)
class Sweep:
    """How much is read again in one night, at the instant `now` of Harvest's clock.

    `requests` is the budget for the messages and for the payments of invoices; None: as many as
    needed to read every invoice of the last 400 days once a week.
    """

    now: datetime
    requests: int | None = None

    def chosen(self, day: str | None, parents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The parents that are due: of the last 400 days by the column `day`, within a week; all
        of parents without a day, within a month."""
        first, within = self.now.date() - timedelta(days=_DAYS), _NIGHTS if day else _MONTH
        every = [row for row in parents if day is None or row[day] >= first]
        budget = -(-len(every) // within) if self.requests is None else self.requests
        before = self.now - _TONIGHT
        read = [row for row in every if row["_read_at"] and row["_read_at"] < before]
        read.sort(key=lambda row: row["_read_at"])
        if not read or not budget:
            return []
        nights = -(-len(every) // budget)
        return read[:budget] if self._begins(read[0]["_read_at"], nights, within) else []

    def is_due(self, read_at: datetime) -> bool:
        """Whether a list that is too long to read every night is due to be read as a whole."""
        return read_at < self.now - timedelta(days=_MONTH - 1)

    def days(
        self, read_at: Mapping[date, datetime], rows: Mapping[date, int], page: int
    ) -> set[date]:
        """The days that are due to be read in full again, so that each is read within a month:
        `read_at` is when each was last read, `rows` how many rows it has.

        Each night takes days of at least a `page` of rows; the sweep begins as late as possible.
        """
        every = sum(rows.get(day, 0) for day in read_at)
        budget = max(page, -(-every // _SHARES))
        nights = max(1, -(-every // budget))
        chosen: set[date] = set()
        if not read_at or not self._begins(min(read_at.values()), nights, _MONTH):
            return chosen
        taken = 0
        for day in sorted(read_at, key=lambda day: (read_at[day], day)):
            # Rather a day too many than a night too few.
            if taken >= budget:
                break
            taken += rows.get(day, 0)
            chosen.add(day)
        return chosen

    def _begins(self, oldest: datetime, nights: int, within: int) -> bool:
        """Whether a sweep of this many nights must begin now: days that were read together are
        spread over one share per night, and the last of them has to be in time.

        One day earlier than that, since nights do not begin at exactly the same minute.
        """
        return oldest < self.now - timedelta(days=within - 1 - nights)


#: The `report` of its loads in the ledger.
RECONCILE = "reconcile"


@dataclass(slots=True)
class Reconciled:
    """The result for one record: the requests that were made, its loads, and the days whose rows
    were read again or removed (none for a record without a day)."""

    record: Record
    requests: int = 0
    loads: list[Load] = field(default_factory=list[Load])
    days: set[date] = field(default_factory=set[date])

    @property
    def deleted(self) -> int:
        """How many rows no longer exist at Harvest."""
        return sum(load.deleted for load in self.loads)


class Reconciliation:
    """Makes the tables of `records` equal to Harvest on the days that are kept: those of `window`,
    and all others that were ever read (`coverage.kept_days`).

    Messages, payments and rates are read for invoices, estimates and people that changed since
    theirs were read, and for those that are due in the sweep; `loads` must be for changes only.
    `thorough`: also look for deletions, sweep and take snapshots; `sweep_requests` is then the
    budget of the sweep.
    """

    def __init__(
        self,
        loads: Loads,
        context: LoadContext,
        records: Iterable[Record],
        window: Window,
        *,
        thorough: bool,
        sweep_requests: int | None = None,
    ) -> None:
        self._loads, self._context, self._window = loads, context, window
        self._thorough, self._sweep_requests = thorough, sweep_requests
        #: Differences are read again, even if this run has read them before.
        self._again = replace(loads, runs=())
        self._found = {record.name: Reconciled(record) for record in records}
        #: The records that were ever loaded.
        self._loaded: set[str] = set()
        #: Why a part could not be done; the first reason.
        self.refused: HarvestError | WarehouseError | None = None

    def run(self) -> Sequence[Reconciled]:
        """Run it. A list that cannot be read does not stop the others from being reconciled;
        `refused` says why it could not be read.

        Raises HarvestError and WarehouseError; what was loaded before stays, and the next run
        continues from there.
        """
        records = [each.record for each in self._found.values()]
        lists = [each for each in records if each.parent is None and not each.is_snapshot]
        with self._loads.warehouse.reader() as connection:
            wider = {
                str(other)
                for record in lists
                for other in coverage.readers_of(connection, record.name)
                if not self._context.reader.sees_all_of(other)
            }
            held = [self._held(connection, record) for record in lists]
            before = {r.name: rows_by_day(connection, r) for r in records if r.day}
            self._loaded = loaded_records(connection)
        if wider:
            # Records that Harvest hides from this person would look deleted.
            self.refused = SeesLess.of(
                self._context.reader, sorted(wider), "deletions were not looked for"
            )
        thorough = self._thorough and not wider
        there = self._bring_changes(held, count=thorough)
        self._bring_new_days(lists)
        self._find_deletions(there)
        sweep = Sweep(self._now(), self._sweep_requests) if thorough else None
        for record in records:
            if record.parent:
                with self._asking(record) as found:
                    self._load(found, self._children(record, RECORDS[record.parent], sweep))
        if sweep:
            self._read_again(lists, sweep)
            today = Window(self._window.last, self._window.last)
            for record in records:
                if record.is_snapshot:
                    with self._asking(record) as found:
                        self._load(found, self._loads.spools(record, Scope(record.name, today)))
        self._note_days(before)
        try:
            refuse_narrower(load for found in self._found.values() for load in found.loads)
        except SeesLess as error:
            self.refused = self.refused or error
        return list(self._found.values())

    def read_again(self, name: str, windows: Sequence[Window]) -> None:
        """Read days of a record in full although nothing shows a change, and count them as touched;
        all of a record without days. Raises the same exceptions as `run`."""
        found = self._found[name]
        dated = found.record.day is not None
        with self._asking(found.record):
            for window in windows if dated else [None]:
                self._load(found, self._again.spools(found.record, Scope(name, window)))
                found.days |= set(window.days()) if window else set()

    def _now(self) -> datetime:
        """Harvest's clock, as of the latest read."""
        read_at = (load.read_at for found in self._found.values() for load in found.loads)
        return max(read_at, default=datetime.now(UTC))

    def _held(self, connection: duckdb.DuckDBPyConnection, record: Record) -> Held:
        return Held.of(connection, record, self._window, self._context.reader)

    def _bring_changes(self, every: Sequence[Held], *, count: bool) -> dict[Scope, int]:
        """Load the changes; returns how many records Harvest had in what was read in full, before
        the changes were requested."""
        there: dict[Scope, int] = {}
        spools: list[Spool] = []
        try:
            for held in every:
                with self._asking(held.record):
                    if count:
                        there |= counts(self._loads, held)
                    if spool := changes(self._loads, held, self._window):
                        spools.append(spool)
        finally:  # keep what was read
            together = load_together(
                self._loads.warehouse, spools, self._loads.folder, self._context
            )
            for load in together:
                self._found[load.scope.record].loads.append(load)
        return there

    def _bring_new_days(self, lists: Sequence[Record]) -> None:
        """Read in full the days that were never read: today, days of an earlier start date, the day
        that an entry was moved to."""
        with self._loads.warehouse.reader() as connection:
            every = [self._held(connection, record) for record in lists]
        for held in every:
            with self._asking(held.record) as found:
                for scope in held.unread:
                    self._load(found, self._loads.spools(held.record, scope))

    def _find_deletions(self, there: dict[Scope, int]) -> None:
        """Compare the counts with the warehouse, read what differs, and record in the ledger the
        days that are complete."""
        for scope, number in there.items():
            record = RECORDS[scope.record]
            with self._asking(record) as found:
                self._load(found, differing(self._again, record, scope, number))
        if not there:
            return
        with self._loads.warehouse.transaction() as connection:
            for scope, number in there.items():
                loads = self._found[scope.record].loads
                changes = [each for each in loads if each.proof is Proof.CHANGES]
                if changes and rows_in(connection, RECORDS[scope.record], scope) == number:
                    write_counted(connection, scope, self._context, changes[0].read_at, number)

    def _children(self, record: Record, parent: Record, sweep: Sweep | None) -> Iterator[Spool]:
        window = None
        if parent.day:
            with self._loads.warehouse.reader() as connection:
                days = coverage.kept_days(connection, parent, self._window)
            window = Window(min(days), max(days))

        def chosen(every: list[dict[str, Any]]) -> list[dict[str, Any]]:
            due = self._loads.due(every)
            if sweep is None:
                return due
            taken = {row[parent.key] for row in due}
            others = [row for row in every if row[parent.key] not in taken]
            return due + sweep.chosen(parent.day, others)

        yield from self._loads.children(record, parent, Scope(record.name, window), chosen)

    def _read_again(self, lists: Sequence[Record], sweep: Sweep) -> None:
        """Read in full again what was read longest ago."""
        with self._loads.warehouse.reader() as connection:
            there = [
                (
                    record,
                    coverage.read_at(connection, record.name, self._context.reader),
                    rows_by_day(connection, record) if record.day else {},
                )
                for record in lists
            ]
        for record, read_at, rows in there:
            windows: list[Window | None] = []
            if record.day:
                by_day = {day: at for day, at in read_at.items() if day}
                windows += stretches(sweep.days(by_day, rows, PAGE))
            elif any(sweep.is_due(at) for at in read_at.values()):
                windows.append(None)
            with self._asking(record) as found:
                for window in windows:
                    self._load(found, self._again.spools(record, Scope(record.name, window)))

    def _load(self, found: Reconciled, spools: Iterable[Spool]) -> None:
        each = load_each(self._loads.warehouse, spools, self._context, self._loads.log)
        found.loads.extend(each)

    @contextmanager
    def _asking(self, record: Record) -> Generator[Reconciled]:
        """Count the requests that are made for a record, and continue if it is refused."""
        found, before = self._found[record.name], self._loads.client.requests
        try:
            yield found
        except (PermissionMissing, RecordNotFound) as error:
            self._loads.log(f"{record.title}: {error}")
            # What this person never could read is left out: `everything_is_visible` says so.
            if record.name in self._loaded or self._context.reader.role == "administrator":
                self.refused = self.refused or error
        finally:
            found.requests += self._loads.client.requests - before

    def _note_days(self, before: dict[str, dict[date, int]]) -> None:
        dated = [found for found in self._found.values() if found.record.day and found.loads]
        if not dated:
            return
        with self._loads.warehouse.reader() as connection:
            for found in dated:
                record = found.record
                was, now = before[record.name], rows_by_day(connection, record)
                found.days |= {day for day in {*was, *now} if was.get(day) != now.get(day)}
                if not was:
                    found.days |= set(self._window.days())
                for load in found.loads:
                    # A range that was read again is unchanged except for days with another number.
                    if record.parent or load.proof in (Proof.CHANGES, Proof.FOLLOWED):
                        found.days |= days_loaded_at(connection, record, load.loaded_at)
