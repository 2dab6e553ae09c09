"""What a comparison means, in a sentence."""

from collections.abc import Iterable
from enum import StrEnum

from harvest_pipeline.equality.comparison import Outcome
from harvest_pipeline.scope import Window


class Verdict(StrEnum):
    """How a comparison ended, the worst first."""

    #: Figures differ.
    DIFFERENT = "different"
    #: Nothing is known to be wrong, but not all of it could be compared.
    NOT_PROVEN = "not proven"
    #: Everything that was compared is equal.
    EQUAL = "equal"


def verdict(outcome: Outcome) -> Verdict:
    """How it ended. What a person who is no administrator is shown can differ without a fault."""
    if outcome.differences and outcome.identity.is_administrator:
        return Verdict.DIFFERENT
    missing = any(window.first < outcome.today for window in outcome.not_loaded)
    if outcome.differences or outcome.not_comparable or missing:
        return Verdict.NOT_PROVEN
    return Verdict.EQUAL


def reasons(outcome: Outcome) -> list[str]:
    """Sentences for everything that a reader has to know beside the figures."""
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
    """Windows in one line."""
    every = [str(window) for window in windows]
    more = f" and {len(every) - most} more stretches of days" if len(every) > most else ""
    return ", ".join(every[:most]) + more
