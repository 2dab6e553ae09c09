"""The query parameters that narrow a list (REFERENCE 13, endpoint files).

Belongs here: reading a parameter and turning it into a test of a record. A parameter with a value
that is none is answered with 422; unknown parameters are nobody's business (REFERENCE 15).
Does not belong here: which list takes which parameter (lists.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from harvest_pipeline.sandbox.errors import unprocessable

Test = Callable[[Any], bool]
Value = Callable[[Any], Any]


@dataclass(frozen=True)
class Filter:
    """One parameter: its name, and the test that a text of it stands for."""

    name: str
    test: Callable[[str], Test]


def by_id(name: str, value: Value) -> Filter:
    """One whole number."""

    def test(text: str) -> Test:
        wanted = whole_number(name, text)
        return lambda record: value(record) == wanted

    return Filter(name, test)


def by_member(name: str, values: Callable[[Any], set[int]]) -> Filter:
    """One whole number, which must be among several of the record."""

    def test(text: str) -> Test:
        wanted = whole_number(name, text)
        return lambda record: wanted in values(record)

    return Filter(name, test)


def by_flag(name: str, value: Value) -> Filter:
    """`true` or `false`."""

    def test(text: str) -> Test:
        wanted = truth_of(name, text)
        return lambda record: value(record) == wanted

    return Filter(name, test)


def by_choice(name: str, choices: tuple[str, ...], value: Value) -> Filter:
    """One word of several."""

    def test(text: str) -> Test:
        if text not in choices:
            raise unprocessable(f"{name} must be one of {', '.join(choices)}")
        return lambda record: value(record) == text

    return Filter(name, test)


def by_text(name: str, value: Value) -> Filter:
    """Any text."""
    return Filter(name, lambda text: lambda record: value(record) == text)


def _since(text: str) -> Test:
    instant = instant_of("updated_since", text)
    return lambda record: record.updated_at >= instant


#: The filter of nearly every list; an equal `updated_at` counts (REFERENCE 15).
UPDATED_SINCE = Filter("updated_since", _since)


def tests(query: Mapping[str, str], filters: tuple[Filter, ...]) -> list[Test]:
    """The tests that a record must all pass. Raises ApiError 422 for a value that is none."""
    return [f.test(query[f.name]) for f in filters if query.get(f.name, "") != ""]


def day_of(query: Mapping[str, str], name: str) -> date | None:
    """The day in a parameter, as YYYY-MM-DD or YYYYMMDD; None if there is none."""
    text = query.get(name, "")
    if not text:
        return None
    form = "%Y%m%d" if text.isdigit() else "%Y-%m-%d"
    try:
        return datetime.strptime(text, form).date()
    except ValueError as error:
        raise unprocessable(f"{name} is not a valid date") from error


def instant_of(name: str, text: str) -> datetime:
    """The instant in a text; without an offset it is UTC."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise unprocessable(f"{name} is not a valid date and time") from error
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def truth_of(name: str, text: str) -> bool:
    """`true` or `false`, in capitals too."""
    if text.lower() not in ("true", "false"):
        raise unprocessable(f"{name} must be true or false")
    return text.lower() == "true"


def whole_number(name: str, text: str) -> int:
    """The number of at most 18 digits in a parameter. Raises ApiError 422 for anything else."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise unprocessable(f"{name} must be a whole number")
    return int(text)
