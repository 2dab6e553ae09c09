"""The progress of one Dagster run, as a person sees it in the terminal."""

import logging
import os
import re
import signal
import sys
import threading
from collections import defaultdict
from time import monotonic
from typing import Any, Self

import click
import dagster as dg
from rich.console import Console
from rich.live import Live
from rich.text import Text

from harvest_pipeline.cli.choice import Run
from harvest_pipeline.harvest.progress import Observer
from harvest_pipeline.orchestration.models import model_keys, models_step
from harvest_pipeline.safety.text import one_line
from harvest_pipeline.warehouse.database import SECONDS_BETWEEN_LINES, WAITING

#: The longest message that is shown, in letters.
LONGEST = 1000


class Progress(Observer):
    """Shows the progress of a run: one live line on a terminal, else a line when a report begins
    and ends. The threads that read Harvest also call it."""

    def __init__(self, run: Run, *, plain: bool) -> None:
        self.states = {dataset.name: "not begun" for dataset in run.datasets}
        self.models, self.created = len(models_of(run)), 0
        #: What a report's code has warned of.
        self.remarks: list[str] = []
        self._problems: dict[str, str] = {}
        self._prefix = f"{run.account.name}__"
        self._models_step = models_step(run.account.name)
        self._console = Console(file=sys.stderr, highlight=False, markup=False)
        self._lock = threading.Lock()
        self._current: str | None = None
        self._rows = self._requests = self._pages = self._expected = 0
        self._note, self._until, self._began = "", 0.0, monotonic()
        self._unread = False
        self.is_person = sys.stderr.isatty()
        self._live: Live | None = None
        if self._console.is_terminal and not self._console.is_dumb_terminal and not plain:
            self._live = Live(
                get_renderable=self._line,
                console=self._console,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def requested(self) -> None:
        with self._lock:
            self._requests += 1

    def expecting(self, requests: int) -> None:
        with self._lock:
            self._expected += requests

    def received(self, rows: int) -> None:
        with self._lock:
            self._pages += 1
            self._rows += rows
            self._expected = max(self._expected - 1, 0)

    def waiting(self, seconds: float, reason: str) -> None:
        if reason != self._note:
            self._say(f"Waiting: {reason}.")
        self._note, self._until = reason, monotonic() + seconds

    def hear(self, entry: dg.EventLogEntry) -> None:
        """Handle a line of the run's log, or an event."""
        event = entry.dagster_event
        if event is None:
            if isinstance(entry.level, int) and entry.level >= logging.WARNING:
                self.remarks.append(entry.user_message)
            elif entry.user_message.startswith(WAITING):
                self.waiting(SECONDS_BETWEEN_LINES, entry.user_message.removeprefix(WAITING))
            return
        # A step's key is derived from the asset's: <schema>__<dataset>.
        name = (event.step_key or "").removeprefix(self._prefix)
        if name == self._models_step:
            self._hear_of_models(event)
        elif event.is_step_start or event.is_step_restarted:
            self._rows = self._requests = self._pages = self._expected = 0
            self._note, self._current, self.states[name] = "", name, "cancelled"
            self._say(f"{name}: begins")
        elif event.is_step_success:
            self._current, self.states[name] = None, "loaded"
            self._say(f"{name}: {self._rows} rows, {self._requests} requests")
        elif event.is_step_failure and not is_interrupt(event):
            self._problems[name] = _reason(event)
            self._current, self.states[name] = None, "FAILED"
            self._say(f"{name}: failed")
        elif event.event_type is dg.DagsterEventType.RUN_FAILURE:
            # After its steps: if one of these failed, that says more.
            if not self._problems and event.job_failure_data.error:
                self._problems["end of the run"] = _sentence(event.job_failure_data.error)
        elif event.is_step_up_for_retry:
            self._current = None
            data = event.step_retry_data
            reason = f"{name} is tried again: {_sentence(data.error).rstrip('.')}"
            self.waiting(data.seconds_to_wait or 0, reason)

    def _hear_of_models(self, event: dg.DagsterEvent) -> None:
        if event.is_step_materialization:
            self.created += 1
        elif event.is_step_failure and not is_interrupt(event):
            self._problems["models"] = _reason(event)

    def named(self, state: str) -> list[str]:
        """The reports in that state: not begun, cancelled, loaded or FAILED."""
        return [name for name, each in self.states.items() if each == state]

    def problems(self, status: dg.DagsterRunStatus) -> list[str]:
        """One sentence for each distinct problem, with the reports that it affects."""
        names: dict[str, list[str]] = defaultdict(list)
        for name, problem in self._problems.items():
            names[problem].append(name)
        said = [f"{', '.join(about)}: {problem}" for problem, about in names.items()]
        if names and status is dg.DagsterRunStatus.FAILURE and (left := self.named("not begun")):
            need = "it needs" if len(left) == 1 else "they need"
            said.append(f"{', '.join(left)}: not read, because what {need} failed.")
        return said

    def _say(self, line: str) -> None:
        if self._live or self._unread:
            return
        try:
            click.echo(line, file=self._console.file)
        except BrokenPipeError:  # what read it has ended, as `head` does: the same as Ctrl-C
            self._unread = True
            os.kill(os.getpid(), signal.SIGINT)

    def _line(self) -> Text:
        now = monotonic()
        ended = len(self.named("loaded")) + len(self.named("FAILED"))
        if self._note and now < self._until:
            said = f"waiting {self._until - now:.0f} s: {self._note}"
        elif self._current is None:
            said = f"Dagster writes it down ({now - self._began:.0f} s)"
        else:
            of = f" of {self._pages + self._expected}" if self._expected else ""
            counts = f"{self._rows:,} rows  {self._requests:,} requests  {self._pages}{of} pages"
            said = f"{self._current}  {counts}"
        return Text(f"[{ended}/{len(self.states)}]  {said}", no_wrap=True, overflow="ellipsis")


def models_of(run: Run) -> list[dg.AssetKey]:
    """The assets of the models that a run creates."""
    return model_keys(run.account) if run.with_models else []


def is_interrupt(event: dg.DagsterEvent) -> bool:
    """Whether a step failed because somebody interrupted it."""
    return event.step_failure_data.error_source.value == "INTERRUPT"


def _reason(event: dg.DagsterEvent) -> str:
    """Why a step failed."""
    data = event.step_failure_data
    ours = data.user_failure_data and data.user_failure_data.description
    return ours or _sentence(data.error)


def _sentence(error: Any) -> str:
    """The innermost cause of a Dagster error; for errors of this project and of Dagster, only their
    message."""
    while error is not None and error.cause is not None:
        error = error.cause
    text = one_line(error.message if error else "no reason was given", LONGEST)
    return re.sub(r"^(harvest_pipeline|dagster)\.[\w.]+: ", "", text)
