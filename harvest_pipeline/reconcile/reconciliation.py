"""Record by record: what differs is read and loaded, and told.

Belongs here: the order of the records, and what was found of each.
Does not belong here: the search (proof.py), Dagster (job.py).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.harvest.errors import PermissionMissing
from harvest_pipeline.loads import Loads
from harvest_pipeline.reconcile.proof import differing
from harvest_pipeline.reconcile.sweep import Sweep
from harvest_pipeline.scope import Proof, Scope, Spool, Window
from harvest_pipeline.warehouse.deleted import noticed
from harvest_pipeline.warehouse.ledger import Load, LoadContext, roles
from harvest_pipeline.warehouse.loading import load_each
from harvest_pipeline.warehouse.scopes import days_loaded_at, rows_by_day

#: The `report` of its loads in the ledger.
RECONCILE = "reconcile"


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What became of one record. `requests` were made for it, `deleted` rows left its table, and
    the rows of `days` were read again or left; no days of a record without a day."""

    record: Record
    requests: int
    loads: tuple[Load, ...]
    deleted: int
    days: frozenset[date]


def reconcile(
    loads: Loads, context: LoadContext, records: Sequence[Record], window: Window, sweep: Sweep
) -> Iterator[Reconciled]:
    """Make the tables of `records` equal to Harvest on the days of `window`, one after the other.

    Messages and payments are read of invoices that changed since theirs were read, and of those
    whose turn it is in the sweep; `loads` must be for changes only. Raises HarvestError and
    WarehouseError; what was loaded before stays, and the next time goes on from there.
    """
    _refuse_narrower_role(loads, context.role)
    # Parents first: which of their children are read again depends on them.
    for record in sorted(records, key=lambda each: each.parent is not None):
        yield _reconcile(loads, context, record, window, sweep)


def _reconcile(
    loads: Loads, context: LoadContext, record: Record, window: Window, sweep: Sweep
) -> Reconciled:
    requests = loads.client.requests
    with loads.warehouse.reader() as connection:
        before = rows_by_day(connection, record)
    done, days = list[Load](), set[date]()
    spools = _spools(loads, record, window, sweep)
    for load in load_each(loads.warehouse, spools, context, loads.log):
        done.append(load)
        # A stretch that was read again is the same but for the days whose number of rows is not.
        if record.parent or load.proof in (Proof.CHANGES, Proof.FOLLOWED):
            with loads.warehouse.reader() as connection:
                days |= days_loaded_at(connection, record, load.loaded_at)
    with loads.warehouse.reader() as connection:
        now = rows_by_day(connection, record)
        deleted = noticed(connection, record, [load.loaded_at for load in done])
    days |= {day for day in {*before, *now} if before.get(day) != now.get(day)}
    if done and record.day and not before:
        days |= set(window.days())
    return Reconciled(
        record, loads.client.requests - requests, tuple(done), deleted, frozenset(days)
    )


def _spools(loads: Loads, record: Record, window: Window, sweep: Sweep) -> Iterator[Spool]:
    if record.parent is None:
        yield from differing(loads, record, window)
        return
    parent, scope = RECORDS[record.parent], Scope(record.name, window)
    day = parent.day or ""
    yield from loads.children(record, parent, scope, loads.due)
    yield from loads.children(
        record, parent, scope, lambda every: sweep.chosen(day, every), thorough=True
    )


def _refuse_narrower_role(loads: Loads, role: str) -> None:
    """Raise PermissionMissing where an administrator has loaded what this person may not see:
    what Harvest hides would be taken for deleted (REFERENCE 7)."""
    with loads.warehouse.reader() as connection:
        seen = roles(connection)
    if role != "administrator" and "administrator" in seen:
        raise PermissionMissing(
            f"The token is that of a {role}, and an administrator's has loaded records that a "
            f"{role} may not see: they would be taken for deleted. Use an administrator's token "
            "to reconcile."
        )
