"""Faults that tests inject: what shall go wrong, where and how often.

Belongs here: the kinds of fault, and choosing the one that a request meets. Does not belong here:
playing them (front.py).

Each fault applies to the requests whose path begins with `path` (without the `/v2` or `/api/v2` in
front: `/time_entries`, `/reports`, `/oauth2/token`) and that are about `account` (None: any): the
first `skip` of them pass, the next `times` meet it (None: all). A request meets at most one fault,
the oldest that applies.
"""

from typing import Any

from msgspec import Struct

from harvest_pipeline.sandbox.changes import Change


class _Fault(Struct, tag_field="kind", kw_only=True):
    path: str = "/"
    account: int | None = None
    skip: int = 0
    times: int | None = 1


class AnswerWith(_Fault, tag="answer"):
    """Another answer, e.g. a 503, a 429 without header, or a 200 with a page of HTML."""

    status: int
    body: str = ""
    headers: dict[str, str] = {}


class Reset(_Fault, tag="reset"):
    """The connection is reset before anything is answered."""


class Truncate(_Fault, tag="truncate"):
    """The connection ends after that share of the body; the length announced is the whole one."""

    share: float = 0.5


class Hang(_Fault, tag="hang"):
    """Nothing happens for so many (real) seconds; then the answer comes."""

    seconds: float


class Drip(_Fault, tag="drip"):
    """The answer comes byte by byte with a pause of so many seconds, its headers too if wanted."""

    seconds: float = 0.1
    headers: bool = False


class DropField(_Fault, tag="drop_field"):
    """A key is missing in all records of the answer; `client.name` names one inside an object."""

    field: str


class AddField(_Fault, tag="add_field"):
    """A key that nobody has heard of is in all records of the answer."""

    field: str
    value: Any = None


class ReorderFields(_Fault, tag="reorder_fields"):
    """The keys of all records come in the opposite order."""


class RetypeField(_Fault, tag="retype_field"):
    """A key has another value, of whatever type, in all records of the answer."""

    field: str
    value: Any


class SpoilRecord(_Fault, tag="spoil_record"):
    """One record of the answers, if it is there, has this value under a key, JSON or not: `NaN`.

    Each letter is a byte, so that every byte can be said.
    """

    id: int
    field: str
    raw: str


class ExpireToken(_Fault, tag="expire_token"):
    """The token of the request is good no more, from this request on."""


class Forbid(_Fault, tag="forbid"):
    """403, as if the person had not the permission."""


class ChangeAfter(_Fault, tag="change_after"):
    """The request is answered; then records change, e.g. between two pages."""

    changes: list[Change]


Fault = (
    AnswerWith
    | Reset
    | Truncate
    | Hang
    | Drip
    | DropField
    | AddField
    | ReorderFields
    | RetypeField
    | SpoilRecord
    | ExpireToken
    | Forbid
    | ChangeAfter
)


class Faults:
    """The faults that are waiting for their request."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let a fault wait."""
        self.waiting.append(fault)

    def clear(self) -> None:
        """Forget all faults."""
        self.waiting.clear()

    def meet(self, path: str, account: str) -> Fault | None:
        """The fault that a request of that path, about that account, meets; None if all goes well.

        `account` is the id as the request names it, empty where it names none.
        """
        for fault in list(self.waiting):
            if not path.startswith(fault.path):
                continue
            if fault.account is not None and str(fault.account) != account:
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self.waiting.remove(fault)
            return fault
        return None
