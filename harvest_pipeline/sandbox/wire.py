"""Records as JSON.

Belongs here: writing structs with exact decimals, and leaving hidden keys out. Does not belong
here: deciding what is hidden (permissions.py).
"""

from collections.abc import Collection
from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast

import msgspec

_ENCODER = msgspec.json.Encoder(decimal_format="number")
#: Types that stay as they are when a record becomes a dict.
KEPT = (Decimal, date, datetime)


def encode(value: Any) -> bytes:
    """JSON in the key order of the structs; decimals as numbers, digit for digit."""
    return _ENCODER.encode(value)


def without(hidden: Collection[str], record: Any) -> Any:
    """The record without these keys, in objects inside it either; itself if nothing is hidden."""
    if not hidden:
        return record
    return _strip(msgspec.to_builtins(record, builtin_types=KEPT), hidden)


def _strip(value: Any, hidden: Collection[str]) -> Any:
    if isinstance(value, dict):
        parts = cast("dict[str, Any]", value)
        return {key: _strip(part, hidden) for key, part in parts.items() if key not in hidden}
    return value
