"""What is done about the outstanding days of a record: requested now, waited for, or given up.

Belongs here: how often and after which pauses the same change is requested. Pure values.
Does not belong here: finding what is outstanding (outstanding.py), runs (launching.py).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from harvest_pipeline.changes.cursor import Tried
from harvest_pipeline.changes.outstanding import Change
from harvest_pipeline.scope import Window

#: The key of a whole record beside those of its days (2026-11-02).
WHOLE = ""
#: Between a request that came to nothing and the next one; there is none after the last of these.
PAUSES = (timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=60))


@dataclass(slots=True)
class Outstanding:
    """What is missing of a day, or of a whole record: the ids and instants of changes, and the
    latest of these instants."""

    newest: datetime
    changes: set[tuple[int, datetime]] = field(default_factory=set[tuple[int, datetime]])


@dataclass(slots=True)
class Judged:
    """What becomes of the outstanding keys: `due` ones are to be requested now, `wanted` are these
    and the ones that a run is at or that wait, `given_up` were given up just now. `tried` is for
    the next tick."""

    due: list[str] = field(default_factory=list[str])
    wanted: set[str] = field(default_factory=set[str])
    given_up: list[str] = field(default_factory=list[str])
    tried: dict[str, Tried] = field(default_factory=dict[str, Tried])


def by_day(changes: Iterable[Change], every: Window) -> dict[str, Outstanding]:
    """The changes by each existing day that they touch; all in one for a record without days."""
    found: dict[str, Outstanding] = {}
    for change in changes:
        for key in keys_of(change, every):
            entry = found.setdefault(key, Outstanding(change.updated_at))
            entry.newest = max(entry.newest, change.updated_at)
            entry.changes.add((change.id, change.updated_at))
    return found


def keys_of(change: Change, every: Window) -> list[str]:
    """The keys of what has to be read for a change; none if its days do not exist (yet)."""
    if not change.days:
        return [WHOLE]
    return [f"{day}" for day in sorted(change.days) if every.first <= day <= every.last]


def new_days(newest: date, every: Window) -> dict[str, Outstanding]:
    """The days that have come since `newest`, the last one that was loaded.

    What was planned for them changes no more when they come.
    """
    if newest >= every.last:
        return {}
    return {
        f"{day}": Outstanding(datetime.combine(day, time(), UTC))
        for day in Window(newest + timedelta(days=1), every.last).days()
    }


def judge(
    found: Mapping[str, Outstanding],
    tried: Mapping[str, Tried],
    is_running: Callable[[str], bool],
    now: datetime,
) -> Judged:
    """What to do now about each outstanding key. What is outstanding no more is forgotten."""
    judged = Judged()
    for key, outstanding in sorted(found.items()):
        before = tried.get(key)
        if before is None or outstanding.newest > before.newest:
            before = Tried(0, now, outstanding.newest)
        if is_running(key):
            # The pause begins when its run has come to an end.
            judged.tried[key] = Tried(before.times, now, before.newest)
            judged.wanted.add(key)
        elif before.times > len(PAUSES):
            if before.times == len(PAUSES) + 1:
                judged.given_up.append(key)
            judged.tried[key] = Tried(len(PAUSES) + 2, before.at, before.newest)
        elif before.times and now < before.at + PAUSES[before.times - 1]:
            judged.tried[key] = before
            judged.wanted.add(key)
        else:
            judged.tried[key] = Tried(before.times + 1, now, before.newest)
            judged.wanted.add(key)
            judged.due.append(key)
    return judged
