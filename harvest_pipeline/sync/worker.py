"""The process of a run: `python -m harvest_pipeline.sync.worker`, started by the command.

Belongs here: one real Dagster run of the instance at DAGSTER_HOME, and what is told of it.
Does not belong here: what is read (messages.Plan says so), and what a person sees.
"""

import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

import click
import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.api import execute_run_iterator
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from harvest_pipeline.harvest.progress import observed_by
from harvest_pipeline.partitions import range_tags
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import project_folder
from harvest_pipeline.settings.resolve import REPORT_OPTIONS
from harvest_pipeline.sync import messages
from harvest_pipeline.sync.cancelling import Cancelling
from harvest_pipeline.sync.events import Teller
from harvest_pipeline.sync.messages import Message, Plan, RunBegun, RunEnded
from harvest_pipeline.text import one_line

#: The code location of workspace.yaml: the UI finds what to execute again by its name.
_LOCATION, _MODULE, _ATTRIBUTE = "harvest", "harvest_pipeline.definitions", "defs"
_LONGEST = 1000


class Channel:
    """The two pipes to the command. Any thread may `tell`."""

    def __init__(self) -> None:
        # Dagster gives the standard streams of a run to files and to children of its own.
        self._told = os.fdopen(os.dup(1), "wb")
        self._heard = os.fdopen(os.dup(0), "rb")
        os.dup2(2, 1)
        with Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        self._lock = threading.Lock()

    def plan(self) -> Plan:
        """What is to be run."""
        return messages.plan_of(self._heard.readline())

    def tell(self, message: Message) -> None:
        """Say something to the command, unless it is gone."""
        with self._lock:
            _write(self._told, messages.line_of(message))

    def listen(self, cancelling: Cancelling) -> None:
        """Cancel as soon as the command says so, or is gone."""

        def listen() -> None:
            self._heard.readline()
            cancelling.cancel()

        threading.Thread(target=listen, name="listening", daemon=True).start()


def _write(file: BinaryIO, line: bytes) -> None:
    with suppress(BrokenPipeError):  # `listen` has come to the end of the other pipe
        file.write(line)
        file.flush()


def main() -> int:
    """Run the plan that comes on standard input; tell of it on standard output."""
    channel = Channel()
    plan = channel.plan()
    try:
        with dg.DagsterInstance.get() as instance:
            cancelling = Cancelling(instance)
            channel.listen(cancelling)
            status = _run(instance, plan, channel, cancelling)
        channel.tell(RunEnded(status))
    except (click.ClickException, dg.DagsterError) as error:
        said = error.message if isinstance(error, click.ClickException) else str(error)
        channel.tell(RunEnded(dg.DagsterRunStatus.FAILURE.value, one_line(said, _LONGEST)))
    return 0


def _run(instance: dg.DagsterInstance, plan: Plan, channel: Channel, cancelling: Cancelling) -> str:
    """Run it and return the status that Dagster has for it in the end."""
    repository = ReconstructableRepository.for_module(_MODULE, _ATTRIBUTE, str(project_folder()))
    definition = repository.get_definition()
    keys = [dg.AssetKey([plan.schema, name]) for name in plan.datasets]
    implicit = definition.get_implicit_job_def_for_assets(keys)
    if implicit is None:
        raise dg.DagsterInvariantViolationError(
            f"Dagster cannot run {', '.join(plan.datasets)} together."
        )
    job = repository.get_reconstructable_job(implicit.name)
    if cancelling.wanted:
        return dg.DagsterRunStatus.CANCELED.value
    run = instance.create_run_for_job(
        implicit,
        run_config={"resources": {REPORT_OPTIONS: {"config": plan.options}}}
        if plan.options
        else {},
        tags={**implicit.run_tags, **_tags(plan)},
        asset_selection=frozenset(keys),
        remote_job_origin=_location(definition.name).get_job_origin(implicit.name),
        job_code_origin=job.get_python_origin(),
        repository_load_data=definition.repository_load_data,
    )
    channel.tell(RunBegun(run.run_id))
    teller = Teller(plan.schema, channel.tell)
    instance.add_event_listener(run.run_id, teller.hear)  # pyright: ignore[reportUnknownMemberType]
    with _ended(instance, run, cancelling), observed_by(teller):
        # It says less than it returns.
        events = cast("Generator[dg.DagsterEvent]", execute_run_iterator(job, run, instance))
        for event in cancelling.events(run, events):
            teller.tell_of(event)
    reloaded = instance.get_run_by_id(run.run_id)
    assert reloaded is not None
    return reloaded.status.value


def _tags(plan: Plan) -> dict[str, str]:
    if plan.first is None or plan.last is None:
        return {}
    return range_tags(Window(plan.first, plan.last))


def _location(repository: str) -> RemoteRepositoryOrigin:
    """Where the UI finds the definitions of the run."""
    target = LoadableTargetOrigin(
        executable_path=sys.executable,
        module_name=_MODULE,
        working_directory=str(project_folder()),
    )
    return RemoteRepositoryOrigin(
        ManagedGrpcPythonEnvCodeLocationOrigin(target, _LOCATION), repository
    )


@contextmanager
def _ended(
    instance: dg.DagsterInstance, run: dg.DagsterRun, cancelling: Cancelling
) -> Generator[None]:
    """See to it that the run does not count as running for ever."""
    try:
        yield
    except (KeyboardInterrupt, DagsterExecutionInterruptedError):
        pass
    finally:
        left = instance.get_run_by_id(run.run_id)
        if left is not None and not left.is_finished:
            if cancelling.wanted:
                instance.report_run_canceled(left)
            else:
                instance.report_run_failed(left)


if __name__ == "__main__":
    sys.exit(main())
