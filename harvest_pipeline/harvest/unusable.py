"""Finds the records that keep a page from being read, and says what of them is unusable.

A JSON reader stops at the first byte that is wrong. So the page is cut at its brackets and quotes,
which are the same bytes whatever stands between them.
"""

import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any

import msgspec

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.harvest.errors import RecordUnusable, one_line
from harvest_pipeline.scope import Rejected

#: An invoice of 10,000 lines has about 4 MB; DuckDB takes up to 16.
LARGEST_RECORD = 8 * 2**20
#: What fits into the warehouse's column.
RecordId = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
#: A quote that matches alone has no end.
_TOKEN = re.compile(_STRING + rb'|["{}\[\]]', re.DOTALL)
_TEXT = re.compile(_STRING, re.DOTALL)
_PLAIN = re.compile(rb'[^\s,\[\]{}"]++')
_KEY = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"\s*+:\s*+', re.DOTALL)
_COMMA = re.compile(rb"\s*+,\s*+")
_SPACE = re.compile(rb"\s*+")
#: Two seconds of work. A page of 2000 time entries has 200,000 quoted texts and brackets.
_MOST_TOKENS = 5_000_000
_SHOWN = 20
#: Harvest has objects in records, and in the elements of their lists.
_DEEPEST = 3
_TOO_DEEP = "is nested deeper than any record of Harvest"


#: A key, and the bytes of its value.
_Member = tuple[str, bytes]


class _Uncut(Exception):
    """Not even the brackets and quotes are those of JSON."""


class _Head(msgspec.Struct):
    id: RecordId


_head_decoder = msgspec.json.Decoder(_Head)


def cut(page: bytes, record: Record, most: int) -> tuple[bytes, list[Rejected], str]:
    """The page without the records in it that cannot be used, these, and the last `updated_at` of
    theirs, "" if there is none.

    There are none if it has not the form of a page, or more than `most` records. Raises
    RecordUnusable for a record without an id: then nobody can tell whether all have come.
    """
    good, bad = list[bytes](), list[bytes]()
    try:
        start = end = _value_of(page, record.envelope)
        for raw, after in _elements(page, start):
            end = after
            (bad if is_unusable(raw) else good).append(raw)
            if len(good) + len(bad) > most:
                return page, [], ""
    except _Uncut:
        return page, [], ""
    # What stands between the last record and the end of the list is white space.
    rest = page[: start + 1] + b",".join(good) + page[end:]
    members = [(raw, _members(raw)) for raw in bad]
    changed = max((_read(each, "updated_at", str) or "" for _, each in members), default="")
    return rest, [_rejected(record, raw, each) for raw, each in members], changed


def is_unusable(raw: bytes) -> bool:
    """Whether a record cannot be read, or has no id."""
    try:
        _head_decoder.decode(raw)
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
    """What is known of a record that cannot be used."""
    record_id = _read(members, "id", RecordId)
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
        value.decode()  # msgspec.Raw does not look into strings
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
    """The keys of an object with the bytes of their values, as far as it can be cut."""
    members: list[_Member] = []
    try:
        for key, at in _keys(data):
            members.append((key, data[at : _end(data, at)]))
    except _Uncut:
        pass
    return members


def _value_of(data: bytes, key: str) -> int:
    """Where the value of a key of the object begins."""
    for name, at in _keys(data):
        if name == key:
            return at
    raise _Uncut


def _keys(data: bytes) -> Iterator[tuple[str, int]]:
    """The keys of the object at the beginning, and where their values begin."""
    at = _opened(data, 0, b"{")
    while key := _KEY.match(data, at):
        yield key[1].decode(errors="replace"), key.end()
        if (comma := _COMMA.match(data, _end(data, key.end()))) is None:
            return
        at = comma.end()


def _elements(data: bytes, at: int) -> Iterator[tuple[bytes, int]]:
    """The elements of the list that begins there, each with where the next one, or the end of the
    list, is."""
    at = _opened(data, at, b"[")
    while data[at : at + 1] != b"]":
        start, at = at, _end(data, at)
        element, at = data[start:at], _space_after(data, at)
        if data[at : at + 1] == b",":
            at = _space_after(data, at + 1)
        elif data[at : at + 1] != b"]":
            raise _Uncut
        yield element, at


def _end(data: bytes, at: int) -> int:
    """Where the value that begins there ends."""
    if data[at : at + 1] not in (b"{", b"["):
        value = _TEXT.match(data, at) or _PLAIN.match(data, at)
        if value is None:
            raise _Uncut
        return value.end()
    depth = 0
    for number, token in enumerate(_TOKEN.finditer(data, at)):
        mark = data[token.start()]
        if mark in b"{[":
            depth += 1
        elif mark in b"}]":
            depth -= 1
            if depth == 0:
                return token.end()
        elif token.end() - token.start() == 1:
            break
        if number == _MOST_TOKENS:
            break
    raise _Uncut


def _opened(data: bytes, at: int, bracket: bytes) -> int:
    at = _space_after(data, at)
    if data[at : at + 1] != bracket:
        raise _Uncut
    return _space_after(data, at + 1)


def _space_after(data: bytes, at: int) -> int:
    space = _SPACE.match(data, at)
    return space.end() if space else at
