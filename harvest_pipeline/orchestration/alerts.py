"""Alerts about failed runs and checks, sent by Apprise to each address of `alerts:`."""

import logging
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import unquote

import dagster as dg
import msgspec
from dagster_shared.error import SerializableErrorInfo

from harvest_pipeline.orchestration.checks import check_specs
from harvest_pipeline.safety.hosts import is_loopback
from harvest_pipeline.safety.text import one_line, unlinked
from harvest_pipeline.settings import Account, Project

#: Dagster limits a tick to 60 seconds.
_SEND_SECONDS = 30.0
#: A message that did not reach an address after a day of retries is dropped.
_GIVEN_UP_SECONDS = 24 * 3600.0
#: A check that keeps failing is sent again with the next day's run of it, which may be early.
_AGAIN_SECONDS = 20 * 3600.0
#: Dagster first stores that a run failed, and a moment later whether it is retried.
_UNDECIDED_SECONDS = 120.0
_WILL_RETRY = "dagster/will_retry"
_MOST_RUNS_OF_A_TICK = 50
_MOST_NAMED = 20
_FAILED, _SUCCEEDED = dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS


class AlertNotSent(Exception):
    """A message could not be sent to an address of `alerts:`.

    Try it with `harvest-pipeline alerts test`, and correct the variable that the message names
    (docs/alerts.md).
    """


def send(address: str, environment: Mapping[str, str], title: str, text: str) -> str | None:
    """Send a message; returns why that failed, without any part of a variable's value.

    `address` is an Apprise URL, or `$NAME` for the one in a variable of `environment`.
    """
    name = address.removeprefix("$")
    url = environment.get(name, "").strip() if address.startswith("$") else address
    if not url:
        return f"{name} is not set; put the address into it, in the environment or in .env"
    # Apprise's log lines would go to standard error, with parts of the address.
    logging.getLogger("apprise").propagate = False
    apprise: Any = import_module("apprise")  # half of its types are unknown
    asset = apprise.AppriseAsset(app_id="Harvest", http_redirects=False)
    service = apprise.Apprise.instantiate(url, asset=asset)
    if service is None:
        return "Apprise does not know such an address; docs/alerts.md has examples"
    if len(service) > 1:
        return (
            f"it has {len(service)} recipients; write an address for each, so that what one does "
            "not take is not sent to the others again and again"
        )
    if _is_readable_by_others(service):
        return "what is sent could be read on its way; write mailtos, jsons, … instead"
    services = apprise.Apprise(asset=asset)
    services.add(service)
    result = services.notify(text, title, body_format="text", timeout=_SEND_SECONDS)
    if result:
        return None
    said = [each.message for each in result.logs() if each.level in ("WARNING", "ERROR")]
    reason: str = said[-1] if said else f"{service.service_name} did not take it"
    if address.startswith("$"):
        # The path of a webhook is as secret as a password.
        secrets = re.findall(r"[\w.-]{3,}", unquote(url.partition("://")[2]))
        for secret in sorted(secrets, key=len, reverse=True):
            reason = reason.replace(secret, "…")
    return one_line(reason).rstrip(".")


def _is_readable_by_others(service: Any) -> bool:
    """Whether the message would be sent unencrypted. To a mail server of one's own that is
    allowed, without a password."""
    host = service.host or "localhost"
    plain = bool(service.protocol) and not service.secure and not is_loopback(host)
    return plain and bool(service.password or service.service_name != "E-Mail")


class _Cursor(msgspec.Struct, frozen=True):
    """The state of an address: the last run end that was handled, and when each check that keeps
    failing was last reported (Unix, in seconds)."""

    run_end: int
    failing: dict[str, float] = {}

    def __str__(self) -> str:
        return msgspec.json.encode(self).decode()


def alert_sensors(project: Project) -> list[dg.SensorDefinition]:
    """`alerts_1`, `alerts_2`, …: one for each address of `alerts:`, on by default.

    Each has its own cursor, so that a broken address does not delay the others.
    """
    return [
        _sensor(f"alerts_{number}", address, project.accounts)
        for number, address in enumerate(project.alerts, 1)
    ]


