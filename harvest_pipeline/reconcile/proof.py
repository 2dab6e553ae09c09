"""What differs between the warehouse and Harvest, found with as few requests as possible.

First everything that changed since the last time is read and loaded. After that Harvest's count of
a stretch of days equals the warehouse's exactly when nothing was deleted in it (and nothing is
missing that was never loaded): Harvest tells of deletions in no other way (REFERENCE 8). A stretch
that differs is halved until one page holds it: to read a page costs the one request that to count
it would cost.

Belongs here: that search, for one record. Does not belong here: loading what it finds.
"""

from collections.abc import Iterator
from dataclasses import replace

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.harvest.counting import count
from harvest_pipeline.harvest.paging import PER_PAGE
from harvest_pipeline.harvest.reading import read
from harvest_pipeline.harvest.spool import ids_in, only_kept_days
from harvest_pipeline.loads import OVERLAP, Loads
from harvest_pipeline.scope import Filters, Proof, Scope, Spool, Window
from harvest_pipeline.warehouse.ledger import changes_known_until
from harvest_pipeline.warehouse.scopes import known_ids, rows_in

_PAGE = int(PER_PAGE)


def differing(loads: Loads, record: Record, window: Window) -> Iterator[Spool]:
    """Everything of `record` that the warehouse does not have as Harvest has it, as spools.

    `window` are the days that are kept. Each spool must be loaded before the next is asked for. A
    record that was never loaded is read whole. Nothing comes of a module that is switched off.
    Raises HarvestError.
    """
    scope = Scope(record.name, window if record.day else None)
    with loads.warehouse.reader() as connection:
        known = changes_known_until(connection, record.name)
        rows = rows_in(connection, record, scope)
    if known is None or (record.day is None and rows <= _PAGE):
        # To read it all costs no more than to ask what changed.
        yield from loads.spools(record, scope)
        return
    changes = Filters(updated_since=known - OVERLAP)
    spool = read(loads.client, record, None, loads.folder, filters=changes)
    if spool.proof is Proof.MODULE_OFF:
        spool.path.unlink()
        return
    yield _kept(loads, record, spool, window)
    yield from _stretches(loads, record, scope, count(loads.client, record, scope))


def _kept(loads: Loads, record: Record, spool: Spool, window: Window) -> Spool:
    """The changes without those on days that nobody wants, such as before HARVEST_START_DATE."""
    if record.day is None:
        return replace(spool, proof=Proof.CHANGES)
    with loads.warehouse.reader() as connection:
        known = known_ids(connection, record, ids_in(spool))
    return only_kept_days(spool, record.day, window, known)


def _stretches(loads: Loads, record: Record, scope: Scope, there: int | None) -> Iterator[Spool]:
    """Read what differs of a scope of which Harvest has `there` records."""
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
    yield from _stretches(loads, record, first, of_first)
    yield from _stretches(loads, record, last, None if of_first is None else there - of_first)
