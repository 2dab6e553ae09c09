"""A tiny stand-in for Dagster's daemon, on the sandbox's clock.

It evaluates the project's own sensors and schedules and carries out what they request as real runs
in this process: nothing is loaded in any other way. Everything goes by the sandbox's clock: Dagster
(what a day is, which days exist, when a run was made) and the few modules of the package that look
at the machine's. Only the client's own request limit goes by the machine's clock, and it is lifted.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from unittest.mock import patch

import dagster as dg

from harvest_pipeline.harvest import access
from harvest_pipeline.loading import reconcile as reconciliation
from harvest_pipeline.loading import verify as comparison
from harvest_pipeline.loading import window as loads
from harvest_pipeline.orchestration import sensors
from harvest_pipeline.orchestration import steps as failures
from harvest_pipeline.sandbox.clock import Clock
from harvest_pipeline.sandbox.world import RequestLog
from harvest_pipeline.settings import project
from harvest_pipeline.warehouse import ledger
from harvest_pipeline_tests.conftest import created_at, in_memory, unlimited

#: The modules of the package that ask the machine what time it is while they work.
_WITH_A_CLOCK = (comparison, ledger, loads, reconciliation, sensors, project)


class _AnyDatetime(type(datetime)):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


@contextmanager
def on(clock: Clock) -> Iterator[None]:
    """Let everything that looks at a clock look at this one, and wait for nothing."""

    class Told(datetime, metaclass=_AnyDatetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return clock.precise().astimezone(tz)

    with ExitStack() as stack:
        for module in _WITH_A_CLOCK:
            stack.enter_context(patch.object(module, "datetime", Told))
        time = "dagster._time._mockable_get_current"
        stack.enter_context(patch(f"{time}_datetime", clock.precise))
        stack.enter_context(patch(f"{time}_timestamp", lambda: clock.precise().timestamp()))
        stack.enter_context(patch.object(access, "HarvestClient", unlimited))
        stack.enter_context(patch.object(failures, "_PAUSE_SECONDS", 0.0))
        yield


@dataclass(frozen=True)
class Ran:
    """What became of a run that a sensor or a schedule (`by`) has requested.

    `asked` are the path and the query of each request that it made, `failed` the sentence of the
    failure, or the checks that did not pass; `verdict` is what its comparison with Harvest's
    reports ended with, empty if it made none.
    """

    by: str
    run_id: str
    success: bool
    asked: tuple[tuple[str, str], ...]
    failed: tuple[str, ...]
    verdict: str

    @property
    def lists(self) -> list[str]:
        """The paths of its requests but for those of Harvest's reports."""
        return [path for path, _ in self.asked if "/reports/" not in path]


class Daemon:
    """The sensors and schedules of a project, as if all were switched on.

    `ran` are all runs, `ticks` the requests that sensors made to look.
    """

    def __init__(self, definitions: dg.Definitions, clock: Clock, log: RequestLog) -> None:
        self.ran: list[Ran] = []
        self.ticks: dict[str, int] = {}
        self._definitions = definitions
        self._clock = clock
        self._log = log
        self._instance = in_memory()

    def close(self) -> None:
        """Nothing is evaluated any more."""
        self._instance.dispose()

    def sensor(self, name: str) -> list[Ran]:
        """A tick of a sensor, and the runs that it requests."""
        sensor = self._definitions.resolve_sensor_def(name)
        context = dg.build_sensor_context(sensor_name=name)
        context._instance = self._instance  # type: ignore[attr-defined] - an ephemeral one is refused
        before = len(self._log.requests)
        with context:
            tick = sensor.evaluate_tick(context)
        self.ticks[name] = self.ticks.get(name, 0) + len(self._log.requests) - before
        return [
            self._run(sensor.job_name, request, {"dagster/sensor_name": name}, name)
            for request in tick.run_requests or []
        ]

    def schedule(self, name: str) -> list[Ran]:
        """A tick of a schedule that is due now, and the runs that it requests."""
        schedule = self._definitions.resolve_schedule_def(name)
        context = dg.build_schedule_context(scheduled_execution_time=self._clock.precise())
        with patch.object(type(context), "instance", self._instance):
            tick = schedule.evaluate_tick(context)
        return [
            self._run(schedule.job_name, request, {"dagster/schedule_name": name}, name)
            for request in tick.run_requests or []
        ]

    def _run(self, job_name: str, request: dg.RunRequest, tags: dict[str, str], by: str) -> Ran:
        job = self._definitions.resolve_job_def(job_name)
        began, before = self._clock.precise(), len(self._log.requests)
        result = job.execute_in_process(
            run_config=request.run_config,
            instance=self._instance,
            tags={**request.tags, **tags},
            raise_on_error=False,
        )
        created_at(self._instance, result.run_id, began)
        checks = result.get_asset_check_evaluations()
        failed = [f"{each.check_name}: {each.description}" for each in checks if not each.passed]
        ran = Ran(
            by,
            result.run_id,
            result.success,
            tuple((each.path, each.query) for each in self._log.requests[before:]),
            tuple(failed if result.success else [_failure_of(result)]),
            _verdict(result),
        )
        self.ran.append(ran)
        return ran


def _verdict(result: dg.ExecuteInProcessResult) -> str:
    """What the statement says that the run has made."""
    for event in result.all_events:
        if event.is_step_materialization and event.asset_key.path[-1] == "reconciliation":
            return str(event.step_materialization_data.materialization.metadata["verdict"].value)
    return ""


def _failure_of(result: dg.ExecuteInProcessResult) -> str:
    """What the failure of a run goes back to."""
    event = next(event for event in result.all_events if event.is_step_failure)
    if failure := event.step_failure_data.user_failure_data:
        return failure.description or ""
    error = event.step_failure_data.error
    while error and error.cause:
        error = error.cause
    return error.message if error else ""
