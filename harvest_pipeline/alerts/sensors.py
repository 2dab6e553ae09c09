"""The sensors of Dagster that send alerts: one for each channel.

Each channel keeps a cursor of its own, so that what one could not send is not sent twice by the
other. Dagster's own run failure sensor is not used: it moves on when sending fails, and the message
is lost.

Belongs here: what a tick does, and what is kept of it.
Does not belong here: what is told (runs.py, days.py, credentials.py), how it is sent.
"""

import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Protocol

import dagster as dg
from msgspec.structs import replace

from harvest_pipeline.alerts.channels import Channel, channels
from harvest_pipeline.alerts.credentials import Credentials
from harvest_pipeline.alerts.days import Days
from harvest_pipeline.alerts.errors import AlertNotSent
from harvest_pipeline.alerts.messages import Alert
from harvest_pipeline.alerts.runs import Runs
from harvest_pipeline.alerts.state import State
from harvest_pipeline.settings import Account
from harvest_pipeline.settings.alerts import AlertsEntry, Subject
from harvest_pipeline.warehouse.errors import WarehouseError

_SECONDS_BETWEEN = 60
#: What a tick sends at most, and for how many seconds it begins to send: Dagster gives up after 60.
#: The next tick goes on.
_MOST_MESSAGES = 10
_MOST_SECONDS = 25.0


def alert_sensors(accounts: Sequence[Account]) -> list[dg.SensorDefinition]:
    """`alerts_by_email` and `alerts_by_webhook`, as far as harvest.yaml names them.

    They run from the start: whoever wrote `alerts:` has switched them on.
    """
    entry = accounts[0].project.alerts
    if entry is None:
        return []
    return [_sensor(channel, accounts, entry) for channel in channels(entry, os.environ)]


def _sensor(
    channel: Channel, accounts: Sequence[Account], entry: AlertsEntry
) -> dg.SensorDefinition:
    def tick(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return _tick(context, channel, accounts, entry)

    return dg.SensorDefinition(
        name=f"alerts_by_{channel.name}",
        description=f"Tells of {', '.join(entry.on)} by {channel.name}, as `alerts:` of "
        "harvest.yaml says.",
        evaluation_fn=tick,
        minimum_interval_seconds=_SECONDS_BETWEEN,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )


def _tick(
    context: dg.SensorEvaluationContext,
    channel: Channel,
    accounts: Sequence[Account],
    entry: AlertsEntry,
) -> dg.SensorResult:
    """Send what is due. Raises AlertNotSent or WarehouseError if not even the first step succeeds.

    Dagster forgets the cursor of a tick that fails. So one that has got somewhere keeps that, and
    the next one, which begins with what failed, fails.
    """
    begun = State.of(context.cursor)
    state, sent, problem = begun, 0, None
    until = time.monotonic() + _MOST_SECONDS
    for look in _looks(context, accounts, entry):
        try:
            for message, after in look(state):
                if message:
                    if sent == _MOST_MESSAGES or time.monotonic() > until:
                        break
                    if refused := channel.send(message):
                        context.log.error(refused)
                    sent += 1
                state = after
        except AlertNotSent as error:
            problem = error
            break  # the other messages would not be sent either
        except WarehouseError as error:
            problem = error
    if problem and state == begun:
        raise problem
    if problem:
        context.log.error(f"{problem}")
    return dg.SensorResult(
        skip_reason=f"{problem}" if problem else f"{sent} messages were sent.",
        cursor=state.cursor(),
    )


def now() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


class _Look(Protocol):
    """One thing to look at: messages, each with the state after it."""

    def __call__(self, state: State) -> Iterator[tuple[Alert | None, State]]: ...


def _looks(
    context: dg.SensorEvaluationContext, accounts: Sequence[Account], entry: AlertsEntry
) -> Iterator[_Look]:
    """What is looked at, one after the other."""
    at = now()

    def runs(state: State) -> Iterator[tuple[Alert | None, State]]:
        origin = context.code_location_origin
        location = (origin.location_name if origin else None, context.repository_name)
        for message, after in Runs(accounts, entry, context.instance, location).alerts(state.runs):
            yield message, replace(state, runs=after)

    def days(state: State) -> Iterator[tuple[Alert | None, State]]:
        for message, after in Days(accounts, entry, at, context.log.info).alerts(state.days):
            yield message, replace(state, days=after)

    def credential(state: State) -> Iterator[tuple[Alert | None, State]]:
        for message, after in Credentials(accounts, os.environ, at).alerts(state.credential):
            yield message, replace(state, credential=after)

    if {Subject.RUN_FAILURE, Subject.CHECK_FAILURE} & set(entry.on):
        yield runs
    if Subject.MISSING_DAY in entry.on:
        yield days
    if Subject.CREDENTIAL in entry.on:
        yield credential
