"""Faults in the content of an answer: fields that are missing, new, moved or of another type, and
values that are no JSON.

Belongs here: changing the JSON of an answer. Does not belong here: faults of the connection
(delivery.py).
"""

from decimal import Decimal
from typing import Any, cast

import msgspec
from starlette.responses import Response

from harvest_pipeline.sandbox import faults
from harvest_pipeline.sandbox.wire import encode

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_CONTENT_FAULTS = (
    faults.DropField,
    faults.AddField,
    faults.ReorderFields,
    faults.RetypeField,
    faults.SpoilRecord,
)
#: Stands for what is no JSON until the answer is bytes.
_PLACE = "the place of the spoilt value"


def spoil(response: Response, fault: faults.Fault | None) -> None:
    """Change the records of an answer as the fault says; errors stay as they are."""
    if not isinstance(fault, _CONTENT_FAULTS) or response.status_code != 200:
        return
    answer = cast("dict[str, Any]", _DECODER.decode(response.body))
    lists = [key for key, value in answer.items() if isinstance(value, list)]
    if lists:
        answer[lists[0]] = [_spoilt(record, fault) for record in answer[lists[0]]]
    else:
        answer = _spoilt(answer, fault)
    response.body = encode(answer)
    if isinstance(fault, faults.SpoilRecord):
        response.body = response.body.replace(encode(_PLACE), fault.raw.encode("latin-1"))
    response.headers["Content-Length"] = str(len(response.body))


def _spoilt(record: dict[str, Any], fault: faults.Fault) -> dict[str, Any]:
    match fault:
        case faults.ReorderFields():
            return dict(reversed(record.items()))
        case faults.AddField():
            holder, name = _holder(record, fault.field)
            holder[name] = fault.value
        case faults.RetypeField():
            holder, name = _holder(record, fault.field)
            if name in holder:
                holder[name] = fault.value
        case faults.SpoilRecord():
            if record.get("id") == fault.id:
                holder, name = _holder(record, fault.field)
                holder[name] = _PLACE
        case faults.DropField():
            holder, name = _holder(record, fault.field)
            holder.pop(name, None)
        case _:
            pass
    return record


def _holder(record: dict[str, Any], field: str) -> tuple[dict[str, Any], str]:
    """The object that holds a field such as `client.name`, and the field's own name.

    An empty object stands for one that the record does not have.
    """
    *path, name = field.split(".")
    holder = record
    for step in path:
        holder = cast("dict[str, Any]", holder.get(step) or {})
    return holder, name
