"""The comparison: Harvest's own reports against the warehouse, by month, and the differences.

All reports of a round are requested before the database is opened, so that it is held only for a
moment, however long the wait for Harvest is.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

import duckdb

from harvest_pipeline.harvest.account import Identity
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import PermissionMissing, RecordNotFound
from harvest_pipeline.harvest.summary_reports import ReportRow, read_report
from harvest_pipeline.loading.figures import (
    QUESTIONS,
    RECORDS,
    Pair,
    Question,
    Theme,
    hides_money,
    pairs,
    rows_of,
)
from harvest_pipeline.scope import Window, stretches
from harvest_pipeline.warehouse import coverage, tables
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.ledger import refuse_another_account

_DAY = timedelta(days=1)


def loaded_days(connection: duckdb.DuckDBPyConnection, record: str, within: Window) -> set[date]:
    """The days of `within` on which all of the record was loaded, or there is nothing to load."""
    known = coverage.known_until(connection, record)
    off = coverage.module_off_days(connection, record, within)
    return {day for day in within.days() if day in known or None in known or day in off}


def without(days: Window, loaded: Iterable[Window]) -> list[Window]:
    """The days of a window that are in none of the others."""
    there = {day for window in loaded for day in window.days()}
    return stretches(day for day in days.days() if day not in there)


def months(window: Window) -> list[Window]:
    """The months of a window; the first and the last may be partial."""
    found: list[Window] = []
    first = window.first
    while first <= window.last:
        last = min(_next_month(first) - _DAY, window.last)
        found.append(Window(first, last))
        first = last + _DAY
    return found


def years(windows: Sequence[Window], today: date) -> list[Window]:
    """The windows in spans of up to twelve whole months; the month of `today` separately."""
    return [span for window in windows for span in _years(months(window), today)]


def recent_months(windows: Sequence[Window], today: date) -> list[Window]:
    """The windows in spans: each of the last twelve closed months and the current one separately,
    older ones as in `years`."""
    first_recent = date(today.year - 1, today.month, 1)
    found: list[Window] = []
    for window in windows:
        if window.first < first_recent:
            found += years([Window(window.first, min(window.last, first_recent - _DAY))], today)
        if window.last >= first_recent:
            found += months(Window(max(window.first, first_recent), window.last))
    return found


def halves(window: Window) -> list[Window]:
    """The earlier and the later months of a window; empty if it lies in one month."""
    parts = months(window)
    middle = len(parts) // 2
    return [_joined(part) for part in (parts[:middle], parts[middle:])] if middle else []


def month_of(window: Window) -> str:
    """The month of a window (2026-09), or its days if it spans several."""
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


#: Requests spent on finding the months of differences; beyond them, longer spans are reported.
_MOST_TO_NARROW = 40
#: How often differences are read again: a running timer grows between two requests.
_ROUNDS = 3

_Asked = tuple[Question, Window]


@dataclass(slots=True)
class Outcome:
    """The result of the comparison of a theme. `pairs` are all figures, equal or not, by the span
    that they were finally compared for; `requests` the total number of requests.

    `compared` and `not_loaded` are days, the latter up to `today`; `not_comparable` are sentences
    that say what Harvest did not show, `notes` what is left out for a reason that is not an error.
    """

    theme: Theme
    identity: Identity
    at: datetime
    today: date
    compared: list[Window] = field(default_factory=list[Window])
    not_loaded: list[Window] = field(default_factory=list[Window])
    not_comparable: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    money_hidden: bool = False
    pairs: list[Pair] = field(default_factory=list[Pair])
    requests: int = 0

    @property
    def differences(self) -> list[Pair]:
        """The figures that differ."""
        return [pair for pair in self.pairs if not pair.is_equal]


def compare(
    client: HarvestClient,
    warehouse: Warehouse,
    theme: Theme,
    days: Window,
    today: date,
    *,
    by_month: bool = False,
) -> Outcome:
    """Compare the loaded days of `days` with Harvest's reports of the theme.

    Closed years are requested as a whole and halved if they differ. That would not show a value in
    the wrong month of the right year: the figures of projects are requested month by month for the
    last twelve months, and with `by_month` for all. Raises HarvestError and WarehouseError.
    """
    before = client.requests
    outcome = Outcome(theme, client.identity, datetime.now(UTC), today)
    with warehouse.reader() as connection:
        refuse_another_account(connection, int(outcome.identity.account_id))
        missing = [name for name in RECORDS[theme] if not tables.exists(connection, name)]
        by_record = [loaded_days(connection, name, days) for name in RECORDS[theme]]
    if missing:
        outcome.not_comparable.append(f"{', '.join(missing)}: never loaded.")
        outcome.not_loaded = [days]
        outcome.requests = client.requests - before
        return outcome
    outcome.compared = stretches(set[date].intersection(*by_record))
    outcome.not_loaded = without(days, outcome.compared)
    _Comparison(client, warehouse, outcome).run(
        _questions(theme, outcome.compared, today, by_month=by_month)
    )
    outcome.requests = client.requests - before
    return outcome


def compare_and_repair(
    client: HarvestClient,
    warehouse: Warehouse,
    theme: Theme,
    days: Window,
    today: date,
    read_again: Callable[[str, Sequence[Window]], object],
    *,
    by_month: bool = False,
) -> Outcome:
    """Compare, let `read_again` load the records of the days that differ, and compare these again.

    So a change that does not update `updated_at` (a new rounding rule, an edit by Harvest's
    support) is in the warehouse afterwards, and only what still differs is a difference. Raises
    the same exceptions as `compare`.
    """
    outcome = compare(client, warehouse, theme, days, today, by_month=by_month)
    for _ in range(_ROUNDS):
        if not outcome.differences or not outcome.identity.is_administrator:
            break
        before = client.requests
        client.log(f"{len(outcome.differences)} figures of {theme} differ; reading them again.")
        for record in RECORDS[theme]:
            read_again(record, stretches({d for p in outcome.differences for d in p.window.days()}))
        asked = list(dict.fromkeys((pair.question, pair.window) for pair in outcome.differences))
        outcome.pairs = [p for p in outcome.pairs if (p.question, p.window) not in set(asked)]
        _Comparison(client, warehouse, outcome).run(asked)
        outcome.requests += client.requests - before
    return outcome


def _questions(
    theme: Theme, compared: Sequence[Window], today: date, *, by_month: bool
) -> list[_Asked]:
    """The requests of the first round: the figures of projects in finer spans than the others."""
    first, *others = QUESTIONS[theme]
    whole = years(compared, today)
    if by_month:
        fine = [month for window in compared for month in months(window)]
    else:
        fine = recent_months(compared, today)
    asked = [(first, span) for span in fine]
    return asked + [(question, span) for question in others for span in whole]


class _Comparison:
    """The rounds of requests for one theme."""

    def __init__(self, client: HarvestClient, warehouse: Warehouse, outcome: Outcome) -> None:
        self.client = client
        self.warehouse = warehouse
        self.outcome = outcome
        self._left = _MOST_TO_NARROW

    def run(self, asked: Sequence[_Asked]) -> None:
        """Request, compare, and continue with the halves of the spans that differ."""
        while asked:
            answers = self._ask(asked)
            further: list[_Asked] = []
            with self.warehouse.reader() as connection:
                for question, span in asked:
                    if (theirs := answers.get((question, span))) is None:
                        continue
                    self.outcome.money_hidden |= hides_money(theirs)
                    found = pairs(question, span, theirs, rows_of(connection, question, span))
                    halves = self._halves(span, found)
                    further += [(question, half) for half in halves]
                    if not halves:
                        self.outcome.pairs += found
            asked = further

    def _halves(self, span: Window, found: Iterable[Pair]) -> list[Window]:
        """The halves of a span that differs, as long as the request budget allows."""
        if all(pair.is_equal for pair in found):
            return []
        parts = halves(span)
        if len(parts) > self._left:
            return []
        self._left -= len(parts)
        return parts

    def _ask(self, asked: Sequence[_Asked]) -> dict[_Asked, list[ReportRow]]:
        """The responses, without reports that Harvest does not show; a few requests at a time."""
        answers: dict[_Asked, list[ReportRow]] = {}
        refusals: list[PermissionMissing | RecordNotFound] = []
        lock = threading.Lock()

        def ask(one: _Asked) -> None:
            question, span = one
            try:
                rows = read_report(
                    self.client, question.path, span, question.permission, question.params
                )
            except (PermissionMissing, RecordNotFound) as error:
                with lock:
                    refusals.append(error)
            else:
                with lock:
                    answers[one] = rows

        self.client.in_flight(ask, asked)
        if refusals:
            self._refused(refusals[0])
        return answers

    def _refused(self, error: PermissionMissing | RecordNotFound) -> None:
        if self.outcome.theme == "expenses" and self.client.is_off("expense_feature"):
            self.outcome.notes.append("The account's module for expenses is switched off.")
        else:
            self.outcome.not_comparable.append(str(error))


class Verdict(StrEnum):
    """The result of a comparison, the worst first."""

    #: Figures differ.
    DIFFERENT = "different"
    #: Nothing is known to be wrong, but not all of it could be compared.
    NOT_PROVEN = "not proven"
    #: Everything that was compared is equal.
    EQUAL = "equal"


def verdict(outcome: Outcome) -> Verdict:
    """The verdict. If the person is not an administrator, figures may differ without an error."""
    if outcome.differences and outcome.identity.is_administrator:
        return Verdict.DIFFERENT
    missing = any(window.first < outcome.today for window in outcome.not_loaded)
    if outcome.differences or outcome.not_comparable or missing:
        return Verdict.NOT_PROVEN
    return Verdict.EQUAL


def reasons(outcome: Outcome) -> list[str]:
    """Sentences for everything that a reader has to know besides the figures."""
    said = [*outcome.not_comparable, *outcome.notes]
    if outcome.not_loaded:
        said.append(f"Not loaded, so not compared: {days_in_words(outcome.not_loaded)}.")
    if outcome.money_hidden:
        said.append("Harvest does not show amounts to this person: hours were compared only.")
    if not outcome.identity.is_administrator:
        said.append(
            f"{outcome.identity.user_name} is a {outcome.identity.role}: Harvest's reports leave "
            "out, without an error, what this person may not see. Use an administrator's token."
        )
    return said


def days_in_words(windows: Iterable[Window], most: int = 5) -> str:
    """Windows as text on one line."""
    every = [str(window) for window in windows]
    more = f" and {len(every) - most} more stretches of days" if len(every) > most else ""
    return ", ".join(every[:most]) + more
