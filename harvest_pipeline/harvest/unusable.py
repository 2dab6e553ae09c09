"""Finds the records that make a page unreadable, and says what is wrong with them.

A JSON reader stops at the first wrong byte. So the page is split at its brackets, quotes and
commas, which are the same bytes whatever stands between them.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from functools import cache
from itertools import pairwise
from typing import Annotated, Any

import msgspec

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.harvest.errors import RecordUnusable
from harvest_pipeline.safety.text import one_line
from harvest_pipeline.scope import Rejected

#: An invoice of 10,000 lines has about 4 MB; DuckDB accepts up to 16.
LARGEST_RECORD = 8 * 2**20
#: What fits into the warehouse's column.
RecordId = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

_TEXT = rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
#: A quote that matches alone is not closed.
_TOKEN = re.compile(_TEXT + rb'|[",{}\[\]]', re.DOTALL)
_KEY = re.compile(rb"\s*+" + _TEXT + rb"\s*+:\s*+", re.DOTALL)
_STEPS = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}
_QUOTE, _COMMA = ord('"'), ord(",")
#: Two seconds of work. A page of 2000 time entries has 300,000 texts, brackets and commas.
_MOST_TOKENS = 3_000_000
_SHOWN = 20
#: Harvest nests objects in records, and objects in these again.
_DEEPEST = 3
_TOO_DEEP = "is nested deeper than any record of Harvest"

#: A key, and the bytes of its value.
_Member = tuple[str, bytes]


class _Uncut(Exception):
    """Not even the brackets and quotes are valid JSON."""


@cache
def _head_decoder(id_key: str) -> msgspec.json.Decoder[Any]:
    fields = [("id", RecordId, msgspec.field(name=id_key))]
    return msgspec.json.Decoder(msgspec.defstruct("Head", fields))


def cut(page: bytes, record: Record, most: int) -> tuple[bytes, list[Rejected], str]:
    """The page without its unusable records; those records; and the last `updated_at` among them,
    "" if there is none.

    It is returned unchanged if it does not have the form of a page, or has more than `most`
    records. Raises RecordUnusable for a record without an id: then it is unknown whether all came.
    """
    good, bad = list[bytes](), list[bytes]()
    try:
        keys = (_KEY.match(page, first) for first in _cuts(page, _space(page), b"{"))
        name = record.envelope.encode()
        start = end = next(key.end() for key in keys if key and key[1] == name)
        for first, after in pairwise(_cuts(page, start, b"[")):
            end = after - 1
            raw = page[first:end].strip()
            if is_unusable(raw, record.id_key):
                _check_one(raw)
                bad.append(raw)
            else:
                good.append(raw)
            if len(good) + len(bad) > most:
                return page, [], ""
    except (_Uncut, StopIteration):
        return page, [], ""
    rest = page[: start + 1] + b",".join(good) + page[end:]
    members = [(raw, _members(raw)) for raw in bad]
    changed = max((_read(each, "updated_at", str) or "" for _, each in members), default="")
    return rest, [_rejected(record, raw, each) for raw, each in members], changed


def is_unusable(raw: bytes, id_key: str = "id") -> bool:
    """Whether a record cannot be read, or has no id."""
    try:
        _head_decoder(id_key).decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return True
    return len(raw) > LARGEST_RECORD or _trouble_with(raw) is not None


def _read(members: list[_Member], key: str, form: Any) -> Any:
    try:
        (value,) = [value for name, value in members if name == key]
        return msgspec.json.decode(value, type=form)
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None


def _rejected(record: Record, raw: bytes, members: list[_Member]) -> Rejected:
    """The known data about an unusable record."""
    record_id = _read(members, record.id_key, RecordId)
    if record_id is None:
        raise RecordUnusable(
            f"A record of {record.name} came without an id that can be read, and without it nobody"
            " can tell whether all have come; nothing was loaded. Harvest sends no such thing: look"
            " at HARVEST_API_URL, and for a proxy in between."
        )
    day = _read(members, record.day, date) if record.day else None
    field, reason = _fault(raw, members)
    return Rejected(record_id, day, field, reason, raw)


def _fault(raw: bytes, members: list[_Member]) -> tuple[str, str]:
    """The field that makes a record unusable, "" if it is the record as a whole, and why."""
    if len(raw) > LARGEST_RECORD:
        name, value = max(members, key=lambda member: len(member[1]))
        size = len(value) / 2**20
        return one_line(name), f"has {size:.1f} MiB, more than any of Harvest's"
    path, reason = list[str](), _trouble_with(raw) or "has another form than documented"
    for _ in range(_DEEPEST):
        for name, value in members:
            if trouble := _trouble_with(value):
                path.append(one_line(name))
                reason, members = trouble, _members(value) if trouble != _TOO_DEEP else []
                break
        else:
            break
    return ".".join(path), reason


def _trouble_with(value: bytes) -> str | None:
    try:
        value.decode()  # msgspec.Raw does not check strings
        msgspec.json.decode(value, type=msgspec.Raw)
    except UnicodeDecodeError:
        return "is not UTF-8"
    except RecursionError:
        return _TOO_DEEP
    except msgspec.DecodeError:
        if value.startswith(b'"'):
            return "is text with half a character or a wrong escape in it"
        if value.startswith(b"{"):
            return "is not JSON"
        return f"is {one_line(value[:_SHOWN].decode(errors='replace'))}, which is not JSON"
    return None


def _members(data: bytes) -> list[_Member]:
    """The keys of an object with the bytes of their values, as far as it can be split."""
    members: list[_Member] = []
    with suppress(_Uncut):
        for first, after in pairwise(_cuts(data, _space(data), b"{")):
            if key := _KEY.match(data, first):
                name = key[1].decode(errors="replace")
                members.append((name, data[key.end() : after - 1].rstrip()))
    return members


def _space(data: bytes) -> int:
    return len(data) - len(data.lstrip())


def _check_one(raw: bytes) -> None:
    """Raise _Uncut unless this is exactly one value."""
    if not raw or (raw.startswith(b"{") and [*_cuts(raw, 0, b"{")][-1] != len(raw)):
        raise _Uncut


def _cuts(data: bytes, at: int, bracket: bytes) -> Iterator[int]:
    """The positions after the opening bracket of the object or list at `at`, after each comma in
    it, and after its closing bracket."""
    depth = 0
    for number, token in enumerate(_TOKEN.finditer(data, at)):
        start = token.start()
        mark = data[start]
        if mark in _STEPS:
            depth += _STEPS[mark]
        elif mark == _QUOTE and token.end() - start == 1:
            break
        if number == 0 and (start != at or mark != ord(bracket)):
            break
        if depth == 0 or (depth == 1 and (number == 0 or mark == _COMMA)):
            yield token.end()
            if depth == 0:
                return
        if number == _MOST_TOKENS:
            break
    raise _Uncut
