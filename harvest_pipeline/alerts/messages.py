"""What an alert says, as plain text.

Belongs here: the parts of a message, their order and their bounds.
Does not belong here: what happened (runs.py, days.py, credentials.py), how it is sent.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harvest_pipeline.text import one_line

#: Letters of one line: a sentence is shorter, and a whole message fits where messages are shown.
_LONGEST = 800
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Alert:
    """A message: one line that says what it is about, and lines that begin with what they tell."""

    title: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The lines below the title."""
        return "\n".join(self.lines)


def alert(
    what: str,
    accounts: Sequence[str],
    *,
    cause: str,
    remedy: str,
    reports: Iterable[str] = (),
    days: str = "",
    run_id: str = "",
) -> Alert:
    """The message about something that has happened to accounts; what is empty gets no line."""
    names = ", ".join(accounts)
    told = {
        "Account": names,
        "Reports": listed(reports),
        "Days": days,
        "What happened": cause,
        "What to do": remedy,
        "Run": run_id,
    }
    return Alert(
        one_line(f"{names}: {what}" if names else what),
        tuple(f"{label}: {one_line(text, _LONGEST)}" for label, text in told.items() if text),
    )


def listed(names: Iterable[str]) -> str:
    """The names, each once; of very many the first ones."""
    every = list(dict.fromkeys(names))
    more = len(every) - _MOST_NAMED
    return ", ".join(every[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
