"""What the tests know of the Harvest API; README.md says where it comes from."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml


def _read(name: str) -> Any:
    text = Path(__file__).with_name(name).read_text("utf-8")
    return yaml.load(text, Loader=yaml.CSafeLoader)


@cache
def endpoints() -> dict[str, Any]:
    """endpoints.yaml, parsed."""
    return _read("endpoints.yaml")


@cache
def lookups() -> dict[str, list[dict[str, str]]]:
    """The time zones and currencies of Harvest."""
    return _read("lookups.yaml")


@cache
def parameters() -> dict[str, dict[str, str]]:
    """Which parameters apply to each of the 18 reports, by the report's title."""
    return {line["report"]: line for line in _read("parameters.yaml")}


def endpoint(key: str) -> dict[str, Any]:
    """The endpoint of that key, e.g. `time_entries`."""
    return next(entry for entry in endpoints()["endpoints"] if entry["key"] == key)


def fields_of(record: str) -> dict[str, dict[str, Any]]:
    """The fields of a record of endpoints.yaml, e.g. `time_entry`."""
    return endpoints()["records"][record]["fields"]
