"""Finds what differs between the warehouse and Harvest in one list, with few requests.

Harvest is asked how many records it has, then for everything that changed since the last time.
After that its count of days equals the warehouse's exactly if nothing was deleted on them:
Harvest shows deletions in no other way. That is true only for days that were once read in full: on
others, a planned entry that has not been read yet would cancel out a deleted one. The count comes
first, because an entry added in between makes the warehouse's number larger, as a deletion does,
and cannot hide one.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import duckdb

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.harvest.errors import PermissionMissing, RecordNotFound
from harvest_pipeline.harvest.extract import count, read
from harvest_pipeline.harvest.pages import PER_PAGE
from harvest_pipeline.loading.window import OVERLAP, Loads
from harvest_pipeline.scope import Filters, Proof, Reader, Scope, Spool, Window, stretches
from harvest_pipeline.warehouse import coverage
from harvest_pipeline.warehouse.coverage import Day
from harvest_pipeline.warehouse.scopes import rows_in

#: A list of no more records is read as a whole: that takes one request, the same as its changes.
PAGE = int(PER_PAGE)


@dataclass(frozen=True, slots=True)
class Held:
    """The warehouse's state of a record: the days that it keeps, the ones of these that were read
    in full with the instant until which their changes are known, and the number of its rows.

    The day of a record without days is None. Only reads by people who see at least as much as the
    current reader count.
    """

    record: Record
    kept: frozenset[Day]
    known: dict[Day, datetime]
    rows: int

    @classmethod
    def of(
        cls, connection: duckdb.DuckDBPyConnection, record: Record, window: Window, reader: Reader
    ) -> "Held":
        """The current state; `window` are the days of the project."""
        days = coverage.kept_days(connection, record, window) if record.day else {None}
        known = coverage.known_until(connection, record.name, reader)
        return cls(
            record,
            frozenset(days),
            {day: until for day, until in known.items() if day in days},
            rows_in(connection, record, Scope(record.name)),
        )

    @property
    def known_until(self) -> datetime | None:
        """Until when all changes on the read days are known; None if no day was read."""
        return min(self.known.values(), default=None)

    @property
    def is_small(self) -> bool:
        """Whether the record is read as a whole each time: it is short, or Harvest cannot be asked
        for its changes."""
        has_changes = "updated_since" in self.record.filters
        return self.record.day is None and (self.rows <= PAGE or not has_changes)

    @property
    def read(self) -> list[Scope]:
        """The scopes that were read in full."""
        return self._scopes(self.known)

    @property
    def unread(self) -> list[Scope]:
        """The scopes that were never read in full."""
        return self._scopes(self.kept - self.known.keys())

    def _scopes(self, days: Collection[Day]) -> list[Scope]:
        if self.record.day is None:
            return [Scope(self.record.name)] if days else []
        return [Scope(self.record.name, each) for each in stretches(day for day in days if day)]


def counts(loads: Loads, held: Held) -> dict[Scope, int]:
    """How many records Harvest has in the scopes that were read in full; empty if everything is
    read again anyway, if the module is off, and if Harvest gives no count. Raises HarvestError."""
    found: dict[Scope, int] = {}
    if held.is_small:
        return found
    for scope in held.read:
        try:
            there = count(loads.client, held.record, scope)
        except (PermissionMissing, RecordNotFound):
            if held.record.module is None or not loads.client.is_off(held.record.module):
                raise
            return {}
        if there is not None:
            found[scope] = there
    return found


def changes(loads: Loads, held: Held, window: Window) -> Spool | None:
    """The changes since the last known instant; the whole record if that costs no more, and None if
    nothing was read in full yet. Raises HarvestError."""
    if held.known_until is None:
        return None
    if held.is_small:
        return read(loads.client, held.record, None, loads.folder)
    since = Filters(updated_since=held.known_until - OVERLAP)
    spool = read(loads.client, held.record, None, loads.folder, filters=since)
    if spool.proof is Proof.MODULE_OFF:
        return spool
    # On any day; the load decides which days are kept.
    scope = replace(spool.scope, window=window if held.record.day else None)
    return replace(spool, proof=Proof.CHANGES, scope=scope)


def differing(loads: Loads, record: Record, scope: Scope, there: int | None) -> Iterator[Spool]:
    """Read what differs in a scope of which Harvest has `there` records (None: no count).

    A range of days is halved until it fits on one page: reading a page takes one request, the same
    as counting it. Each spool must be loaded before the next one is requested. Raises HarvestError.
    """
    with loads.warehouse.reader() as connection:
        here = rows_in(connection, record, scope)
    if there == here:
        return
    window = scope.window
    one_page = there is None or there <= PAGE or window is None or window.first == window.last
    # If most records are missing, reading everything is cheaper than any search.
    if one_page or window is None or there is None or abs(there - here) * 2 >= there:
        loads.log(f"{scope}: {there} records at Harvest, {here} here; reading it again.")
        yield from loads.spools(record, scope)
        return
    first, last = (replace(scope, window=half) for half in window.halves())
    of_first = count(loads.client, record, first)
    yield from differing(loads, record, first, of_first)
    yield from differing(loads, record, last, None if of_first is None else there - of_first)
