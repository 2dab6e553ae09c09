"""One Dagster run in this process: how it is executed, cancelled and summarized."""

import os
import signal
import sys
import uuid
import warnings
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
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

from harvest_pipeline.cli.choice import Run
from harvest_pipeline.cli.local import CANCELLED
from harvest_pipeline.cli.output import coloured, table
from harvest_pipeline.cli.progress import LONGEST, Progress, is_interrupt, models_of
from harvest_pipeline.harvest.progress import observed_by
from harvest_pipeline.orchestration.jobs import asset_keys
from harvest_pipeline.orchestration.partitions import range_tags
from harvest_pipeline.safety.text import one_line
from harvest_pipeline.settings import Account, project_folder
from harvest_pipeline.settings.resolve import REPORT_OPTIONS
from harvest_pipeline.warehouse.database import warehouse_of
from harvest_pipeline.warehouse.errors import WarehouseError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: Seconds to wait for the database at the end, while a person is waiting.
_WAIT = 2.0


def run_now(run: Run, *, verbose: bool, summary: bool = True) -> int:
    """Execute the run, show its progress, and print how it ended; returns the exit code.

    `verbose` also shows Dagster's log lines; `summary` prints a line for each report and the run,
    and what the reports' code has warned of.
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
        click.echo(_table(run, progress, _loaded_by(run.account, run_id)))
    for remark in dict.fromkeys(progress.remarks if summary else ()):
        click.echo(f"\n{remark}", err=True)
    for problem in progress.problems(status):
        click.echo(f"\nError: {problem}", err=True)
    if summary:
        click.echo(f"\nRun {run_id}; `harvest-pipeline dev` shows it.")
    if status is dg.DagsterRunStatus.CANCELED:
        loaded = ", ".join(progress.named("loaded")) or "nothing"
        click.echo(f"Cancelled; what had been loaded stays: {loaded}.", err=True)
        return CANCELLED
    return 0 if status is dg.DagsterRunStatus.SUCCESS else 1


def _execute(run: Run, run_id: str, progress: Progress) -> dg.DagsterRunStatus:
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
            raise click.ClickException(one_line(str(error), LONGEST)) from None
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
    chosen = run.job and repository.get_job(run.job)
    job = chosen or repository.get_implicit_global_asset_job_def()
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
        asset_selection=None
        if chosen
        else [*asset_keys(run.account, run.datasets), *models_of(run)],
        tags=range_tags(run.window) if run.window else {},
        raise_on_error=False,
    )


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
            if event.is_step_failure and is_interrupt(event):
                self._mark()
        elif event.is_step_up_for_retry:
            self._current = None
            self._retrying.add(event.step_key)
            if self.wanted:
                self._cancel()


def _loaded_by(account: Account, run_id: str) -> dict[str, tuple[int, int]]:
    """What the run loaded, from the ledger: rows and requests, by report."""
    warehouse = warehouse_of(account, lambda _: None, wait_seconds=_WAIT)
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
    lines: list[tuple[str, ...]] = []
    for dataset in run.datasets:
        rows, requests = loads.get(dataset.name, (0, 0))
        state = progress.states[dataset.name]
        lines.append(
            (dataset.name, run.days_of(dataset), f"{rows:,}", f"{requests:,}", coloured(state))
        )
    if progress.models:
        created = f"{progress.created} of {progress.models} created"
        lines.append(("models", "", "", "", created))
    lines.append(("total", "", "", f"{sum(requests for _, requests in loads.values()):,}", ""))
    numbers = ["rows read", "requests"]
    text = table(["report", "days", *numbers, "result"], lines, right=numbers)
    if set(progress.named("loaded")) - loads.keys():
        text += "\n0 requests: the run had read it for another report, or there was nothing to ask."
    return text
