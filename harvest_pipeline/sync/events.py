"""What the command is told of a run: Dagster's events and the observer's, as messages.

Belongs here: which of them say something, and the sentence of a failure.
Does not belong here: sending (worker.py).
"""

import re
from collections.abc import Callable

import dagster as dg
from dagster._core.execution.plan.objects import ErrorSource
from dagster_shared.error import SerializableErrorInfo

from harvest_pipeline.sync.messages import (
    Expecting,
    Message,
    Received,
    ReportBegun,
    ReportEnded,
    Requested,
    Retrying,
    Waiting,
)
from harvest_pipeline.text import one_line
from harvest_pipeline.warehouse.database import SECONDS_BETWEEN_LINES, WAITING

_LONGEST = 1000


class Teller:
    """An observer of reads (harvest/progress.py) that also hears Dagster's events."""

    def __init__(self, schema: str, tell: Callable[[Message], None]) -> None:
        self._prefix = f"{schema}__"
        self._tell = tell

    def requested(self) -> None:
        self._tell(Requested())

    def expecting(self, requests: int) -> None:
        self._tell(Expecting(requests))

    def received(self, rows: int) -> None:
        self._tell(Received(rows))

    def waiting(self, seconds: float, reason: str) -> None:
        self._tell(Waiting(seconds, reason))

    def hear(self, entry: dg.EventLogEntry) -> None:
        """Tell of a line of the run's log, if it says why nothing goes on."""
        if not entry.is_dagster_event and entry.user_message.startswith(WAITING):
            self.waiting(SECONDS_BETWEEN_LINES, entry.user_message.removeprefix(WAITING))

    def tell_of(self, event: dg.DagsterEvent) -> None:
        """Tell of an event, if it says something to a person."""
        # A step's key is made of the asset's: <schema>__<dataset>.
        name = (event.step_key or "").removeprefix(self._prefix)
        if event.is_step_start or event.is_step_restarted:
            self._tell(ReportBegun(name))
        elif event.is_step_success:
            self._tell(ReportEnded(name))
        elif event.is_step_failure:
            data = event.step_failure_data
            if data.error_source is ErrorSource.INTERRUPT:
                return  # cancelled: it has come to no end
            ours = data.user_failure_data and data.user_failure_data.description
            self._tell(ReportEnded(name, ours or _sentence(data.error)))
        elif event.is_step_up_for_retry:
            data = event.step_retry_data
            self._tell(Retrying(name, data.seconds_to_wait or 0, _sentence(data.error)))


def _sentence(error: SerializableErrorInfo | None) -> str:
    """The innermost reason of an error; of our own ones, their sentence alone."""
    while error is not None and error.cause is not None:
        error = error.cause
    text = one_line(error.message if error else "no reason was given", _LONGEST)
    return re.sub(r"^harvest_pipeline\.[\w.]+: ", "", text)
