"""Where the tests find the reference of the Harvest API, and how they read it."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(
    os.environ.get("HARVEST_API_REFERENCE")
    or Path(__file__).resolve().parents[2] / "shared" / "harvest-api"
)


@cache
def endpoints() -> dict[str, Any]:
    """endpoints.yaml, parsed."""
    return yaml.load((FOLDER / "endpoints.yaml").read_text("utf-8"), Loader=yaml.CSafeLoader)


def endpoint(key: str) -> dict[str, Any]:
    """The endpoint of that key, e.g. `time_entries`."""
    return next(entry for entry in endpoints()["endpoints"] if entry["key"] == key)


def fields_of(record: str) -> dict[str, dict[str, Any]]:
    """The fields of a record of endpoints.yaml, e.g. `time_entry`."""
    return endpoints()["records"][record]["fields"]
