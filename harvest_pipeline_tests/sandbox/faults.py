"""Faults that tests inject: what goes wrong, where and how often, and how it is played.

Each fault applies to the requests whose path begins with `path` (without the `/v2` or `/api/v2` in
front: `/time_entries`, `/reports`, `/oauth2/token`) and that are about `account` (None: any): the
first `skip` of them pass, the next `times` meet it (None: all). A request meets at most one fault,
the oldest that applies.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from harvest_pipeline.sandbox.answers import JSON, encode, forbidden, status_line
from harvest_pipeline.sandbox.app import Answer, response_of
from harvest_pipeline.sandbox.world import World, token_of

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
#: Stands for what is not JSON until the answer is bytes.
_PLACE = "the place of the spoilt value"


@dataclass
class Fault:
    """What all faults have; by itself it changes nothing."""

    _: KW_ONLY
    path: str = "/"
    account: int | None = None
    skip: int = 0
    times: int | None = 1

    async def play(self, request: Request, answer: Answer, world: World) -> Response:
        """What the request is answered with."""
        return await answer(request)


@dataclass
class AnswerWith(Fault):
    """Another answer, e.g. a 503, a 429 without header, or a 200 with a page of HTML."""

    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    async def play(self, request: Request, answer: Answer, world: World) -> Response:
        return Response(self.body, self.status, self.headers, media_type=JSON)


@dataclass
class Forbid(Fault):
    """403, as if the person had not the permission."""

    async def play(self, request: Request, answer: Answer, world: World) -> Response:
        return response_of(forbidden())


@dataclass
class ExpireToken(Fault):
    """The token of the request is not valid any more, from this request on."""

    async def play(self, request: Request, answer: Answer, world: World) -> Response:
        world.tokens.expire(token_of(request))
        return await answer(request)


@dataclass
class ChangeAfter(Fault):
    """The request is answered; then something changes, e.g. records between two pages."""

    change: Callable[[], object]

    async def play(self, request: Request, answer: Answer, world: World) -> Response:
        response = await answer(request)
        # before the answer is sent: the client's next request must see it
        self.change()
        return response


@dataclass
class Hang(Fault):
    """Nothing happens for so many (real) seconds, or until the client has gone; then the answer."""

    seconds: float

    async def play(self, request: Request, answer: Answer, world: World) -> Response:
        with suppress(TimeoutError):
            await asyncio.wait_for(_disconnected(request.receive), self.seconds)
        return await answer(request)


@dataclass
class Reset(Fault):
    """The connection is reset before anything is answered."""

    async def play(self, request: Request, answer: Answer, world: World) -> Response:
        await answer(request)
        return _Reset(status_code=0)


@dataclass
class Truncate(Fault):
    """The connection ends after that share of the body; the length announced is the whole one."""

    share: float = 0.5

    async def play(self, request: Request, answer: Answer, world: World) -> Response:
        return _delivered(_Truncated, await answer(request), self)


@dataclass
class Drip(Fault):
    """The answer comes byte by byte with a pause of so many seconds, its headers too if wanted."""

    seconds: float = 0.1
    headers: bool = False

    async def play(self, request: Request, answer: Answer, world: World) -> Response:
        return _delivered(_Dripping, await answer(request), self)


@dataclass
class _Spoil(Fault):
    """Changes each record of an answer, in place; errors stay as they are."""

    def spoil(self, record: dict[str, Any]) -> None:
        raise NotImplementedError

    async def play(self, request: Request, answer: Answer, world: World) -> Response:
        response = await answer(request)
        if response.status_code == 200:
            content = _DECODER.decode(response.body)
            lists = [value for value in content.values() if isinstance(value, list)]
            for record in lists[0] if lists else [content]:
                self.spoil(record)
            response.body = self.written(encode(content))
            response.headers["Content-Length"] = str(len(response.body))
        return response

    def written(self, body: bytes) -> bytes:
        return body


@dataclass
class DropField(_Spoil):
    """A key is missing in all records of the answer; `client.name` names one inside an object."""

    field: str

    def spoil(self, record: dict[str, Any]) -> None:
        holder, name = _holder(record, self.field)
        holder.pop(name, None)


@dataclass
class AddField(_Spoil):
    """A key that nobody has heard of is in all records of the answer."""

    field: str
    value: Any = None

    def spoil(self, record: dict[str, Any]) -> None:
        holder, name = _holder(record, self.field)
        holder[name] = self.value


@dataclass
class ReorderFields(_Spoil):
    """The keys of all records come in the opposite order."""

    def spoil(self, record: dict[str, Any]) -> None:
        for name, value in reversed(list(record.items())):
            del record[name]
            record[name] = value


@dataclass
class RetypeField(_Spoil):
    """A key has another value, of whatever type, in all records of the answer that have it."""

    field: str
    value: Any

    def spoil(self, record: dict[str, Any]) -> None:
        holder, name = _holder(record, self.field)
        if name in holder:
            holder[name] = self.value


@dataclass
class SpoilRecord(_Spoil):
    """One record of the answers, if it is there, has this value under a key, JSON or not: `NaN`.

    Each letter is a byte, so that every byte can be given.
    """

    id: int
    field: str
    raw: str

    def spoil(self, record: dict[str, Any]) -> None:
        if record.get("id") == self.id:
            holder, name = _holder(record, self.field)
            holder[name] = _PLACE

    def written(self, body: bytes) -> bytes:
        return body.replace(encode(_PLACE), self.raw.encode("latin-1"))


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


class _Reset(Response):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = _transport(receive)
        connection = transport.get_extra_info("socket")
        # lingering for zero seconds makes closing a reset
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        await _disconnected(receive)


class _Truncated(Response):
    fault: Truncate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport, body = _transport(receive), bytes(self.body)
        transport.write(_head(self) + body[: int(len(body) * self.fault.share)])
        transport.close()
        await _disconnected(receive)


class _Dripping(Response):
    fault: Drip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = _transport(receive)
        head, slowly = _head(self), bytes(self.body)
        if self.fault.headers:
            slowly = head + slowly
        else:
            transport.write(head)
        for byte in slowly:
            if transport.is_closing():
                break
            transport.write(bytes((byte,)))
            await asyncio.sleep(self.fault.seconds)
        transport.close()
        await _disconnected(receive)


def _delivered(kind: Any, response: Response, fault: Fault) -> Response:
    """The same answer, sent in another way."""
    made = kind(response.body, response.status_code)
    made.raw_headers = response.raw_headers
    made.fault = fault
    return made


def _transport(receive: Receive) -> asyncio.Transport:
    """The connection itself: a web server does not do such things, so they go past it."""
    return receive.__self__.transport  # type: ignore[attr-defined] - of uvicorn's request


def _head(response: Response) -> bytes:
    """Status line and headers."""
    lines = [f"HTTP/1.1 {status_line(response.status_code)}".encode()]
    lines += [name + b": " + text for name, text in response.raw_headers]
    return b"\r\n".join([*lines, b"Connection: close", b"", b""])


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _holder(record: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
    """The object that holds a field such as `client.name`, and the field's own name.

    An empty object stands for one that the record does not have.
    """
    *path, last = name.split(".")
    for step in path:
        record = record.get(step) or {}
    return record, last
