"""One Dagster run in this process: how it is shown, cancelled and summarized."""

import os
import re
import signal
import sys
import threading
import uuid
import warnings
from collections import defaultdict
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any, Self

import click
import dagster as dg
import duckdb
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from rich.console import Console
from rich.live import Live
from rich.text import Text
from tabulate import tabulate

from harvest_pipeline.cli.choice import Run
from harvest_pipeline.cli.local import CANCELLED
from harvest_pipeline.harvest.progress import Observer, observed_by
from harvest_pipeline.orchestration.jobs import asset_keys
from harvest_pipeline.orchestration.models import model_keys
from harvest_pipeline.orchestration.partitions import range_tags
from harvest_pipeline.safety import one_line
from harvest_pipeline.settings import Account, project_folder
from harvest_pipeline.settings.resolve import REPORT_OPTIONS
from harvest_pipeline.warehouse.database import SECONDS_BETWEEN_LINES, WAITING, Warehouse
from harvest_pipeline.warehouse.errors import WarehouseError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LONGEST = 1000
#: Seconds to wait for the database at the end, while a person is waiting.
_WAIT = 2.0


def run_now(run: Run, *, verbose: bool, summary: bool = True) -> int:
    """Execute the run, show its progress, and print how it ended; returns the exit code.

    `verbose` also shows Dagster's log lines; `summary` prints a line for each report and the run.
    Raises ClickException for what Dagster rejects.
    """
    run_id = str(uuid.uuid4())
    progress = Progress(run, plain=verbose)
    with ExitStack() as stack:
        # Dagster warns of its own superseded and beta functions; its lines are in the run's log.
        warnings.simplefilter("ignore")
        if not verbose:
            nothing = stack.enter_context(Path(os.devnull).open("w"))
            stack.enter_context(redirect_stdout(nothing))
            stack.enter_context(redirect_stderr(nothing))
        stack.enter_context(progress)
        status = _execute(run, run_id, progress)
    if summary:
        print(_table(run, progress, _loaded_by(run.account, run_id)))
    for problem in progress.problems(status):
        click.echo(f"\nError: {problem}", err=True)
    if summary:
        click.echo(f"\nRun {run_id}; `harvest-pipeline dev` shows it.")
    if status is dg.DagsterRunStatus.CANCELED:
        loaded = ", ".join(progress.named("loaded")) or "nothing"
        click.echo(f"Cancelled; what had been loaded stays: {loaded}.", err=True)
        return CANCELLED
    return 0 if status is dg.DagsterRunStatus.SUCCESS else 1


def _execute(run: Run, run_id: str, progress: "Progress") -> dg.DagsterRunStatus:
    """Create the run in the instance of DAGSTER_HOME, execute it, and return its status."""
    with (
        dg.DagsterInstance.get() as instance,
        Cancelling(instance, run_id) as cancelling,
        observed_by(progress),
    ):
        for listener in (progress.hear, cancelling.hear):
            instance.add_event_listener(run_id, listener)  # pyright: ignore[reportUnknownMemberType]
        try:
            _materialize(instance, run, run_id)
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
            cancelling.wanted = True
        except dg.DagsterError as error:
            raise click.ClickException(one_line(str(error), _LONGEST)) from None
        finally:
            made = instance.get_run_by_id(run_id)
            if made and not made.is_finished:
                end = (
                    instance.report_run_canceled
                    if cancelling.wanted
                    else (instance.report_run_failed)
                )
                end(made)
        ended = instance.get_run_by_id(run_id)
        return ended.status if ended else dg.DagsterRunStatus.CANCELED


