"""What a channel has told of already: the cursor of its sensor.

Belongs here: the form of it, and reading one of an older or a broken form.
Does not belong here: what it means for what is told next (runs.py, days.py, credentials.py).
"""

import msgspec

_VERSION = 1


class RunsState(msgspec.Struct, frozen=True):
    """`position` is the event of Dagster's log that was looked at last, None before the first look.

    `failing` are the checks that were told of and fail on, with the time of the message (Unix, in
    seconds).
    """

    position: int | None = None
    failing: dict[str, float] = {}


class DaysState(msgspec.Struct, frozen=True):
    """By account: the last day that was settled one way or the other, and the days (ISO) that were
    told missing and have not come since."""

    settled: dict[str, str] = {}
    missing: dict[str, list[str]] = {}


class CredentialState(msgspec.Struct, frozen=True):
    """By account: when its credential was tried last (Unix, in seconds), and what was told of it
    while it goes on."""

    tried: dict[str, float] = {}
    told: dict[str, str] = {}


class State(msgspec.Struct, frozen=True):
    """All of a channel."""

    runs: RunsState = RunsState()
    days: DaysState = DaysState()
    credential: CredentialState = CredentialState()
    version: int = _VERSION

    @classmethod
    def of(cls, cursor: str | None) -> "State":
        """The state in a cursor; that of a beginning where there is none, or none of this form."""
        try:
            state = msgspec.json.decode(cursor or "{}", type=cls)
        except msgspec.MsgspecError:
            return cls()
        return state if state.version == _VERSION else cls()

    def cursor(self) -> str:
        """The cursor for it."""
        return msgspec.json.encode(self).decode()
