"""The comparison: Harvest is asked, then the warehouse, and where they differ the months are found.

All questions of a round are asked before the database is opened, so that it is held for a moment
only, however long Harvest lets us wait.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from harvest_pipeline.equality import spans
from harvest_pipeline.equality.figures import rows_of
from harvest_pipeline.equality.pairs import Pair, hides_money, pairs
from harvest_pipeline.equality.questions import QUESTIONS, RECORDS, Question, Theme
from harvest_pipeline.harvest.account import Identity
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import PermissionMissing, RecordNotFound
from harvest_pipeline.harvest.summary_reports import ReportRow, read_report
from harvest_pipeline.scope import Window, stretches
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.ledger import refuse_another_account

#: Requests that go into finding the months of differences; beyond them, longer spans are named.
_MOST_TO_NARROW = 40
#: How often what differs is read again: a timer that runs meanwhile grows between two questions.
_ROUNDS = 3

_Asked = tuple[Question, Window]


@dataclass(slots=True)
class Outcome:
    """What came of the comparison of a theme. `pairs` are all figures, equal or not, by the span
    that they were compared for in the end; `requests` all that it cost.

    `compared` and `not_loaded` are days, the latter up to `today`; `not_comparable` are sentences
    that say what Harvest did not show, `notes` what is left out for a reason that is no fault.
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
        """The figures that are not the same."""
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

    Closed years are asked as a whole and halved where they differ. What stands in a wrong month of
    its year would not be seen so: the figures of projects are asked month by month for the last
    twelve months, and with `by_month` for all. Raises HarvestError and WarehouseError.
    """
    before = client.requests
    outcome = Outcome(theme, client.identity, datetime.now(UTC), today)
    with warehouse.reader() as connection:
        refuse_another_account(connection, int(outcome.identity.account_id))
        missing = [name for name in RECORDS[theme] if not tables.exists(connection, name)]
        by_record = [spans.loaded_days(connection, name, days) for name in RECORDS[theme]]
    if missing:
        outcome.not_comparable.append(f"{', '.join(missing)}: never loaded.")
        outcome.not_loaded = [days]
        outcome.requests = client.requests - before
        return outcome
    outcome.compared = stretches(set[date].intersection(*by_record))
    outcome.not_loaded = spans.without(days, outcome.compared)
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

    So a change that moves no `updated_at` (a new rounding rule, an edit by Harvest's support) is in
    the warehouse afterwards, and only what still differs is a difference. Raises as `compare` does.
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
    """What is asked in the first round: the figures of projects in finer spans than the others."""
    first, *others = QUESTIONS[theme]
    whole = spans.years(compared, today)
    if by_month:
        fine = [month for window in compared for month in spans.months(window)]
    else:
        fine = spans.recent_months(compared, today)
    asked = [(first, span) for span in fine]
    return asked + [(question, span) for question in others for span in whole]


class _Comparison:
    """The rounds of questions of one theme."""

    def __init__(self, client: HarvestClient, warehouse: Warehouse, outcome: Outcome) -> None:
        self.client = client
        self.warehouse = warehouse
        self.outcome = outcome
        self._left = _MOST_TO_NARROW

    def run(self, asked: Sequence[_Asked]) -> None:
        """Ask, compare, and go on with the halves of what differs."""
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
        """The halves of a span that differs, as long as there are requests for them."""
        if all(pair.is_equal for pair in found):
            return []
        halves = spans.halves(span)
        if len(halves) > self._left:
            return []
        self._left -= len(halves)
        return halves

    def _ask(self, asked: Sequence[_Asked]) -> dict[_Asked, list[ReportRow]]:
        """The answers, without those that Harvest does not show; a few requests at a time."""
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
