"""What differs between the warehouse and Harvest, found with as few requests as possible.

Harvest is asked how many records it has; then everything that changed since the last time is read
and loaded. Now its count of a stretch of days equals the warehouse's exactly when nothing was
deleted in it (and nothing is missing that was never loaded): Harvest tells of deletions in no other
way (REFERENCE 8). In this order, since what is entered meanwhile makes our number the larger one,
as a deletion does, and cannot hide one. A stretch
that differs is halved until one page holds it: to read a page costs the one request that to count
it would cost.

Belongs here: that search, for one record. Does not belong here: loading what it finds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import duckdb

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.harvest.counting import count
from harvest_pipeline.harvest.errors import PermissionMissing, RecordNotFound
from harvest_pipeline.harvest.paging import PER_PAGE
from harvest_pipeline.harvest.reading import read
from harvest_pipeline.harvest.spool import ids_in, only_kept_days
from harvest_pipeline.loads import OVERLAP, Loads
from harvest_pipeline.scope import Filters, Proof, Scope, Spool, Window
from harvest_pipeline.warehouse.covered import changes_known_until
from harvest_pipeline.warehouse.scopes import known_ids, rows_in

_PAGE = int(PER_PAGE)


@dataclass(frozen=True, slots=True)
class Held:
    """What the warehouse has of a scope: its rows, and until when it knows all of their changes;
    None if the record was never loaded."""

    scope: Scope
    rows: int
    known_until: datetime | None

    @classmethod
    def of(cls, connection: duckdb.DuckDBPyConnection, record: Record, window: Window) -> "Held":
        """What it has now of the days that are kept."""
        scope = Scope(record.name, window if record.day else None)
        known = changes_known_until(connection, record.name)
        return cls(scope, rows_in(connection, record, scope), known)


def counted(loads: Loads, record: Record, held: Held) -> int | None:
    """How many records Harvest has of the scope; None where the record is read whole, or of a
    module that is switched off, or if Harvest does not say. Raises HarvestError."""
    if _is_read_whole(record, held):
        return None
    try:
        return count(loads.client, record, held.scope)
    except (PermissionMissing, RecordNotFound):
        if record.module is None or not loads.client.is_off(record.module):
            raise
        return None


def _is_read_whole(record: Record, held: Held) -> bool:
    return held.known_until is None or (record.day is None and held.rows <= _PAGE)


def changes(loads: Loads, record: Record, held: Held) -> Spool | None:
    """What changed since the warehouse last knew; the whole record where that costs no more, and
    None where it has to be read whole. Raises HarvestError."""
    if held.known_until is None:
        return None
    if _is_read_whole(record, held):
        return read(loads.client, record, None, loads.folder)
    since = Filters(updated_since=held.known_until - OVERLAP)
    spool = read(loads.client, record, None, loads.folder, filters=since)
    if spool.proof is Proof.MODULE_OFF:
        return spool
    if record.day is None or held.scope.window is None:
        return replace(spool, proof=Proof.CHANGES)
    # Not those on days that nobody wants, such as before HARVEST_START_DATE.
    ids = ids_in(spool)
    known = set[int]()
    if ids:
        with loads.warehouse.reader() as connection:
            known = known_ids(connection, record, ids)
    return only_kept_days(spool, record.day, held.scope.window, known)


def differing(loads: Loads, record: Record, scope: Scope, there: int | None) -> Iterator[Spool]:
    """Read what differs of a scope of which Harvest has `there` records (None: it does not say).

    Each spool must be loaded before the next is asked for. Raises HarvestError.
    """
    with loads.warehouse.reader() as connection:
        here = rows_in(connection, record, scope)
    if there == here:
        return
    window = scope.window
    one_page = there is None or there <= _PAGE or window is None or window.first == window.last
    # Where most is missing, as in a history of which only the last month was loaded, no search
    # is cheaper than to read it.
    if one_page or window is None or there is None or abs(there - here) * 2 >= there:
        loads.log(f"{scope}: {there} records at Harvest, {here} here; reading it again.")
        yield from loads.spools(record, scope)
        return
    first, last = (replace(scope, window=half) for half in window.halves())
    of_first = count(loads.client, record, first)
    yield from differing(loads, record, first, of_first)
    yield from differing(loads, record, last, None if of_first is None else there - of_first)
