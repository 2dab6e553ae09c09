"""How far a run has come, put together from what its worker tells.

Belongs here: counting. Does not belong here: how it is shown (display.py, summary.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Literal

from harvest_pipeline.harvest.limits import Limits
from harvest_pipeline.sync.messages import (
    Expecting,
    Message,
    Received,
    ReportBegun,
    ReportEnded,
    Requested,
    Retrying,
    RunBegun,
    RunEnded,
    Waiting,
)

#: `part`: begun and not brought to its end, because the run was cancelled or died.
Outcome = Literal["loaded", "failed", "part", "not begun"]

_SECONDS_A_REQUEST = Limits().general.seconds / Limits().general.requests


@dataclass(slots=True)
class Report:
    """One report of the run. `pages` and `requests` are those that its read cost, `rows` what came
    with them; `problem` is the sentence of its failure."""

    name: str
    outcome: Outcome = "not begun"
    pages: int = 0
    rows: int = 0
    requests: int = 0
    seconds: float = 0.0
    problem: str | None = None
    begun: float = 0.0


@dataclass(slots=True)
class Progress:
    """The state of a run. `status` is Dagster's, None while it goes on.

    `expected` are pages that are still to come of what is being read, as far as Harvest has told.
    `note` says why nothing happens, until `note_until` (on the monotonic clock).
    """

    reports: dict[str, Report]
    current: Report | None = None
    expected: int = 0
    note: str = ""
    note_until: float = 0.0
    run_id: str | None = None
    status: str | None = None
    problem: str | None = None
    begun: float = field(default_factory=monotonic)

    @classmethod
    def of(cls, names: Sequence[str]) -> "Progress":
        """Nothing has been read yet."""
        return cls({name: Report(name) for name in names})

    @property
    def ended(self) -> int:
        """How many reports have come to their end."""
        return sum(report.outcome in ("loaded", "failed") for report in self.reports.values())

    @property
    def requests(self) -> int:
        """Requests of all reports."""
        return sum(report.requests for report in self.reports.values())

    @property
    def seconds_left(self) -> float:
        """How long what is still expected takes at Harvest's request limit, at the least."""
        return self.expected * _SECONDS_A_REQUEST

    def named(self, *outcomes: Outcome) -> list[Report]:
        """The reports with one of these outcomes."""
        return [report for report in self.reports.values() if report.outcome in outcomes]

    def hear(self, message: Message) -> None:
        """Take in what the worker tells."""
        match message:
            case RunBegun(run_id):
                self.run_id = run_id
            case ReportBegun(name):
                self._begin(self.reports[name])
            case ReportEnded(name, problem):
                self._end(self.reports[name], problem)
            case Retrying(name, seconds, problem):
                self._end(self.reports[name], problem)
                self._note(f"{name} is tried again: {problem}", seconds)
            case Waiting(seconds, reason):
                self._note(reason, seconds)
            case Requested():
                if self.current:
                    self.current.requests += 1
            case Expecting(requests):
                self.expected += requests
            case Received(rows):
                self.expected = max(self.expected - 1, 0)
                if self.current:
                    self.current.pages += 1
                    self.current.rows += rows
            case RunEnded(status, problem):
                self.status, self.problem = status, problem
                if self.current:  # cancelled
                    self.current.seconds += monotonic() - self.current.begun

    def _begin(self, report: Report) -> None:
        report.outcome, report.problem, report.begun = "part", None, monotonic()
        self.current, self.expected, self.note = report, 0, ""

    def _end(self, report: Report, problem: str | None) -> None:
        report.outcome = "failed" if problem else "loaded"
        report.problem = problem
        report.seconds += monotonic() - report.begun
        self.current, self.expected = None, 0

    def _note(self, text: str, seconds: float) -> None:
        self.note, self.note_until = text, monotonic() + seconds
