"""What the process of the command and the process of the run tell each other, a JSON line each.

Belongs here: the forms of these lines. Does not belong here: sending them, showing them.
"""

from datetime import date
from typing import Any

import msgspec
from msgspec import Struct


class Plan(Struct, frozen=True, kw_only=True):
    """The one run that a worker is started for.

    `datasets` are names of the account `schema`. `first` and `last` are the days of its partitions,
    None where no dataset has any. `options` is the config of the resource `report_options`.
    """

    schema: str
    datasets: tuple[str, ...]
    first: date | None
    last: date | None
    options: dict[str, Any]


class _Message(Struct, frozen=True, tag=True):
    """The worker's."""


class RunBegun(_Message, frozen=True):
    """Dagster has the run, and it begins."""

    run_id: str


class ReportBegun(_Message, frozen=True):
    """A report is read and loaded from here on."""

    name: str


class ReportEnded(_Message, frozen=True):
    """`problem` is the sentence of a failure, None if all went well."""

    name: str
    problem: str | None = None


class Retrying(_Message, frozen=True):
    """A report failed and is tried again after so many seconds."""

    name: str
    seconds: float
    problem: str


class Requested(_Message, frozen=True):
    """A request to Harvest."""


class Expecting(_Message, frozen=True):
    """So many more pages are known to be needed."""

    requests: int


class Received(_Message, frozen=True):
    """A page, with so many records."""

    rows: int


class Waiting(_Message, frozen=True):
    """Nothing goes on for so many seconds; the reason is half a sentence."""

    seconds: float
    reason: str


class RunEnded(_Message, frozen=True):
    """The last message. `status` is Dagster's: SUCCESS, FAILURE or CANCELED. `problem` is the
    sentence for what failed outside a report."""

    status: str
    problem: str | None = None


Message = (
    RunBegun
    | ReportBegun
    | ReportEnded
    | Retrying
    | Requested
    | Expecting
    | Received
    | Waiting
    | RunEnded
)

#: What the command writes after the plan; the end of the pipe means the same.
CANCEL = b"cancel\n"

_plan = msgspec.json.Decoder(Plan)
_message = msgspec.json.Decoder(Message)


def line_of(struct: Plan | Message) -> bytes:
    """The line for it."""
    return msgspec.json.encode(struct) + b"\n"


def plan_of(line: bytes) -> Plan:
    """The plan in a line."""
    return _plan.decode(line)


def message_of(line: bytes) -> Message:
    """The message in a line."""
    return _message.decode(line)
