"""One tick: from the cursor and what Harvest tells to the next cursor and what is to be run.

Belongs here: the order of these steps, and how far the watermark of a record moves.
Does not belong here: the steps; Dagster's ticks (sensors.py).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from harvest_pipeline.changes import cursor as cursors
from harvest_pipeline.changes.coverage import Coverage, coverage, full_loads, has_load, latest_load
from harvest_pipeline.changes.cursor import Cursor, Seen
from harvest_pipeline.changes.judging import (
    WHOLE,
    Judged,
    Outstanding,
    by_day,
    judge,
    keys_of,
    new_days,
)
from harvest_pipeline.changes.launching import Due, Running
from harvest_pipeline.changes.looking import Look, look
from harvest_pipeline.changes.outstanding import Change, outstanding
from harvest_pipeline.changes.watched import Watched
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import AnswerInvalid
from harvest_pipeline.scope import Window
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.ledger import refuse_another_account


@dataclass(frozen=True, slots=True)
class Situation:
    """What a tick finds: the records that are watched, the days that exist, the runs of the sensor
    that have not ended, and the time by Dagster's clock."""

    watched: Sequence[Watched]
    every: Window
    running: Sequence[Running]
    now: datetime
    log: Callable[[str], object]


@dataclass(slots=True)
class Followed:
    """What comes of a tick. `waiting` is how many days and records are outstanding without being
    due; `requests` is what it asked Harvest."""

    cursor: str
    due: list[Due] = field(default_factory=list[Due])
    waiting: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a record before Harvest is asked."""

    watched: Watched
    coverage: Coverage
    seen: Seen


def follow(
    situation: Situation,
    text: str | None,
    client: Callable[[], HarvestClient],
    warehouse: Warehouse,
    folder: Path,
) -> Followed | None:
    """One tick with the cursor `text`; None if nothing that is watched was ever loaded.

    `client` is called, and Harvest asked, only if something was. Raises HarvestError and
    WarehouseError; then the old cursor holds.
    """
    with warehouse.reader() as connection:
        known = {each.watched.record.name: each for each in _known(connection, situation, text)}
    if not known:
        return None
    asked = client()
    account_id = int(asked.identity.account_id)
    looks = look(
        asked, {name: each.seen.since for name, each in known.items()}, folder, situation.log
    )
    followed = Followed("", requests=asked.requests)
    records = {name: each.seen for name, each in known.items()}
    with warehouse.reader() as connection:
        refuse_another_account(connection, account_id)
        for name, each in known.items():
            if seen := looks.get(name):
                try:
                    records[name] = _follow(connection, situation, each, seen, followed)
                except AnswerInvalid as error:
                    situation.log(f"{name} is left to the next tick. {error}")
        followed.cursor = cursors.written(Cursor(latest_load(connection), records))
    return followed


def _known(
    connection: duckdb.DuckDBPyConnection, situation: Situation, text: str | None
) -> Iterator[_Known]:
    """The records that have been loaded, with how far their changes were followed."""
    loads = full_loads(connection)
    if loads is None:
        return
    before, problem = cursors.read(text)
    if before and not has_load(connection, before.load):
        before, problem = None, "the warehouse is not the one that it was"
    if problem:
        situation.log(f"Beginning anew, with what was loaded: {problem}.")
    never_loaded: list[str] = []
    for watched in situation.watched:
        covered = coverage(connection, loads, watched.record, situation.every)
        if covered is None:
            never_loaded.append(watched.record.name)
            continue
        seen = before.records.get(watched.record.name) if before else None
        if seen is None:
            seen = Seen(covered.since)
        elif covered.complete and covered.since > seen.since:
            # Everything was read since: whatever changed before is in it.
            seen = Seen(covered.since, seen.tried)
        yield _Known(watched, covered, seen)
    if never_loaded:
        situation.log(f"Not watched, for it was never loaded in full: {', '.join(never_loaded)}.")


def _follow(
    connection: duckdb.DuckDBPyConnection,
    situation: Situation,
    known: _Known,
    seen: Look,
    followed: Followed,
) -> Seen:
    """Add what is due of one record to `followed`, and tell how far it is followed then."""
    watched, every = known.watched, situation.every
    changes: list[Change] = []
    found: dict[str, Outstanding] = {}
    if known.coverage.newest:
        found = new_days(known.coverage.newest, every)
    if seen.changes is None:
        # The watermark stays until all was read, and with it what this is an attempt at.
        found[WHOLE] = Outstanding(known.seen.since)
    else:
        changes = outstanding(connection, watched.record, seen.changes)
        for key, entry in by_day(changes, every).items():
            entry.newest = max(entry.newest, found[key].newest) if key in found else entry.newest
            found[key] = entry
    judged = judge(
        found,
        known.seen.tried,
        lambda key: any(run.is_at(watched, key, every) for run in situation.running),
        situation.now,
    )
    for key in judged.due:
        why = (judged.tried[key].times, sorted(found[key].changes), found[key].newest)
        followed.due.append(Due(watched, key, why))
    followed.waiting += len(judged.wanted) - len(judged.due)
    _tell(situation, watched, changes, judged)
    return Seen(_watermark(known, seen, changes, judged, every), judged.tried)


def _watermark(
    known: _Known, seen: Look, changes: list[Change], judged: Judged, every: Window
) -> datetime:
    """Harvest's clock before the read, or the oldest change that is still to come in."""
    if WHOLE in judged.wanted and seen.changes is None:
        return known.seen.since
    wanted = [
        change.updated_at
        for change in changes
        if not judged.wanted.isdisjoint(keys_of(change, every))
    ]
    return min([seen.read_at, *wanted])


def _tell(situation: Situation, watched: Watched, changes: list[Change], judged: Judged) -> None:
    name, every = watched.record.name, situation.every
    out_of_reach = [change for change in changes if not keys_of(change, every)]
    if out_of_reach:
        days = sorted(day for change in out_of_reach for day in change.days)
        situation.log(
            f"{name}: {len(out_of_reach)} changed on days that cannot be loaded ({days[0]} to "
            f"{days[-1]}; {every} can): before HARVEST_START_DATE, or still to come and read then."
        )
    for key in judged.given_up:
        situation.log(
            f"{name}{f' of {key}' if key else ''} is not requested any more: several runs did not "
            "bring its changes. The nightly reconcile will find them; see why the runs failed."
        )
