"""Which days are compared: those that are loaded, in spans that Harvest's reports take."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta

import duckdb

from harvest_pipeline.scope import Window, stretches
from harvest_pipeline.warehouse import coverage

_DAY = timedelta(days=1)


def loaded_days(connection: duckdb.DuckDBPyConnection, record: str, within: Window) -> set[date]:
    """The days of `within` on which all of the record was loaded, or there is nothing to load."""
    known = coverage.known_until(connection, record)
    off = coverage.module_off_days(connection, record, within)
    return {day for day in within.days() if day in known or None in known or day in off}


def without(days: Window, loaded: Iterable[Window]) -> list[Window]:
    """The days of a window that none of the others has."""
    there = {day for window in loaded for day in window.days()}
    return stretches(day for day in days.days() if day not in there)


def months(window: Window) -> list[Window]:
    """The months of a window, the first and the last as far as they are in it."""
    found: list[Window] = []
    first = window.first
    while first <= window.last:
        last = min(_next_month(first) - _DAY, window.last)
        found.append(Window(first, last))
        first = last + _DAY
    return found


def years(windows: Sequence[Window], today: date) -> list[Window]:
    """The windows in spans of up to twelve whole months; the month of `today` by itself."""
    return [span for window in windows for span in _years(months(window), today)]


def recent_months(windows: Sequence[Window], today: date) -> list[Window]:
    """The windows in spans: each of the last twelve closed months and the current one by itself,
    what is older as `years`."""
    first_recent = date(today.year - 1, today.month, 1)
    found: list[Window] = []
    for window in windows:
        if window.first < first_recent:
            found += years([Window(window.first, min(window.last, first_recent - _DAY))], today)
        if window.last >= first_recent:
            found += months(Window(max(window.first, first_recent), window.last))
    return found


def halves(window: Window) -> list[Window]:
    """The earlier and the later months of a window; nothing if it lies in one month."""
    parts = months(window)
    middle = len(parts) // 2
    return [_joined(part) for part in (parts[:middle], parts[middle:])] if middle else []


def month_of(window: Window) -> str:
    """The month of a window (2026-09), or its days where it is of several."""
    return f"{window.first:%Y-%m}" if len(months(window)) == 1 else str(window)


def _years(parts: list[Window], today: date) -> Iterator[Window]:
    current = [part for part in parts if f"{part.last:%Y-%m}" == f"{today:%Y-%m}"]
    closed = [part for part in parts if part not in current]
    yield from (_joined(closed[at : at + 12]) for at in range(0, len(closed), 12))
    yield from current


def _joined(parts: Sequence[Window]) -> Window:
    return Window(parts[0].first, parts[-1].last)


def _next_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)