def _materialize(instance: dg.DagsterInstance, run: Run, run_id: str) -> None:
    # This is what the UI loads, and so what it re-executes.
    from harvest_pipeline.definitions import defs

    repository = defs.get_repository_def()
    job = repository.get_implicit_global_asset_job_def()
    # `execute_in_process` does not record where the UI finds the job: under the name of the code
    # location, as in workspace.yaml.
    target = LoadableTargetOrigin(
        executable_path=sys.executable,
        module_name="harvest_pipeline.definitions",
        working_directory=str(project_folder()),
    )
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, "harvest")
    origin = RemoteRepositoryOrigin(location, repository.name).get_job_origin(job.name)
    made: Any = instance
    made.create_run_for_job = partial(instance.create_run_for_job, remote_job_origin=origin)
    job.execute_in_process(
        instance=instance,
        run_id=run_id,
        run_config={"resources": {REPORT_OPTIONS: {"config": run.config}}} if run.config else {},
        asset_selection=[*asset_keys(run.account, run.datasets), *_models(run)],
        tags=range_tags(run.window) if run.window else {},
        raise_on_error=False,
    )


def _models(run: Run) -> list[dg.AssetKey]:
    return model_keys(run.account) if run.with_models else []


class Cancelling:
    """Lets Ctrl-C and SIGTERM cancel a run; Dagster would mark it as failed.

    While a report's code runs, Dagster's own handler raises. At other times it only sets a flag
    until the next report begins, even while it sleeps for up to half an hour before a retry.
    """

    def __init__(self, instance: dg.DagsterInstance, run_id: str) -> None:
        self._instance, self._run_id = instance, run_id
        self.wanted = False
        self._dagsters: Any = None
        self._current: str | None = None
        self._retrying: set[str | None] = set()

    def __enter__(self) -> Self:
        self._before = {each: signal.signal(each, self._interrupt) for each in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # The rest takes a moment: another Ctrl-C would only produce a traceback.
            signal.signal(number, signal.SIG_IGN if self.wanted else handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.wanted = True
        if self._dagsters is None:  # Dagster is not executing yet
            raise KeyboardInterrupt
        if self._retrying and self._current is None:
            self._cancel()
        self._dagsters(number, frame)

    def _cancel(self) -> None:
        self._mark()
        raise KeyboardInterrupt

    def _mark(self) -> None:
        self.wanted = True
        run = self._instance.get_run_by_id(self._run_id)
        if run and run.status is dg.DagsterRunStatus.STARTED:
            self._instance.report_run_canceling(run)

    def hear(self, entry: dg.EventLogEntry) -> None:
        """Handle an event of the run, after Dagster has stored it."""
        event = entry.dagster_event
        if event is None:
            return
        if event.event_type is dg.DagsterEventType.RUN_START:
            # Ctrl-C would end the processes that copy the log with a traceback: block it here.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        elif event.is_step_start or event.is_step_restarted:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            if self._dagsters is None:
                # After each piece of a report's code Dagster restores the handler that it found:
                # from here on, this one.
                self._dagsters = signal.getsignal(signal.SIGINT)
                for each in _SIGNALS:
                    signal.signal(each, self._interrupt)
            self._current = event.step_key
            self._retrying.discard(event.step_key)
            run = self._instance.get_run_by_id(self._run_id)
            if run and run.status is not dg.DagsterRunStatus.STARTED:  # cancelled in the UI
                self._cancel()
        elif event.is_step_success or event.is_step_failure:
            self._current = None
            if event.is_step_failure and _is_interrupt(event):
                self._mark()
        elif event.is_step_up_for_retry:
            self._current = None
            self._retrying.add(event.step_key)
            if self.wanted:
                self._cancel()


class Progress(Observer):
    """Shows the progress of a run: one live line on a terminal, else a line when a report begins
    and ends. The threads that read Harvest also call it."""

    def __init__(self, run: Run, *, plain: bool) -> None:
        self.states = {dataset.name: "not begun" for dataset in run.datasets}
        self.models = {key.path[-1]: "not begun" for key in _models(run)}
        self._problems: dict[str, str] = {}
        self._prefix = f"{run.account.name}__"
        self._console = Console(file=sys.stderr, highlight=False, markup=False)
        self._lock = threading.Lock()
        self._current: str | None = None
        self._rows = self._requests = self._pages = self._expected = 0
        self._note, self._until, self._began = "", 0.0, monotonic()
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
            if entry.user_message.startswith(WAITING):
                self.waiting(SECONDS_BETWEEN_LINES, entry.user_message.removeprefix(WAITING))
            return
        # A step's key is derived from the asset's: <schema>__<dataset>.
        name = (event.step_key or "").removeprefix(self._prefix)
        if name in self.models:
            self._hear_of_model(name, event)
        elif event.is_step_start or event.is_step_restarted:
            self._rows = self._requests = self._pages = self._expected = 0
            self._note, self._current, self.states[name] = "", name, "cancelled"
            self._say(f"{name}: begins")
        elif event.is_step_success:
            self._current, self.states[name] = None, "loaded"
            self._say(f"{name}: {self._rows} rows, {self._requests} requests")
        elif event.is_step_failure and not _is_interrupt(event):
            self._problems[name] = _reason(event)
            self._current, self.states[name] = None, "FAILED"
            self._say(f"{name}: failed")
        elif event.is_step_up_for_retry:
            self._current = None
            data = event.step_retry_data
            reason = f"{name} is tried again: {_sentence(data.error).rstrip('.')}"
            self.waiting(data.seconds_to_wait or 0, reason)

    def _hear_of_model(self, name: str, event: dg.DagsterEvent) -> None:
        if event.is_step_success:
            self.models[name] = "created"
        elif event.is_step_failure and not _is_interrupt(event):
            self._problems[name] = _reason(event)

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
        if not self._live:
            self._console.print(line, soft_wrap=True)

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


def _loaded_by(account: Account, run_id: str) -> dict[str, tuple[int, int]]:
    """What the run loaded, from the ledger: rows and requests, by report."""
    warehouse = Warehouse(
        account.project.duckdb, account.name, wait_seconds=_WAIT, log=lambda _: None
    )
    try:
        with warehouse.reader() as connection:
            found = connection.execute(
                "SELECT report, sum(rows)::BIGINT, sum(requests)::BIGINT FROM _loads"
                " WHERE run_id = ? GROUP BY report",
                [run_id],
            ).fetchall()
    except duckdb.CatalogException:  # nothing has ever been loaded
        return {}
    except WarehouseError as error:
        click.echo(f"What was loaded is not known: {error}", err=True)
        return {}
    return {report: (rows, requests) for report, rows, requests in found}


def _table(run: Run, progress: Progress, loads: dict[str, tuple[int, int]]) -> str:
    """One line for each report, and the total."""
    lines: list[tuple[object, ...]] = []
    for dataset in run.datasets:
        rows, requests = loads.get(dataset.name, (0, 0))
        state = progress.states[dataset.name]
        lines.append((dataset.name, run.days_of(dataset), f"{rows:,}", f"{requests:,}", state))
    if progress.models:
        created = [*progress.models.values()].count("created")
        lines.append(("models", "", "", "", f"{created} of {len(progress.models)} created"))
    lines.append(("total", "", "", f"{sum(requests for _, requests in loads.values()):,}", ""))
    text = tabulate(
        lines,
        headers=["report", "days", "rows read", "requests", "result"],
        colalign=("left", "left", "right", "right", "left"),
        disable_numparse=True,
    )
    if set(progress.named("loaded")) - loads.keys():
        text += "\n0 requests: the run had read it for another report, or there was nothing to ask."
    return text


def _is_interrupt(event: dg.DagsterEvent) -> bool:
    return event.step_failure_data.error_source.value == "INTERRUPT"


def _reason(event: dg.DagsterEvent) -> str:
    """Why a step failed."""
    data = event.step_failure_data
    ours = data.user_failure_data and data.user_failure_data.description
    return ours or _sentence(data.error)


def _sentence(error: Any) -> str:
    """The innermost cause of a Dagster error; for this project's own errors, only their message."""
    while error is not None and error.cause is not None:
        error = error.cause
    text = one_line(error.message if error else "no reason was given", _LONGEST)
    return re.sub(r"^harvest_pipeline\.[\w.]+: ", "", text)