def _sensor(name: str, address: str, accounts: Sequence[Account]) -> dg.SensorDefinition:
    def tick(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return _tick(context, address, _Runs(context, accounts))

    return dg.SensorDefinition(
        name=name,
        description=f"Sends which runs and checks failed to {address}.",
        evaluation_fn=tick,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )


def _tick(context: dg.SensorEvaluationContext, address: str, runs: "_Runs") -> dg.SensorResult:
    """Send one message if there is one; the next tick continues.

    Raises AlertNotSent. Dagster then keeps the cursor, so that the next tick sends the same message
    again, and none that was sent before.
    """
    try:
        cursor = msgspec.json.decode(context.cursor or "", type=_Cursor)
    except msgspec.MsgspecError:
        first = _Cursor(runs.last_end())
        return dg.SensorResult(skip_reason="Runs that end from now on count.", cursor=str(first))
    for record in runs.ends_after(cursor.run_end):
        run = context.instance.get_run_by_id(record.run_id)
        found, failing = None, cursor.failing
        if run and runs.is_of_project(run):
            failed = record.event_log_entry.dagster_event_type is _FAILED
            if failed and runs.may_be_retried(run, record.timestamp):
                break
            found, failing = runs.message(run, failed, record.timestamp, failing)
        after = _Cursor(record.storage_id, failing)
        if found and record.timestamp < time.time() - _GIVEN_UP_SECONDS:
            context.log.error(f"Not sent to {address} within a day, and given up: {found[0]}")
        elif found:
            title, text = found
            if problem := send(address, os.environ, title, text):
                raise AlertNotSent(
                    f"The alert about the run {record.run_id} could not be sent to {address}: "
                    f"{problem}. It is tried again at every tick, for a day."
                )
            return dg.SensorResult(skip_reason=f"Sent: {title}", cursor=str(after))
        cursor = after
    return dg.SensorResult(skip_reason="There was nothing to send.", cursor=str(cursor))


@dataclass(frozen=True, slots=True)
class _Problem:
    """A problem in a run; `asset` is None if Dagster names none."""

    asset: dg.AssetKey | None
    name: str
    sentence: str


class _Runs:
    """The finished runs of the project, and the messages about them."""

    def __init__(self, context: dg.SensorEvaluationContext, accounts: Sequence[Account]) -> None:
        self._instance = context.instance
        origin = context.code_location_origin
        self._location = (origin.location_name if origin else None, context.repository_name)
        self._accounts = [account.name for account in accounts]
        keys = {
            dg.AssetKey([account.name, dataset.name]): dataset
            for account in accounts
            for dataset in account.datasets
        }
        #: Dagster derives the key of a step from the asset's.
        self._assets = {"__".join(key.path): key for key in keys}
        self._meanings = {
            spec.key: spec.description
            for key, dataset in keys.items()
            for spec in check_specs(dataset, key)
        }

    def last_end(self) -> int:
        """The position in Dagster's event log of the latest run end."""
        ends = [
            record.storage_id
            for kind in (_FAILED, _SUCCEEDED)
            for record in self._instance.fetch_run_status_changes(kind, limit=1).records
        ]
        return max(ends, default=0)

    def ends_after(self, place: int) -> list[dg.EventLogRecord]:
        """The first run ends after that position, the earliest first."""
        ends = [
            record
            for kind in (_FAILED, _SUCCEEDED)
            for record in self._instance.fetch_run_status_changes(
                dg.RunStatusChangeRecordsFilter(kind, after_storage_id=place),
                limit=_MOST_RUNS_OF_A_TICK,
                ascending=True,
            ).records
        ]
        return sorted(ends, key=lambda record: record.storage_id)[:_MOST_RUNS_OF_A_TICK]

    def is_of_project(self, run: dg.DagsterRun) -> bool:
        """Whether this code location launched the run, or a command such as `sync` made it."""
        if run.remote_job_origin is None:
            return True
        repository = run.remote_job_origin.repository_origin
        name = repository.code_location_origin.location_name
        return (name, repository.repository_name) == self._location

    def may_be_retried(self, run: dg.DagsterRun, ended: float) -> bool:
        """Whether Dagster has yet to decide if a failed run is retried."""
        return (
            self._instance.run_retries_enabled
            and _WILL_RETRY not in run.tags
            and time.time() < ended + _UNDECIDED_SECONDS
        )

    def message(
        self, run: dg.DagsterRun, failed: bool, ended: float, failing: dict[str, float]
    ) -> tuple[tuple[str, str] | None, dict[str, float]]:
        """Title and text about a run, if there is anything to report, and the checks that fail now.

        A run that is retried does not count as failed yet.
        """
        is_last = run.tags.get(_WILL_RETRY, "").lower() != "true"
        failures = self._failures(run) if failed and is_last else []
        checks, failing = self._checks(run, ended, failing)
        problems = [*failures, *checks]
        if run.remote_job_origin is None:  # from one of our commands, or from another program
            problems = [p for p in problems if p.asset and p.asset.path[0] in self._accounts]
        return (self._text(run, problems, bool(failures)) if problems else None), failing

    def _text(
        self, run: dg.DagsterRun, problems: Sequence[_Problem], failed: bool
    ) -> tuple[str, str]:
        assets = [problem.asset for problem in problems if problem.asset]
        assets = assets or sorted(run.asset_selection or ())
        accounts = [name for name in self._accounts if any(key.path[0] == name for key in assets)]
        if not accounts:  # if several match, the longest: acme_eu_reconcile is not acme's
            of_job = [each for each in self._accounts if run.job_name.startswith(f"{each}_")]
            accounts = [max(of_job, key=len)] if of_job else self._accounts
        names: dict[str, list[str]] = {}
        for problem in problems:
            names.setdefault(problem.sentence, []).append(problem.name)
        tags = run.tags
        first = tags.get("dagster/asset_partition_range_start") or tags.get("dagster/partition")
        last = tags.get("dagster/asset_partition_range_end", first)
        lines = {
            "Account": _listed(accounts),
            "Reports": _listed(key.path[-1] for key in assets),
            "Days": first if first == last else f"{first} to {last}",
            "What happened": " | ".join(
                f"{_listed(of)}: {sentence}" if len(names) > 1 else sentence
                for sentence, of in names.items()
            ),
            "What to do": "correct that; then re-execute the run in the Dagster UI, or wait for "
            "the next one of its schedule, which reads these days too."
            if failed
            else "see what the check found, in the Dagster UI.",
            "Run": run.run_id,
        }
        # Names come from Harvest, and tags and config from whoever launched the run.
        said = {name: unlinked(one_line(line, 800)) for name, line in lines.items() if line}
        title = f"{_listed(accounts)}: {'a run failed' if failed else 'a check failed'}"
        return title, "\n".join(f"{name}: {line}" for name, line in said.items())

    def _failures(self, run: dg.DagsterRun) -> list[_Problem]:
        records = self._instance.get_records_for_run(
            run.run_id, of_type={dg.DagsterEventType.STEP_FAILURE, _FAILED}
        ).records
        events = [event for record in records if (event := record.event_log_entry.dagster_event)]
        steps = [event for event in events if event.is_step_failure]
        if steps:
            return [self._failure(event) for event in steps]
        # The copy for readers was not published; or the process was ended, or it never began: then
        # only Dagster's message, since its error may repeat the config of the run.
        said = next((event.message for event in events if event.message), "it failed")
        for event in events:
            said = _own_sentence(event.job_failure_data.error) or said
        return [_Problem(None, run.job_name, said)]

    def _failure(self, event: dg.DagsterEvent) -> _Problem:
        step, data = event.step_key or "", event.step_failure_data
        ours = data.user_failure_data and data.user_failure_data.description
        key = self._assets.get(step)
        return _Problem(key, key.path[-1] if key else step, ours or _sentence(data.error))

    def _checks(
        self, run: dg.DagsterRun, ended: float, failing: dict[str, float]
    ) -> tuple[list[_Problem], dict[str, float]]:
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
            if evaluation.passed or evaluation.severity is not dg.AssetCheckSeverity.ERROR:
                failing.pop(name, None)
            elif evaluation.blocking:  # its step failed and says it
                continue
            elif ended - failing.get(name, 0.0) >= _AGAIN_SECONDS:
                failing[name] = ended
                # Not its metadata, which may contain names of people.
                meaning = evaluation.description or self._meanings.get(check) or ""
                sentence = f"the check {check.name} failed. {meaning}".strip()
                problems.append(_Problem(check.asset_key, check.asset_key.path[-1], sentence))
        return problems, failing


def _sentence(error: SerializableErrorInfo | None) -> str:
    """Our own sentence at the root of an error. Of other errors only the type: a database, for
    example, repeats the rows that it rejects."""
    while error is not None and error.cause is not None:
        error = error.cause
    kind = (error and error.cls_name) or "no reason was given"
    return _own_sentence(error) or f"an unexpected error ({kind}); the log of the run has more."


def _own_sentence(error: SerializableErrorInfo | None) -> str | None:
    """The message of an exception of this project."""
    ours = error and re.match(r"harvest_pipeline\.[\w.]+: ", error.message)
    return error.message[ours.end() :].strip() if error and ours else None


def _listed(names: Iterable[str]) -> str:
    every = list(dict.fromkeys(names))
    more = len(every) - _MOST_NAMED
    return ", ".join(every[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
