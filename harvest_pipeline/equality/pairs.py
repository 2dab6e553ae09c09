"""One figure of Harvest beside the same one of the warehouse.

Belongs here: matching the rows of both by ids and currency.
Does not belong here: which days are compared (comparison.py).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from harvest_pipeline.equality.figures import Key, Row, Rows
from harvest_pipeline.equality.questions import HOURS, Question
from harvest_pipeline.harvest.summary_reports import ReportRow
from harvest_pipeline.scope import Window
from harvest_pipeline.text import one_line

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Pair:
    """Both figures of one subject, currency ("" where money is hidden) and span of days.

    `warehouse` is, of its alternatives, the one that equals Harvest's, if one does.
    """

    question: Question
    window: Window
    subject_id: int
    name: str
    currency: str
    measure: str
    harvest: Decimal
    warehouse: Decimal

    @property
    def title(self) -> str:
        """What the figure is called for a person."""
        return self.question.title(self.measure)

    @property
    def is_equal(self) -> bool:
        """Whether they are the same number, to the last digit."""
        return self.harvest == self.warehouse


def pairs(
    question: Question, window: Window, theirs: Sequence[ReportRow], ours: Rows
) -> list[Pair]:
    """Every figure of the report; one that a side does not have is 0 there.

    Where Harvest hides money, hours only.
    """
    hidden = any(row.currency is None for row in theirs)
    by_key = {_key(question, row): row for row in theirs}
    mine = _without_money(ours) if hidden else ours
    return list(_pairs(question, window, by_key, mine, hidden))


def hides_money(theirs: Sequence[ReportRow]) -> bool:
    """Whether the report came without currencies and amounts (REFERENCE 7)."""
    return any(row.currency is None for row in theirs)


def _pairs(
    question: Question,
    window: Window,
    theirs: dict[Key, ReportRow],
    ours: Rows,
    hidden: bool,
) -> Iterator[Pair]:
    for key in sorted(theirs.keys() | ours.keys()):
        row, mine = theirs.get(key), ours.get(key)
        name = mine.name if mine else getattr(row, question.name_column)
        for measure in question.measures:
            if hidden and measure not in HOURS:
                continue
            harvest = (getattr(row, measure) if row else None) or _ZERO
            alternatives = mine.figures[measure] if mine else (_ZERO,)
            warehouse = harvest if harvest in alternatives else alternatives[0]
            yield Pair(
                question, window, key[0], one_line(name or ""), key[1], measure, harvest, warehouse
            )


def _key(question: Question, row: ReportRow) -> Key:
    return getattr(row, question.subject) or 0, one_line(row.currency or "")


def _without_money(rows: Rows) -> Rows:
    """The hours of all currencies of a subject together."""
    names: dict[int, str] = {}
    hours: dict[int, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for (subject, _), row in rows.items():
        names[subject] = row.name
        for measure in HOURS:
            if measure in row.figures:
                hours[subject][measure] += row.figures[measure][0]
    return {
        (subject, ""): Row(names[subject], {name: (value,) for name, value in sums.items()})
        for subject, sums in hours.items()
    }
