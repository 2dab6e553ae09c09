"""The statement: Harvest's and the warehouse's figures by month, the differences and the verdict,
as text and as data."""

import textwrap
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tabulate import tabulate

from harvest_pipeline.loading.figures import HOURS, QUESTIONS, Pair
from harvest_pipeline.loading.verify import Outcome, Verdict, month_of, reasons, verdict
from harvest_pipeline.safety.text import one_line
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import Account
from harvest_pipeline.warehouse.comparisons import Comparison

#: Differences shown in the text; the data has all of them.
_MOST_SHOWN = 100
_LONGEST_NAME = 18
#: Columns of a terminal.
_WIDE = 100
#: The figures of a month, in the order of the reports.
_ORDER = [
    questions[0].title(measure)
    for questions in QUESTIONS.values()
    for measure in questions[0].measures
]


@dataclass(frozen=True, slots=True)
class Statement:
    """The results for an account after the comparison of `days`.

    `left_out` says what is not loaded because of the start date, if anything; see `history`.
    """

    account: Account
    days: Window
    outcomes: Sequence[Outcome]
    left_out: str | None

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all outcomes; if nothing was compared, nothing is proven."""
        found = [verdict(outcome) for outcome in self.outcomes]
        return next((each for each in Verdict if each in found), Verdict.NOT_PROVEN)

    @property
    def differences(self) -> list[Pair]:
        """The differences of all outcomes."""
        return [each for outcome in self.outcomes for each in outcome.differences]

    def comparison(self) -> Comparison | None:
        """What the database keeps of it; None if nothing was compared."""
        if not self.outcomes:
            return None
        first, last = self.days.first, self.days.last
        at = self.outcomes[0].at
        return Comparison(at, first, last, str(self.verdict), len(self.differences), self.left_out)

    def text(self) -> str:
        """The statement as text, at most 100 columns wide except for the path of the file."""
        parts = [self._head(), _table(self._figures())]
        if self.differences:
            parts.append(_differences(self.differences))
        if said := self._said():
            parts.append("\n".join(map(_sentence, said)))
        return "\n\n".join([*parts, self._last_line()])

    def data(self) -> dict[str, Any]:
        """The statement as data; numbers are strings, so that no digit is lost."""
        first = self.outcomes[0] if self.outcomes else None
        return {
            "account": self.account.name,
            "account_id": first and first.identity.account_id,
            "person": first and first.identity.user_name,
            "role": first and first.identity.role,
            "compared_at": first and first.at.isoformat(),
            "from": self.days.first.isoformat(),
            "to": self.days.last.isoformat(),
            "verdict": str(self.verdict),
            "requests": sum(outcome.requests for outcome in self.outcomes),
            "remarks": self._said(),
            "figures": [
                {
                    "month": month,
                    "figure": title,
                    "currency": currency or None,
                    "harvest": _plain(harvest),
                    "warehouse": _plain(warehouse),
                    "difference": _plain(warehouse - harvest),
                }
                for month, title, currency, harvest, warehouse in self._figures()
            ],
            "differences": [
                {
                    "month": month_of(each.window),
                    "report": each.question.path,
                    "of": each.question.about,
                    "id": each.subject_id,
                    "name": each.name,
                    "figure": each.title,
                    "currency": each.currency or None,
                    "harvest": _plain(each.harvest),
                    "warehouse": _plain(each.warehouse),
                }
                for each in self.differences
            ],
        }

    def _head(self) -> str:
        rows = [("account", self.account.name), ("days", str(self.days))]
        for outcome in self.outcomes[:1]:
            who = outcome.identity
            name = f" {one_line(who.account_name)}" if who.account_name else ""
            rows[0] = ("account", f"{self.account.name} (Harvest's {who.account_id}{name})")
            rows += [
                ("asked as", f"{who.user_name}, {who.role}"),
                ("asked at", f"{outcome.at:%Y-%m-%d %H:%M:%S} UTC"),
            ]
        rows += [
            ("warehouse", f"{self.account.project.duckdb}, schema {self.account.name}"),
            ("requests", str(sum(outcome.requests for outcome in self.outcomes))),
        ]
        lines = [f"{title:<10} {value}" for title, value in rows]
        return "\n".join(
            ["Harvest comparison: the warehouse beside Harvest's own reports", "", *lines]
        )

    def _figures(self) -> list[tuple[str, str, str, Decimal, Decimal]]:
        """Month, figure, currency and both sums; currencies are not mixed."""
        sums: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 2)
        for pair in _shown(self.outcomes):
            currency = "" if pair.measure in HOURS else pair.currency
            month = month_of(pair.window)
            both = sums[month, pair.title, currency]
            both[0] += pair.harvest
            both[1] += pair.warehouse
        return [
            (month, title, currency, harvest, warehouse)
            for (month, title, currency), (harvest, warehouse) in sorted(
                sums.items(), key=lambda each: (each[0][0], _ORDER.index(each[0][1]), each[0][2])
            )
            if harvest or warehouse or not currency
        ]

    def _said(self) -> list[str]:
        every = [sentence for outcome in self.outcomes for sentence in reasons(outcome)]
        return list(dict.fromkeys(filter(None, [*every, self.left_out])))

    def _last_line(self) -> str:
        every = len(self.differences)
        if self.verdict is Verdict.EQUAL:
            return "Equal"
        if not every:
            return "Not proven: not everything could be compared, see above."
        return f"{every} difference{'' if every == 1 else 's'}"


def _shown(outcomes: Sequence[Outcome]) -> Iterator[Pair]:
    """The pairs that months are summed from: those of projects."""
    for outcome in outcomes:
        for pair in outcome.pairs:
            if pair.question == QUESTIONS[outcome.theme][0]:
                yield pair


def _table(figures: Sequence[tuple[str, str, str, Decimal, Decimal]]) -> str:
    if not figures:
        return "Nothing was compared."
    rows: list[tuple[str, ...]] = []
    before = ""
    for month, title, currency, harvest, warehouse in figures:
        if before and month != before:
            rows.append(("",) * 6)
        numbers = (_written(harvest), _written(warehouse), _written(warehouse - harvest))
        rows.append((month if month != before else "", title, currency, *numbers))
        before = month
    return tabulate(
        rows,
        headers=["month", "figure", "currency", "Harvest", "warehouse", "difference"],
        colalign=("left", "left", "left", "right", "right", "right"),
        disable_numparse=True,
    )


def _sentence(text: str) -> str:
    return textwrap.fill(
        f"- {text}", _WIDE, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def _differences(differences: Sequence[Pair]) -> str:
    shown = differences[:_MOST_SHOWN]
    rows = [
        (
            month_of(each.window),
            f"{each.question.about} {one_line(each.name, _LONGEST_NAME)} ({each.subject_id})",
            f"{each.title} {each.currency}".strip(),
            _written(each.harvest),
            _written(each.warehouse),
        )
        for each in shown
    ]
    text = tabulate(
        rows,
        headers=["month", "differs", "figure", "Harvest", "warehouse"],
        colalign=("left", "left", "left", "right", "right"),
        disable_numparse=True,
    )
    if len(differences) > len(shown):
        text += f"\n{len(differences) - len(shown):,} more; --json has all of them"
    return text


def _plain(number: Decimal) -> str:
    """All digits, and at least two after the point."""
    exact = number.normalize() if number else Decimal(0)
    exponent = exact.as_tuple().exponent
    digits = max(2, -exponent if isinstance(exponent, int) else 2)
    return f"{exact:.{digits}f}"


def _written(number: Decimal) -> str:
    whole, point, digits = _plain(number).partition(".")
    return f"{int(whole):,}{point}{digits}" if whole != "-0" else f"{whole}{point}{digits}"
