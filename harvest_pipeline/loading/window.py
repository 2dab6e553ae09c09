"""What a run still has to request from Harvest, and in which pieces."""

import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import ReadNotProven, StateUnusable
from harvest_pipeline.harvest.extract import read, read_children
from harvest_pipeline.harvest.spool import only
from harvest_pipeline.safety.files import disk_full, make_folder
from harvest_pipeline.scope import Filters, Proof, Scope, Spool, Window
from harvest_pipeline.warehouse.coverage import not_covered, rows_known_until
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.parents import parents
from harvest_pipeline.warehouse.scopes import vanished

#: Parents per piece of a child record. A piece is committed on its own, so this is the most that a
#: killed run has to request again (one that fails commits what it has read): 100 requests are 15
#: seconds at Harvest's limit.
PARENTS_PER_PIECE = 100

#: What a run has read is requested again if the run is retried later than this, e.g. the next day.
_STILL_GOOD = timedelta(hours=6)

#: Harvest's clock and its `updated_at` may differ slightly.
OVERLAP = timedelta(minutes=1)

Parent = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Loads:
    """Everything that the reports of one run need to send requests and to remember what was read.

    `runs` are this run and the ones that it retries: what they have loaded is not requested again.
    `only_changed`: children are only read for parents that changed since theirs were read.
    """

    client: HarvestClient
    warehouse: Warehouse
    runs: Sequence[str]
    folder: Path
    log: Callable[[str], object]
    only_changed: bool = False

    def spools(self, record: Record, scope: Scope) -> Iterator[Spool]:
        """Read what is missing of a scope of `record`, piece by piece; nothing if it is complete.

        Each spool must be loaded before the next one is requested: the pieces of a child record are
        made from the parents that are in the warehouse at that time. Raises HarvestError.
        """
        for part in scope.parts():
            rest = self._rest(part)
            if rest is None:
                self.log(f"{part}: already read in this run, Harvest is not asked again.")
            elif record.parent is None:
                yield from self._records(record, rest)
            else:
                yield from self._children(record, RECORDS[record.parent], part)

    def _records(self, record: Record, scope: Scope) -> Iterator[Spool]:
        """One read for the whole window if it can be proven complete, else its halves, recursively.

        If people enter data while hundreds of pages are being read, such a read fails every time;
        a window of few pages can be read between two of their edits.
        """
        window = scope.window
        if window is None or window.first == window.last:
            spool = read(self.client, record, window, self.folder, filters=scope.filters)
        else:
            try:
                spool = read(
                    self.client, record, window, self.folder, times=1, filters=scope.filters
                )
            except ReadNotProven:
                self.log(f"{scope} changed while being read: now half by half.")
                for half in window.halves():
                    if rest := self._rest(replace(scope, window=half)):
                        yield from self._records(record, rest)
                return
        yield from self._moved(record, spool)
        yield spool

    def _moved(self, record: Record, spool: Spool) -> Iterator[Spool]:
        """Records that have left the part which was read for another one: an entry that was moved
        to another day, an open invoice that has been paid.

        The load of `spool` treats records that it does not contain as deleted, so they would be
        missing until their new part is read. They have changed since they were loaded, so one read
        of changes finds them; only they are taken from it, so that nothing else in the warehouse
        changes.
        """
        everything = spool.scope.window is None and not spool.scope.filters
        if everything or spool.scope.filters.changes_only or spool.proof is Proof.MODULE_OFF:
            return
        if record.is_snapshot:  # what left it was not moved to another day
            return
        with self.warehouse.reader() as connection:
            gone = vanished(connection, record, spool)
            known = rows_known_until(connection, record.name, set(gone.values()))
        if gone and known:
            self.log(f"{len(gone)} records have left {spool.scope}: asking where they are now.")
            changes = Filters(updated_since=known - OVERLAP)
            found = read(self.client, record, None, self.folder, filters=changes)
            yield only(found, gone)

    def _children(self, record: Record, parent: Record, scope: Scope) -> Iterator[Spool]:
        if parent.day and scope.window is None:
            raise ValueError(f"{record.name} is read by the days of {parent.name}")
        yield from self.spools(parent, _of_parent(parent, scope))
        yield from self.children(record, parent, scope, self.due)

    def children(
        self,
        record: Record,
        parent: Record,
        scope: Scope,
        choose: Callable[[list[dict[str, Any]]], list[dict[str, Any]]],
    ) -> Iterator[Spool]:
        """Read the children of the parents in the warehouse that `choose` selects from the scope's.

        If that fails midway, what has been read is yielded first, to be loaded.
        """
        with self.warehouse.reader() as connection:
            every = parents(connection, record, _of_parent(parent, scope))
        chosen = choose(every)
        if every and not chosen:
            self.log(f"{scope}: nothing of it is to be read, Harvest is not asked.")
            return
        for piece, rows in pieces(chosen, parent.day, scope.window, PARENTS_PER_PIECE):
            part = replace(scope, window=piece)
            # Only the ledger, not the parent, shows that a read of changes is done.
            if scope.filters.changes_only and self._rest(part) is None:
                continue
            if len(chosen if piece else rows) < len(every):
                if not rows:
                    continue
                ids = tuple(sorted(cast("int", row[parent.key]) for row in rows))
                part = replace(part, filters=replace(scope.filters, parent_ids=ids))
            spool, stopped = read_children(self.client, record, part, rows, self.folder)
            yield spool
            if stopped:
                raise stopped

    def due(self, parents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The parents whose children have to be read: not read in this run, and not unchanged."""
        return [row for row in parents if not (self._is_read(row) or self._is_unchanged(row))]

    def _is_read(self, parent: Parent) -> bool:
        loaded_at = parent["_loaded_at"]
        recent = isinstance(loaded_at, datetime) and loaded_at >= datetime.now(UTC) - _STILL_GOOD
        return recent and parent["_run_id"] in self.runs

    def _is_unchanged(self, parent: Parent) -> bool:
        changed_at, read_at = parent["updated_at"], parent["_read_at"]
        if not (self.only_changed and isinstance(read_at, datetime)):
            return False
        assert isinstance(changed_at, datetime)
        # Harvest's instants are whole seconds: two changes may have the same.
        return changed_at == parent["_updated_at"] and changed_at < read_at - OVERLAP

    def _rest(self, scope: Scope) -> Scope | None:
        """The part of the scope that these runs have not read yet, None if nothing. What is read by
        halves is read from its first day on."""
        with self.warehouse.reader() as connection:
            return not_covered(connection, scope, self.runs, datetime.now(UTC) - _STILL_GOOD)


@contextmanager
def spool_folder(state_folder: Path) -> Generator[Path]:
    """A private folder for spools, removed with everything in it at the end.

    Spools contain personal data: the folder is readable by its owner only, and what killed runs
    left behind more than a day ago is removed here. Raises StateUnusable if the disk is full.
    """
    try:
        make_folder(state_folder)
        for left_behind in state_folder.glob("spool-*"):
            if time.time() - left_behind.stat().st_mtime > 24 * 3600:
                shutil.rmtree(left_behind, ignore_errors=True)
        with TemporaryDirectory(prefix="spool-", dir=state_folder) as folder:
            yield Path(folder)
    except OSError as error:
        if sentence := disk_full(error, state_folder):
            raise StateUnusable(sentence) from error
        raise


def pieces(
    parents: Sequence[Parent], day: str | None, window: Window | None, size: int
) -> Iterator[tuple[Window | None, Sequence[Parent]]]:
    """Cut a window at day borders into pieces of about `size` parents, in order of their day.

    The pieces follow each other without a gap and together are the window; a day with more
    parents than `size` is one piece. Without days, there is no window, and as many parents in each.
    """
    if day is None or window is None:
        for at in range(0, max(len(parents), 1), size):
            yield None, parents[at : at + size]
        return
    first, rows = window.first, list[Parent]()
    ordered = sorted(parents, key=lambda row: str(row[day]))
    for index, row in enumerate(ordered):
        rows.append(row)
        last = _day(row[day])
        ends_a_day = index + 1 == len(ordered) or _day(ordered[index + 1][day]) > last
        if len(rows) >= size and ends_a_day and last < window.last:
            yield Window(first, last), rows
            first, rows = last + timedelta(days=1), []
    yield Window(first, window.last), rows


def _day(value: object) -> date:
    assert isinstance(value, date)
    return value


def _of_parent(parent: Record, scope: Scope) -> Scope:
    """The scope of the parents of a scope of children. A change of the children need not change
    their parent, so filters on changes are dropped."""
    theirs = Filters(invoice_status=scope.filters.invoice_status)
    return Scope(parent.name, scope.window, theirs)
