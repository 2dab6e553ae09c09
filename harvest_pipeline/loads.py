"""What a run still has to ask Harvest for, and in which pieces.

Belongs here: the way from a report's window to the scopes that are read (DESIGN section 5, step 1).
Does not belong here: how a scope is read (harvest/) or stored (warehouse/); Dagster.
"""

import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import ReadNotProven
from harvest_pipeline.harvest.reading import read, read_children
from harvest_pipeline.private import make_folder
from harvest_pipeline.scope import Scope, Spool, Window
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.ledger import covered
from harvest_pipeline.warehouse.parents import parents

#: Parents of one piece of a child record. A piece is committed on its own, so this is what a run
#: that dies asks again: 500 requests are 75 seconds at Harvest's limit.
PARENTS_PER_PIECE = 500

#: What a run has read is asked again when the run is retried later than this, e.g. the next day.
_STILL_GOOD = timedelta(hours=6)

Parent = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Loads:
    """Everything that the reports of one run need to ask and to remember what was asked.

    `runs` are this run and the ones that it retries: what they have loaded is not asked again.
    """

    client: HarvestClient
    warehouse: Warehouse
    runs: Sequence[str]
    folder: Path
    log: Callable[[str], object]

    def spools(self, record: Record, window: Window | None) -> Iterator[Spool]:
        """Read what is missing of a record's window, piece by piece; nothing if it is all there.

        Each spool must be loaded before the next is asked for: the pieces of a child record are
        made from the parents that the warehouse holds by then. Raises HarvestError.
        """
        if self._loaded(Scope(record.name, window)):
            self.log(f"{record.title}: already read in this run, Harvest is not asked again.")
        elif record.parent is None:
            yield from self._records(record, window)
        else:
            yield from self._children(record, RECORDS[record.parent], window)

    def _records(self, record: Record, window: Window | None) -> Iterator[Spool]:
        """One read for the whole window if it can be proven, else its halves, and theirs.

        People who enter data while hundreds of pages are being read make such a read doubtful,
        each time anew; a window of few pages is read between two of their clicks.
        """
        if window is None or window.first == window.last:
            yield read(self.client, record, window, self.folder)
            return
        try:
            spool = read(self.client, record, window, self.folder, times=1)
        except ReadNotProven:
            self.log(f"{record.title} of {window} changed while being read: now half by half.")
            for half in window.halves():
                if not self._loaded(Scope(record.name, half)):
                    yield from self._records(record, half)
        else:
            yield spool

    def _children(self, record: Record, parent: Record, window: Window | None) -> Iterator[Spool]:
        yield from self.spools(parent, window)
        if window is None:
            raise ValueError(f"{record.name} is read by the days of {parent.name}")
        with self.warehouse.reader() as connection:
            rows_of_parent = parents(connection, record, window)
        asked = [
            row for row in rows_of_parent if not record.only_of_paid or _may_have_payments(row)
        ]
        for piece, rows in pieces(asked, parent.day or "", window, PARENTS_PER_PIECE):
            scope = Scope(record.name, piece)
            if not self._loaded(scope):
                yield read_children(self.client, record, scope, rows, self.folder)

    def _loaded(self, scope: Scope) -> bool:
        with self.warehouse.reader() as connection:
            return covered(connection, scope, self.runs, datetime.now(UTC) - _STILL_GOOD)


@contextmanager
def spool_folder(state_folder: Path) -> Generator[Path]:
    """A folder of one's own for spools, removed with everything in it at the end.

    Spools hold personal data: the folder is for its owner only, and what runs that were killed
    have left behind for a day is removed here.
    """
    make_folder(state_folder)
    for left_behind in state_folder.glob("spool-*"):
        if time.time() - left_behind.stat().st_mtime > 24 * 3600:
            shutil.rmtree(left_behind, ignore_errors=True)
    with TemporaryDirectory(prefix="spool-", dir=state_folder) as folder:
        yield Path(folder)


def pieces(
    parents: Sequence[Parent], day: str, window: Window, size: int
) -> Iterator[tuple[Window, list[Parent]]]:
    """Cut a window at day borders into pieces of about `size` parents, in order of their day.

    The pieces follow each other without a gap and together are the window; a day with more
    parents than `size` is one piece.
    """
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


def _may_have_payments(invoice: Parent) -> bool:
    """`due_amount` is `amount` minus the payments (REFERENCE 11.1): where they are equal, nothing
    has been paid. An invoice over nothing, or one that is called paid all the same, is asked.
    """
    untouched = invoice["due_amount"] == invoice["amount"] != 0
    return not untouched or invoice["paid_at"] is not None or invoice["state"] == "paid"
