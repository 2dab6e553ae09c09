"""What a tick leaves to the next one: Dagster keeps it as text, the sensor's cursor.

Belongs here: its form, and reading one that is not ours.
Does not belong here: what follows from it (looking.py, judging.py).
"""

from datetime import datetime

import msgspec

#: Of the form below. Another one is not read but begun anew.
VERSION = 1


class Tried(msgspec.Struct, frozen=True):
    """How often a run was requested for a day (or for a whole record), and what for.

    `at` is when, by Dagster's clock, the last request or the last sight of its run. `newest` is the
    latest change that was outstanding then: a later one counts anew.
    """

    times: int
    at: datetime
    newest: datetime


class Seen(msgspec.Struct, frozen=True):
    """How far the changes of a record are in the warehouse: every one before `since`, by Harvest's
    clock. `tried` is by day (2026-11-02), "" for the whole record."""

    since: datetime
    tried: dict[str, Tried] = {}


class Cursor(msgspec.Struct, frozen=True):
    """What is known of each record, and `load`, the latest load that the ledger had then: without
    it the warehouse is another one, or was restored, and what is known of it is worth nothing."""

    load: str
    records: dict[str, Seen]
    version: int = VERSION


class _Version(msgspec.Struct):
    version: int


def written(cursor: Cursor) -> str:
    """The cursor as JSON."""
    return msgspec.json.encode(cursor).decode()


def read(text: str | None) -> tuple[Cursor | None, str | None]:
    """The cursor in `text`, and half a sentence why there is none although there is text."""
    if not text:
        return None, None
    try:
        version = msgspec.json.decode(text, type=_Version).version
        if version != VERSION:
            return None, f"the cursor is of version {version}, not {VERSION}"
        return msgspec.json.decode(text, type=Cursor), None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None, "the cursor is not one of this sensor"
