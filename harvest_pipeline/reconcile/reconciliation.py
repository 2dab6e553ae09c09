"""A night: what differs is read and loaded, and told record by record.

Belongs here: the order of the work. Opening the database takes as long as loading a small record,
so what belongs together is loaded together.
Does not belong here: the search (proof.py), Dagster (job.py).
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.harvest.errors import HarvestError, PermissionMissing, RecordNotFound
from harvest_pipeline.loads import Loads
from harvest_pipeline.reconcile.proof import Held, changes, counted, differing
from harvest_pipeline.reconcile.sweep import Sweep
from harvest_pipeline.scope import Proof, Scope, Spool, Window
from harvest_pipeline.warehouse.covered import roles
from harvest_pipeline.warehouse.ledger import Load, LoadContext, write_counted
from harvest_pipeline.warehouse.loading import load_each, load_together
from harvest_pipeline.warehouse.scopes import days_loaded_at, rows_by_day, rows_in

#: The `report` of its loads in the ledger.
RECONCILE = "reconcile"


@dataclass(slots=True)
class Reconciled:
    """What became of one record: the requests that were made for it, its loads, and the days whose
    rows were read again or left (none of a record without a day)."""

    record: Record
    requests: int = 0
    loads: list[Load] = field(default_factory=list[Load])
    days: set[date] = field(default_factory=set[date])

    @property
    def deleted(self) -> int:
        """How many rows Harvest did not have any more."""
        return sum(load.deleted for load in self.loads)


class Reconciliation:
    """Makes the tables of `records` equal to Harvest on the days of `window`.

    Messages and payments are read of invoices that changed since theirs were read, and of those
    whose turn it is in the sweep; `loads` must be for changes only.
    """

    def __init__(
        self,
        loads: Loads,
        context: LoadContext,
        records: Iterable[Record],
        window: Window,
        sweep: Sweep,
    ) -> None:
        self._loads, self._context, self._window, self._sweep = loads, context, window, sweep
        self._found = {record.name: Reconciled(record) for record in records}
        #: Why a list was not to be had; the first one.
        self.refused: HarvestError | None = None

    def run(self) -> Sequence[Reconciled]:
        """Do it. A list that is not to be had does not keep the others from being reconciled;
        `refused` says why it was not.

        Raises HarvestError and WarehouseError; what was loaded before stays, and the next time goes
        on from there.
        """
        records = [each.record for each in self._found.values()]
        lists = [record for record in records if record.parent is None]
        with self._loads.warehouse.reader() as connection:
            self._refuse_narrower_role(roles(connection))
            held = {record.name: Held.of(connection, record, self._window) for record in lists}
            before = {r.name: rows_by_day(connection, r) for r in records if r.day}
        counts = self._bring_changes(lists, held)
        self._prove(lists, held, counts)
        for record in records:
            if record.parent:
                with self._asking(record) as found:
                    self._load(found, self._children(record, RECORDS[record.parent]))
        self._tell_days(before)
        return list(self._found.values())

    def _bring_changes(
        self, lists: Sequence[Record], held: dict[str, Held]
    ) -> dict[str, int | None]:
        """Load what changed; returns how many records Harvest had before it was asked."""
        counts: dict[str, int | None] = {}
        spools: list[Spool] = []
        try:
            for record in lists:
                with self._asking(record):
                    counts[record.name] = counted(self._loads, record, held[record.name])
                    if spool := changes(self._loads, record, held[record.name]):
                        spools.append(spool)
        finally:  # what was read is not read in vain
            together = load_together(
                self._loads.warehouse, spools, self._loads.folder, self._context
            )
            for load in together:
                self._found[load.scope.record].loads.append(load)
        return counts

    def _prove(
        self, lists: Sequence[Record], held: dict[str, Held], counts: dict[str, int | None]
    ) -> None:
        """Compare the counts of what was not read whole, and read what differs."""
        for record in lists:
            with self._asking(record) as found:
                scope = held[record.name].scope
                if held[record.name].known_until is None:
                    self._load(found, self._loads.spools(record, scope))
                elif any(load.proof is Proof.CHANGES for load in found.loads):
                    self._load(found, differing(self._loads, record, scope, counts[record.name]))
        if known := {name: there for name, there in counts.items() if there is not None}:
            self._note_equal(known, held)

    def _note_equal(self, counts: dict[str, int], held: dict[str, Held]) -> None:
        """Write into the ledger of which records nothing is missing and nothing too much."""
        with self._loads.warehouse.transaction() as connection:
            for name, there in counts.items():
                scope = held[name].scope
                changes = [x for x in self._found[name].loads if x.proof is Proof.CHANGES]
                if changes and rows_in(connection, RECORDS[name], scope) == there:
                    write_counted(connection, scope, self._context, changes[-1].read_at, there)

    def _children(self, record: Record, parent: Record) -> Iterator[Spool]:
        scope, day = Scope(record.name, self._window), parent.day or ""
        yield from self._loads.children(record, parent, scope, self._loads.due)
        yield from self._loads.children(
            record, parent, scope, lambda every: self._sweep.chosen(day, every), thorough=True
        )

    def _load(self, found: Reconciled, spools: Iterable[Spool]) -> None:
        each = load_each(self._loads.warehouse, spools, self._context, self._loads.log)
        found.loads.extend(each)

    @contextmanager
    def _asking(self, record: Record) -> Generator[Reconciled]:
        """Count the requests that are made for a record, and go on where it is refused."""
        found, before = self._found[record.name], self._loads.client.requests
        try:
            yield found
        except (PermissionMissing, RecordNotFound) as error:
            self._loads.log(f"{record.title}: {error}")
            self.refused = self.refused or error
        finally:
            found.requests += self._loads.client.requests - before

    def _tell_days(self, before: dict[str, dict[date, int]]) -> None:
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
                    # A stretch that was read again is the same but for days with another number.
                    if record.parent or load.proof in (Proof.CHANGES, Proof.FOLLOWED):
                        found.days |= days_loaded_at(connection, record, load.loaded_at)

    def _refuse_narrower_role(self, seen: set[str]) -> None:
        """Raise PermissionMissing where an administrator has loaded what this person may not see:
        what Harvest hides would be taken for deleted (REFERENCE 7)."""
        role = self._context.role
        if role != "administrator" and "administrator" in seen:
            raise PermissionMissing(
                f"The token is that of a {role}, and an administrator's has loaded records that a "
                f"{role} may not see: they would be taken for deleted. Use an administrator's "
                "token to reconcile."
            )
