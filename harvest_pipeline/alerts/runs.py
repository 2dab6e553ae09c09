"""What is told of runs that have ended: that they failed, and which checks fail.

Belongs here: finding them in Dagster's event log, and one message for each run.
Does not belong here: the sentences of failures (harvest/errors.py, warehouse/errors.py).
"""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from harvest_pipeline.alerts.messages import Alert, alert, listed
from harvest_pipeline.alerts.state import RunsState
from harvest_pipeline.checks import check_specs
from harvest_pipeline.settings import Account
from harvest_pipeline.settings.alerts import AlertsEntry, CheckSeverity, Subject

_FAILED = dg.DagsterEventType.RUN_FAILURE
#: A check can fail in a run however that ended.
_ENDED = (_FAILED, dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_CANCELED)
#: Ends of runs that one tick looks at.
_MOST_ENDS = 50
#: A check that fails on is told again after this many seconds.
_AGAIN = 24 * 3600.0
#: Dagster says whether a failed run is tried again just after saying that it failed, or its daemon
#: does a little later; after so many seconds nobody will.
_UNDECIDED_SECONDS = 120.0
_WILL_RETRY = "dagster/will_retry"


class Runs:
    """The runs of the accounts of a code location; `location` is its name and its repository's."""

    def __init__(
        self,
        accounts: Sequence[Account],
        entry: AlertsEntry,
        instance: dg.DagsterInstance,
        location: tuple[str | None, str | None],
    ) -> None:
        self._entry = entry
        self._instance = instance
        self._location = location
        self._schemas = {settings.name for settings in accounts}
        #: Dagster makes the key of a step of the asset's.
        self._keys = {
            f"{settings.name}__{dataset.name}": dg.AssetKey([settings.name, dataset.name])
            for settings in accounts
            for dataset in settings.datasets
        }
        self._meanings = {
            spec.key: spec.description or ""
            for settings in accounts
            for dataset in settings.datasets
            for spec in check_specs(dataset, dg.AssetKey([settings.name, dataset.name]))
        }

    def alerts(self, state: RunsState) -> Iterator[tuple[Alert | None, RunsState]]:
        """What is to be told of the runs that ended since, with the state after each.

        The first look tells nothing of what was before it.
        """
        if state.position is None:
            yield None, RunsState(self._latest())
            return
        for record in self._ends(state.position):
            run = self._instance.get_run_by_id(record.run_id)
            told, failing = None, state.failing
            if run and self._is_ours(run):
                failed = record.event_log_entry.dagster_event_type is _FAILED
                if failed and self._is_undecided(run, record.timestamp):
                    return
                told, failing = self._told(run, failed, record.timestamp, failing)
            state = RunsState(record.storage_id, failing)
            yield told, state

    def _latest(self) -> int:
        latest = [
            record.storage_id
            for kind in _ENDED
            for record in self._instance.fetch_run_status_changes(kind, limit=1).records
        ]
        return max(latest, default=0)

    def _ends(self, position: int) -> list[dg.EventLogRecord]:
        """The first ends of runs after that event, the earliest first."""
        ends = [
            record
            for kind in _ENDED
            for record in self._instance.fetch_run_status_changes(
                dg.RunStatusChangeRecordsFilter(kind, after_storage_id=position),
                limit=_MOST_ENDS,
                ascending=True,
            ).records
        ]
        return sorted(ends, key=lambda record: record.storage_id)[:_MOST_ENDS]

    def _is_ours(self, run: dg.DagsterRun) -> bool:
        if run.remote_job_origin:
            repository = run.remote_job_origin.repository_origin
            name = repository.code_location_origin.location_name
            return (name, repository.repository_name) == self._location
        # A command's, which belongs to no code location: told by its assets, or by its job's name.
        if keys := self._planned(run):
            return any(key.path[0] in self._schemas for key in keys)
        return run.job_name.startswith(tuple(f"{schema}_" for schema in self._schemas))

    def _planned(self, run: dg.DagsterRun) -> list[dg.AssetKey]:
        """The assets that the run was to materialize."""
        records = self._instance.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
        ).records
        return sorted({record.asset_key for record in records if record.asset_key})

    def _is_undecided(self, run: dg.DagsterRun, ended: float) -> bool:
        """Whether it is not known yet if the run is tried again."""
        return (
            self._instance.run_retries_enabled
            and _WILL_RETRY not in run.tags
            and time.time() < ended + _UNDECIDED_SECONDS
        )

    def _told(
        self, run: dg.DagsterRun, failed: bool, ended: float, failing: dict[str, float]
    ) -> tuple[Alert | None, dict[str, float]]:
        """The one message about a run, if any, and which checks fail after it."""
        problems: list[_Problem] = []
        # One that is tried again is told of when its last attempt has failed.
        is_last = run.tags.get(_WILL_RETRY, "").lower() != "true"
        if failed and is_last and Subject.RUN_FAILURE in self._entry.on:
            problems += self._failures(run)
        broken = bool(problems)
        if Subject.CHECK_FAILURE in self._entry.on:
            new, failing = self._checks(run, ended, failing)
            problems += new
        if not problems:
            return None, failing
        return self._message(run, problems, broken), failing

    def _message(self, run: dg.DagsterRun, problems: "Sequence[_Problem]", broken: bool) -> Alert:
        keys = [problem.asset for problem in problems if problem.asset]
        keys = keys or self._planned(run)
        accounts = dict.fromkeys(key.path[0] for key in keys if key.path[0] in self._schemas)
        causes: dict[str, list[str]] = {}
        for problem in problems:
            causes.setdefault(problem.sentence, []).append(problem.name)
        remedy = (
            "mend that; then re-execute the run in the Dagster UI, or wait for the next one of its "
            "schedule, which reads these days too."
            if broken
            else "look at the check in the Dagster UI, on the page of the report, which shows what "
            "it found; then read these days again."
        )
        return alert(
            "a run failed" if broken else "a check failed",
            list(accounts) or sorted(self._schemas),
            reports=(key.path[-1] for key in keys),
            days=_days(run),
            cause=" | ".join(
                f"{listed(filter(None, names))}: {sentence}" if len(causes) > 1 else sentence
                for sentence, names in causes.items()
            ),
            remedy=remedy,
            run_id=run.run_id,
        )

    def _failures(self, run: dg.DagsterRun) -> "list[_Problem]":
        records = self._instance.get_records_for_run(
            run.run_id, of_type={dg.DagsterEventType.STEP_FAILURE, _FAILED}
        ).records
        events = [event for record in records if (event := record.event_log_entry.dagster_event)]
        steps = [event for event in events if event.is_step_failure]
        if steps:
            return [self._step(event) for event in steps]
        # The run's process was ended, or it never began. What Dagster knows of an error may repeat
        # the run's configuration; its message does not.
        said = next((event.message for event in events if event.message), "")
        return [_Problem(None, "", said or "the run failed, and Dagster does not say why.")]

    def _step(self, event: dg.DagsterEvent) -> "_Problem":
        step, data = event.step_key or "", event.step_failure_data
        ours = data.user_failure_data and data.user_failure_data.description
        key = self._keys.get(step)
        return _Problem(key, key.path[-1] if key else step, ours or _sentence(data.error))

    def _checks(
        self, run: dg.DagsterRun, ended: float, failing: dict[str, float]
    ) -> "tuple[list[_Problem], dict[str, float]]":
        """The checks to be told of, and all that fail now."""
        records = self._instance.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
        ).records
        latest = {
            evaluation.asset_check_key: evaluation
            for record in records
            if (event := record.event_log_entry.dagster_event)
            and (evaluation := event.asset_check_evaluation_data)
        }
        problems: list[_Problem] = []
        failing = dict(failing)
        for check, evaluation in latest.items():
            name = check.to_user_string()
            if evaluation.passed or not self._matters(evaluation.severity):
                failing.pop(name, None)
            elif ended - failing.get(name, 0.0) >= _AGAIN:
                failing[name] = ended
                problems.append(self._check(check, evaluation.description))
        return problems, failing

    def _check(self, check: dg.AssetCheckKey, said: str | None) -> "_Problem":
        # Its metadata stay where they are: they may name people.
        meaning = said or self._meanings.get(check, "")
        return _Problem(
            check.asset_key,
            check.asset_key.path[-1],
            f"the check {check.name} failed{f' ({meaning})' if meaning else ''}",
        )

    def _matters(self, severity: dg.AssetCheckSeverity) -> bool:
        return (
            severity is dg.AssetCheckSeverity.ERROR
            or self._entry.check_severity is CheckSeverity.WARN
        )


@dataclass(frozen=True, slots=True)
class _Problem:
    """Something that went wrong in a run: of which asset, what it is called, and the sentence."""

    asset: dg.AssetKey | None
    name: str
    sentence: str


def _days(run: dg.DagsterRun) -> str:
    tags = run.tags
    first = tags.get("dagster/asset_partition_range_start") or tags.get("dagster/partition", "")
    last = tags.get("dagster/asset_partition_range_end", first)
    return first if first == last else f"{first} to {last}"


def _sentence(error: SerializableErrorInfo | None) -> str:
    """Our own sentence at the bottom of an error. Of anybody else's only the kind is told: a
    database, say, repeats the rows that it does not take."""
    while error is not None and error.cause is not None:
        error = error.cause
    text = error.message if error else ""
    if ours := re.match(r"harvest_pipeline\.[\w.]+: ", text):
        return text[ours.end() :].strip()
    kind = (error and error.cls_name) or "no reason was given"
    return f"an unexpected error ({kind}), which the log of the run tells in full"
