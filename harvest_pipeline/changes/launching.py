"""From what is due to run requests, and back from runs to what they are at.

Belongs here: which days make one run, and its tags and key.
Does not belong here: what is due (judging.py).
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from harvest_pipeline import jobs
from harvest_pipeline.changes.judging import WHOLE
from harvest_pipeline.changes.watched import Watched
from harvest_pipeline.datasets import Dataset
from harvest_pipeline.partitions import ONLY_CHANGED, range_tags
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import Settings

#: The tag of a run that a sensor has requested; its value is the account's schema.
CHANGES = "harvest/changes"
#: The most runs that one tick requests for a record. A bulk change of a year's weeks would be 52,
#: which cost ten seconds each.
MOST_RUNS = 20
#: A run that is at something for longer than this has died unnoticed.
_LONGEST_RUN = timedelta(hours=6)
_ENDED = (
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
)


@dataclass(frozen=True, slots=True)
class Due:
    """A key of a record that is to be requested; `why` tells one such request from another."""

    watched: Watched
    key: str
    why: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Running:
    """A run of the sensor that has not ended: the reports that it materializes, and its days."""

    reports: frozenset[str]
    window: Window | None

    def is_at(self, watched: Watched, key: str, every: Window) -> bool:
        """Whether it brings what is outstanding under a key of a record."""
        if not watched.names <= self.reports:
            return False
        if watched.record.day is None:
            return True
        asked = every if key == WHOLE else Window(*[date.fromisoformat(key)] * 2)
        return self.window is not None and self.window.covers(asked)


def running(instance: dg.DagsterInstance, schema: str) -> list[Running]:
    """The runs of the account's sensor that have not ended."""
    runs = instance.get_runs(
        dg.RunsFilter(
            tags={CHANGES: schema},
            statuses=[status for status in dg.DagsterRunStatus if status not in _ENDED],
            created_after=datetime.now(UTC) - _LONGEST_RUN,
        )
    )
    return [
        Running(frozenset(key.path[-1] for key in run.asset_selection or ()), _window_of(run.tags))
        for run in runs
    ]


def run_requests(
    settings: Settings, due: Iterable[Due], every: Window
) -> list[tuple[str, dg.RunRequest]]:
    """One request for each stretch of days, and one for all reports without a day; each with what
    it is about, in words. Records whose stretches coincide share a run."""
    stretches_of: dict[Window | None, list[Due]] = {}
    for watched, of_record in _by_record(due):
        for window in _windows(watched, [each.key for each in of_record], every):
            inside = [each for each in of_record if window is None or _is_in(each, window)]
            stretches_of.setdefault(window, []).extend(inside)
    return [
        (_described(window, parts), _request(settings, window, parts))
        for window, parts in stretches_of.items()
    ]


def stretches(days: Collection[date], most: int) -> list[Window]:
    """The contiguous stretches of the days, at most so many: then joined over the shortest gaps."""
    ordered = sorted(days)
    gaps = [
        (ordered[index] - ordered[index - 1], index)
        for index in range(1, len(ordered))
        if ordered[index] - ordered[index - 1] > timedelta(days=1)
    ]
    cuts = sorted(index for _, index in sorted(gaps, reverse=True)[: most - 1])
    firsts, lasts = [0, *cuts], [*cuts, len(ordered)]
    return [
        Window(ordered[first], ordered[last - 1])
        for first, last in zip(firsts, lasts, strict=True)
        if ordered
    ]


def _by_record(due: Iterable[Due]) -> list[tuple[Watched, list[Due]]]:
    found: dict[str, tuple[Watched, list[Due]]] = {}
    for each in due:
        found.setdefault(each.watched.record.name, (each.watched, []))[1].append(each)
    return list(found.values())


def _windows(watched: Watched, keys: list[str], every: Window) -> list[Window | None]:
    if watched.record.day is None:
        return [None]
    if WHOLE in keys:
        return [every]
    return [*stretches([date.fromisoformat(key) for key in keys], MOST_RUNS)]


def _is_in(due: Due, window: Window) -> bool:
    return due.key == WHOLE or window.first <= date.fromisoformat(due.key) <= window.last


def _request(settings: Settings, window: Window | None, parts: list[Due]) -> dg.RunRequest:
    reports: dict[str, Dataset] = {
        report.name: report for part in parts for report in part.watched.reports
    }
    days = range_tags(window) if window else {}
    return dg.RunRequest(
        run_key=_key(settings.schema, window, parts),
        tags={CHANGES: settings.schema, **ONLY_CHANGED, **days},
        asset_selection=jobs.asset_keys(settings, reports.values()),
        asset_check_keys=jobs.check_keys(settings, reports.values()),
    )


def _key(schema: str, window: Window | None, parts: list[Due]) -> str:
    """The same for the same request: a tick that is repeated launches nothing twice."""
    about = sorted((part.watched.record.name, part.key, *map(str, part.why)) for part in parts)
    text = json.dumps([schema, str(window), about])
    return f"{schema} {hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _window_of(tags: Mapping[str, str]) -> Window | None:
    ends = [tags.get(name) for name in range_tags(Window(date.min, date.min))]
    first, last = (date.fromisoformat(end) if end else None for end in ends)
    return Window(first, last) if first and last else None


def _described(window: Window | None, parts: list[Due]) -> str:
    names = ", ".join(sorted({part.watched.record.name for part in parts}))
    return f"{names} of {window}" if window else names
