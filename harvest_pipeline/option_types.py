"""How a parameter of a run may be written: a day, an instant, ids, a status.

Belongs here: the types of single values with what they accept, for pydantic and for a JSON schema.
Does not belong here: the parameters (options.py).
"""

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from harvest_pipeline.text import shown

#: Ten years: more is a slip of the keyboard.
_MOST_DAYS = 3660
_MOST_IDS = 1000
_RELATIVE = re.compile(r"(\d{1,4})(?:\s+days?\s+(?:back|ago))?")


def _day(value: object) -> object:
    """A day, or a number of days back; ValueError for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_DAYS:
        return value
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    text = str(value).strip().lower()
    if text in ("today", "yesterday"):
        return 0 if text == "today" else 1
    if (relative := _RELATIVE.fullmatch(text)) and int(relative[1]) <= _MOST_DAYS:
        return int(relative[1])
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{shown(str(value))} is no day; write 2026-11-02, today, yesterday, or 10 days back"
        ) from None


def _instant(value: object) -> object:
    """A day or an instant; ValueError for anything else."""
    if isinstance(value, date):  # datetime too
        return value
    text = str(value).strip()
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{shown(text)} is no instant; write 2026-11-02, or 2026-11-02T14:30:00Z"
        ) from None


def _ids(value: object) -> object:
    """Ids from a list, or from text with commas; ascending, each once."""
    parts: Sequence[object] = (
        list(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        if isinstance(value, list | tuple)
        else str(value).split(",")
        if value is not None
        else []
    )
    texts = [str(part).strip() for part in parts]
    for text in texts:
        if text and not re.fullmatch(r"0*[1-9][0-9]{0,17}", text, re.ASCII):
            raise ValueError(f"{shown(text)} is no id; ids are numbers such as 14307913")
    ids = sorted({int(text) for text in texts if text})
    if len(ids) > _MOST_IDS:
        raise ValueError(f"these are {len(ids)} ids; {_MOST_IDS} are the most")
    return tuple(ids)


def _status(value: object) -> object:
    return None if str(value).strip().lower() in ("", "none") else str(value).strip().lower()


Day = Annotated[
    date | int,
    BeforeValidator(_day),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": _MOST_DAYS},
                {"type": "string", "examples": ["2026-11-02", "10 days back", "yesterday"]},
            ]
        }
    ),
]
Instant = Annotated[
    datetime | date,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "examples": ["2026-11-02", "2026-11-02T14:30:00Z"]}),
]
Ids = Annotated[
    tuple[int, ...],
    BeforeValidator(_ids),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "integer", "minimum": 1}},
                {"type": "integer", "minimum": 1},
                {"type": "string", "examples": ["14307913, 14308069"]},
            ]
        }
    ),
]
Status = Annotated[
    Literal["draft", "open", "paid", "closed"] | None,
    BeforeValidator(_status),
    WithJsonSchema({"enum": ["none", "draft", "open", "paid", "closed"]}),
]
DaysBack = Annotated[int, Field(ge=0, le=_MOST_DAYS, strict=True)]
