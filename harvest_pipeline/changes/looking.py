"""Asking Harvest what has changed, in a bounded time.

Belongs here: one proven read of each watched record, and what becomes of those that fail.
Does not belong here: how a read is proven (harvest/reading.py), what a change means (judging.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import (
    AnswerInvalid,
    HarvestError,
    HarvestUnavailable,
    PermissionMissing,
    RateLimited,
    ReadNotProven,
    RecordNotFound,
    RequestRefused,
)
from harvest_pipeline.harvest.paging import TooMany
from harvest_pipeline.harvest.patience import Patience
from harvest_pipeline.harvest.reading import read
from harvest_pipeline.scope import Filters, Proof, Spool

#: Dagster ends a tick after 60 seconds. All reads take at most 30, one of them at most 12, so that
#: a list which hangs does not keep the others from being read; the database may take twice 10.
_ALL_SECONDS, _ONE_SECONDS = 30.0, 12.0
PATIENCE = Patience(
    read=10.0, deadline=10.0, attempts=2, longest_pause=2.0, reread_pause=1.5, throttle_cap=10.0
)
#: Five pages. What has more changes is read whole.
MOST_CHANGES = 10_000
#: What Harvest shows late, or with the clock of another of its servers, is met again. It costs
#: nothing: what the warehouse holds already is not outstanding.
_OVERLAP = timedelta(minutes=5)

#: What concerns one list and not the account.
_OF_ONE_LIST = (
    AnswerInvalid,
    HarvestUnavailable,
    PermissionMissing,
    ReadNotProven,
    RecordNotFound,
    RequestRefused,
)


@dataclass(frozen=True, slots=True)
class Look:
    """What Harvest told of a record: its changes, None if they are more than `MOST_CHANGES`.
    `read_at` is Harvest's clock before it was asked."""

    changes: Spool | None
    read_at: datetime


def look(
    client: HarvestClient,
    since: Mapping[str, datetime],
    folder: Path,
    log: Callable[[str], object],
) -> dict[str, Look]:
    """What has changed of each of these records since that instant of Harvest's clock.

    A record that cannot be read is left out and said in the log; those that lag most come first,
    so that a tick which runs out of time lets none starve. Raises HarvestError if none can be read.
    """
    found: dict[str, Look] = {}
    failure: HarvestError | None = None
    until = monotonic() + _ALL_SECONDS
    for name in sorted(since, key=lambda name: since[name]):
        seconds = min(until - monotonic(), _ONE_SECONDS)
        if seconds <= 0:
            log(f"There was no time left to ask for {name} and what follows; the next tick does.")
            break
        try:
            with client.within(seconds):
                look_at = _look(client, RECORDS[name], since[name], folder)
        except RateLimited as error:
            failure = error
            log(f"{name} and what follows is left to the next tick. {error}")
            break
        except _OF_ONE_LIST as error:
            failure = error
            log(f"{name} is left to the next tick. {error}")
        else:
            if look_at:
                found[name] = look_at
    if not found and failure:
        raise failure
    return found


def _look(client: HarvestClient, record: Record, since: datetime, folder: Path) -> Look | None:
    """None for a record whose module is switched off: nothing is known of it then."""
    changed = Filters(updated_since=since - _OVERLAP)
    try:
        spool = read(client, record, None, folder, filters=changed, most=MOST_CHANGES)
    except TooMany as error:
        return Look(None, error.asked_at)
    return None if spool.proof is Proof.MODULE_OFF else Look(spool, spool.read_at)
