"""How findings are printed: aligned lines for a person, one document for a program.

Belongs here: words, columns and colours. Does not belong here: what is found.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from harvest_pipeline.doctor.findings import Finding, Section, State
from harvest_pipeline.text import one_line

_MARKS: dict[State, str] = {"ok": "ok", "warning": "warning", "wrong": "WRONG"}
#: Codes of a terminal: green, yellow, red.
_COLOURS: dict[State, str] = {"ok": "32", "warning": "33", "wrong": "1;31"}
_LONGEST = 1000


def as_text(section: Section, *, coloured: bool) -> str:
    """A section: a line for each finding, and below it, indented, what to do."""
    width = max((len(_subject(finding)) for finding in section.findings), default=0)
    title = f"{section.title} of {section.account}" if section.account else section.title
    lines = [f"\n{title}"]
    for finding in section.findings:
        mark = f"{_MARKS[finding.state]:<7}"
        if coloured:
            mark = f"\x1b[{_COLOURS[finding.state]}m{mark}\x1b[0m"
        subject = f"{_subject(finding):<{width}}"
        lines.append(f"  {mark}  {subject}  {one_line(finding.text, _LONGEST)}".rstrip())
        if finding.remedy:
            lines.append(f"  {'':7}  {'':{width}}  -> {one_line(finding.remedy, _LONGEST)}")
    return "\n".join(lines)


def as_json(sections: Sequence[Section]) -> str:
    """All findings as one document; the keys are stable."""
    findings = [finding for section in sections for finding in section.findings]
    return json.dumps(
        {
            "ok": not _count(findings, "wrong"),
            "wrong": _count(findings, "wrong"),
            "warnings": _count(findings, "warning"),
            "sections": [asdict(section) for section in sections],
        },
        indent=2,
    )


def summary(sections: Sequence[Section]) -> str:
    """The last line."""
    findings = [finding for section in sections for finding in section.findings]
    wrong, warnings = _count(findings, "wrong"), _count(findings, "warning")
    rest = f"warnings: {warnings}, in order: {len(findings) - wrong - warnings}"
    if wrong:
        return f"\nThings that are wrong: {wrong}; {rest}."
    return f"\nNothing is wrong; {rest}."


def is_wrong(sections: Iterable[Section]) -> bool:
    """Whether anything is."""
    return any(finding.state == "wrong" for section in sections for finding in section.findings)


def _subject(finding: Finding) -> str:
    return one_line(finding.subject)


def _count(findings: Sequence[Finding], state: State) -> int:
    return sum(finding.state == state for finding in findings)
