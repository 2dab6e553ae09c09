"""What a check has found: findings, and the sections in which they stand.

Belongs here: the two values, and how an error becomes a finding.
Does not belong here: the checks, and how findings are printed (output.py).
"""

import re
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

State = Literal["ok", "warning", "wrong"]

_AGAIN = "Correct that, and run `harvest-pipeline doctor` again."
#: Where, in the messages of this project, what to do begins: in a sentence of its own, else behind
#: a semicolon, else behind a colon.
_ADVICE = (r"(.+)\. (?=[A-Z`])(.+)", r"(.+?); (.+)", r"(.+?): (.+)")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `text` says what is, `remedy` what to do unless it is ok."""

    subject: str
    state: State
    text: str
    remedy: str | None = None

    def __post_init__(self) -> None:
        if (self.state == "ok") != (self.remedy is None):
            raise ValueError(f"{self.subject}: a remedy belongs to what is not ok, and only there")


@dataclass(frozen=True, slots=True)
class Section:
    """The findings about one part of the project; `account` is the name of the one concerned."""

    title: str
    account: str | None
    findings: tuple[Finding, ...]


def ok(subject: str, text: str) -> Finding:
    """Something that is as it should be."""
    return Finding(subject, "ok", text)


def warning(subject: str, text: str, remedy: str) -> Finding:
    """Something that works, though not as one may think."""
    return Finding(subject, "warning", text, remedy)


def wrong(subject: str, text: str, remedy: str) -> Finding:
    """Something that keeps the project from working."""
    return Finding(subject, "wrong", text, remedy)


def told(subject: str, error: Exception, state: State = "wrong") -> Finding:
    """The finding for an error whose message says what is wrong and then what to do."""
    sentence = error.message if isinstance(error, click.ClickException) else str(error)
    for pattern in _ADVICE:
        if parts := re.fullmatch(pattern, sentence, re.DOTALL):
            return Finding(subject, state, f"{parts[1]}.", parts[2][0].upper() + parts[2][1:])
    return Finding(subject, state, sentence, _AGAIN)


def section(
    title: str, *checks: Callable[[], Iterable[Finding]], account: str | None = None
) -> Section:
    """The findings of all checks. One that fails unexpectedly is a finding, and stops no other."""
    findings: list[Finding] = []
    for check in checks:
        try:
            for finding in check():
                findings.append(finding)
        except Exception as error:
            findings.append(unexpected(check.__name__.strip("_").replace("_", " "), error))
    return Section(title, account, tuple(findings))


def unexpected(check: str, error: Exception) -> Finding:
    """A check failed itself. Without the words of the error: nobody knows what stands in them."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return wrong(
        check,
        f"This check failed itself: {type(error).__name__} in {Path(last.filename).name}, line "
        f"{last.lineno}.",
        "Report this line together with the versions below; the other checks are not affected.",
    )
