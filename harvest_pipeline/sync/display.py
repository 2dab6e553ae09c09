"""How a run that goes on is shown: one line that is kept up to date, or lines one after the other.

Belongs here: terminals, widths, how often. Does not belong here: counting (progress.py), what is
said in the end (summary.py).
"""

import os
import sys
from time import monotonic
from typing import Protocol, TextIO

from harvest_pipeline.sync.progress import Progress, Report

#: Seconds between two pictures; what changes faster nobody reads.
_PAUSE = 0.1
_BAR = 20


class Display(Protocol):
    """Shows a run; `show` is called after every message and a few times a second."""

    def show(self, progress: Progress) -> None:
        """Show how it stands."""

    def say(self, text: str) -> None:
        """Print a line that stays."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def display(*, plain: bool) -> Display:
    """The display for standard error: a live line on a terminal, unless it shall be `plain`."""
    if plain or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return Lines(sys.stderr)
    return Live(sys.stderr)


class Lines:
    """A line when a report begins and one when it ends."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._told: dict[str, str] = {}
        self._note = ""

    def show(self, progress: Progress) -> None:
        for report in progress.reports.values():
            if report.outcome != self._told.get(report.name, "not begun"):
                self._told[report.name] = report.outcome
                self.say(f"{report.name}: {_told(report)}")
        if progress.note and progress.note != self._note:
            self.say(f"Waiting: {progress.note}.")
        self._note = progress.note

    def say(self, text: str) -> None:
        print(text.encode("ascii", "replace").decode(), file=self._file, flush=True)

    def close(self) -> None:
        pass


class Live:
    """One line, never wider than the terminal, written over again and again."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._shown = ""
        self._next = 0.0

    def show(self, progress: Progress) -> None:
        now = monotonic()
        if now < self._next:
            return
        self._next = now + _PAUSE
        line = line_of(progress, now, _width(self._file))
        if line != self._shown:
            self._shown = line
            self._file.write(f"\r\x1b[K{line}")
            self._file.flush()

    def say(self, text: str) -> None:
        self.close()
        print(text, file=self._file, flush=True)

    def close(self) -> None:
        self._file.write("\r\x1b[K")
        self._file.flush()
        self._shown, self._next = "", 0.0


def line_of(progress: Progress, now: float, width: int) -> str:
    """The state of a run in at most `width` letters; what matters least is left out first."""
    count = f"[{progress.ended}/{len(progress.reports)}]"
    report = progress.current
    if progress.note and now < progress.note_until:
        parts = [count, f"waiting {progress.note_until - now:.0f} s: {progress.note}"]
    elif report is None:
        doing = "loading Dagster" if progress.run_id is None else "Dagster writes it down"
        parts = [count, f"{doing} ({now - progress.begun:.0f} s)"]
    else:
        of = f" of {report.pages + progress.expected}" if progress.expected else ""
        parts = [
            count,
            report.name,
            f"pages {report.pages}{of}",
            f"{report.rows:,} rows",
            f"{progress.requests:,} requests",
        ]
        if progress.seconds_left >= 1:
            parts.insert(3, f"{_clock(progress.seconds_left)} left")
        if progress.expected:
            parts.append(_bar(report.pages / (report.pages + progress.expected)))
    while len(parts) > 2 and len("  ".join(parts)) > width:
        parts.pop()
    return "  ".join(parts)[:width]


def _bar(share: float) -> str:
    full = int(share * _BAR)
    return f"|{'=' * full}{' ' * (_BAR - full)}|"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _told(report: Report) -> str:
    match report.outcome:
        case "loaded":
            return f"{report.rows} rows, {report.requests} requests, {report.seconds:.1f} s"
        case "failed":
            return "failed"  # the reason, which others may share, is said in the end
        case _:
            return "begins"


def _width(file: TextIO) -> int:
    """The letters that fit into a line without making the terminal begin a new one."""
    try:
        columns = os.get_terminal_size(file.fileno()).columns
    except OSError:
        columns = 0
    return (columns or 80) - 1
