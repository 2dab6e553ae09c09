"""The results of checks, and how they are printed: columns for a person, JSON for a program."""

import re
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from harvest_pipeline.cli.output import coloured, document, folded
from harvest_pipeline.safety.text import one_line

State = Literal["ok", "warning", "wrong"]

_LONGEST = 1000
#: Where the advice begins in this project's messages: at the last sentence, else after a
#: semicolon, else after a colon.
_ADVICE = (r"(.+)\. (?=[A-Z`])(.+)", r"(.+?); (.+)", r"(.+?): (.+)")


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `remedy` is what to do; None if the state is ok.

    A warning is about something that works, but perhaps not as expected.
    """

    subject: str
    state: State
    text: str
    remedy: str | None = None

    @classmethod
    def from_error(cls, subject: str, error: Exception, state: State = "wrong") -> "Finding":
        """The finding for an error whose message says what is wrong and then what to do."""
        message = error.message if isinstance(error, click.ClickException) else str(error)
        for pattern in _ADVICE:
            if parts := re.fullmatch(pattern, message, re.DOTALL):
                return cls(subject, state, f"{parts[1]}.", parts[2][0].upper() + parts[2][1:])
        return cls(subject, state, message, "Correct that, and run this command again.")


@dataclass(frozen=True, slots=True)
class Section:
    """The findings about one part of the project, or about the account of that name."""

    title: str
    account: str | None
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, title: str, findings: Iterable[Finding], account: str | None = None) -> "Section":
        """Collect findings; if the check itself fails, that is the last one."""
        found: list[Finding] = []
        try:
            for finding in findings:
                found.append(finding)
        except Exception as error:
            # The error's text is left out: it could contain anything.
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"
            found.append(Finding(title, "wrong", f"This check failed: {where}.", "Report this."))
        return cls(title, account, tuple(found))

    def __str__(self) -> str:
        """One line per finding, with what to do below it."""
        width = max((len(finding.subject) for finding in self.findings), default=0)
        lines = ["", f"{self.title} of {self.account}" if self.account else self.title]
        for each in self.findings:
            # Names come from Harvest: no line of theirs may look like one of ours.
            margin = " " * (width + 13)
            text = folded(one_line(each.text, _LONGEST), len(margin), margin)
            state = coloured(f"{each.state:<7}")
            lines.append(f"  {state}  {each.subject:<{width}}  {text.lstrip()}")
            if each.remedy:
                remedy = one_line(each.remedy, _LONGEST)
                lines.append(folded(remedy, len(margin) + 3, f"{margin}-> "))
        return "\n".join(lines)


def count(sections: Iterable[Section], state: State) -> int:
    """The number of findings in that state."""
    return sum(finding.state == state for each in sections for finding in each.findings)


def in_json(sections: Sequence[Section]) -> str:
    """One JSON document with stable keys."""
    wrong, warnings = count(sections, "wrong"), count(sections, "warning")
    parts = [asdict(each) for each in sections]
    return document({"ok": not wrong, "wrong": wrong, "warnings": warnings, "sections": parts})
