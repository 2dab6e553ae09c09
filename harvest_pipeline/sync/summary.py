"""What is said when a run is over: a table, what failed and why, where to look.

Belongs here: these words. Does not belong here: counting (progress.py).
"""

from collections import defaultdict

from tabulate import tabulate

from harvest_pipeline.sync.choice import Run
from harvest_pipeline.sync.progress import Progress, Report

_WORDS = {"loaded": "loaded", "failed": "FAILED", "part": "cancelled", "not begun": "not begun"}


def table(run: Run, progress: Progress) -> str:
    """One line for each report, and the total."""
    rows = [
        (
            report.name,
            run.days_of(report.name),
            f"{report.rows:,}",
            report.requests,
            f"{report.seconds:.1f}",
            _result(report, progress),
        )
        for report in progress.reports.values()
    ]
    total = ("total", "", "", progress.requests, "", "")
    text = tabulate(
        [*rows, total],
        headers=["report", "days", "rows read", "requests", "seconds", "result"],
        colalign=("left", "left", "right", "right", "right", "left"),
        disable_numparse=True,
    )
    if any(report.requests == 0 for report in progress.named("loaded")):
        text += "\n0 requests: the run had read it for another report, or there was nothing to ask."
    return text


def problems(progress: Progress) -> list[str]:
    """A sentence for everything that went wrong, each once, with the reports that it is about."""
    names: dict[str, list[str]] = defaultdict(list)
    for report in progress.named("failed"):
        names[report.problem or ""].append(report.name)
    said = [f"{', '.join(about)}: {problem}" for problem, about in names.items()]
    if progress.status == "FAILURE" and (left := progress.named("not begun")) and names:
        need = "it needs" if len(left) == 1 else "they need"
        said.append(
            f"{', '.join(report.name for report in left)}: not read, because what {need} failed."
        )
    return [progress.problem, *said] if progress.problem else said


def cancelled(progress: Progress) -> str:
    """What is left after Ctrl-C."""
    loaded = ", ".join(report.name for report in progress.named("loaded")) or "nothing"
    return f"Cancelled; what had been loaded stays: {loaded}."


def _result(report: Report, progress: Progress) -> str:
    if report.outcome == "failed" and progress.status == "CANCELED":
        return "cancelled"
    return _WORDS[report.outcome]
