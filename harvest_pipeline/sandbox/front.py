"""The outermost layer: headers, compression, faults and the log (REFERENCE 1).

Belongs here: what happens to every answer on its way out. Does not belong here: answering.
"""

import gzip
import time
from email.utils import format_datetime
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harvest_pipeline.sandbox import faults
from harvest_pipeline.sandbox.delivery import drip, reset, truncate, wait
from harvest_pipeline.sandbox.errors import JSON, ApiError, forbidden, status_line
from harvest_pipeline.sandbox.log import LoggedRequest
from harvest_pipeline.sandbox.spoiling import spoil
from harvest_pipeline.sandbox.world import World, token_of

#: Bodies below this many bytes are not worth compressing.
_SMALL = 500
#: Headers of recorded answers that say nothing about the answer.
_DECORATION = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "X-App-Server": "sandbox",
    "X-Server": "sandbox",
}


class Front:
    """Wraps the application of a sandbox. Doors meet no faults and are not logged."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        door = request.url.path.startswith("/sandbox")
        fault = None if door else self._fault(request)
        started = time.perf_counter()
        await request.body()
        if isinstance(fault, faults.Hang):
            await wait(receive, fault.seconds)
        if isinstance(fault, faults.ExpireToken):
            self._world.tokens.expire(token_of(request))
        response = await self._response(fault, request)
        response.headers["X-Runtime"] = f"{time.perf_counter() - started:.6f}"
        if isinstance(fault, faults.ChangeAfter):
            # before the answer is sent: the client's next request must see them
            for change in fault.changes:
                self._world.account.apply(change)
        if not door:
            status = None if isinstance(fault, faults.Reset) else response.status_code
            self._log(request, status, time.perf_counter() - started)
        match fault:
            case faults.Reset():
                await reset(scope, receive)
            case faults.Truncate():
                await truncate(scope, receive, response, fault.share)
            case faults.Drip():
                await drip(scope, receive, response, fault.seconds, with_headers=fault.headers)
            case _:
                await response(scope, receive, send)

    def _fault(self, request: Request) -> faults.Fault | None:
        account = request.headers.get("harvest-account-id", "")
        return self._world.faults.meet(_bare(request.url.path), account)

    async def _response(self, fault: faults.Fault | None, request: Request) -> Response:
        """The answer with all its headers, changed as the fault says, compressed if asked for."""
        match fault:
            case faults.AnswerWith():
                response = Response(fault.body, fault.status, fault.headers, media_type=JSON)
            case faults.Forbid():
                response = response_of(forbidden())
            case _:
                response = await self._inner(request)
                spoil(response, fault)
        self._decorate(response)
        if "gzip" in request.headers.get("accept-encoding", ""):
            _compress(response)
        return response

    async def _inner(self, request: Request) -> Response:
        """What the application answers, as one piece; the request's body has been read already."""
        response = Response()
        asked, body = await request.body(), list[bytes]()

        async def replay() -> Message:
            return {"type": "http.request", "body": asked, "more_body": False}

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                response.status_code = message["status"]
                response.raw_headers = list(message["headers"])
            else:
                body.append(message.get("body", b""))

        await self._app(request.scope, replay, collect)
        response.body = b"".join(body)
        return response

    def _decorate(self, response: Response) -> None:
        now = self._world.clock.now()
        response.headers["Date"] = format_datetime(now, usegmt=True)
        response.headers["Status"] = status_line(response.status_code)
        response.headers["X-Request-Id"] = f"sandbox-{len(self._world.request_log.requests) + 1}"
        response.headers.setdefault("Cache-Control", "no-cache, no-store")
        for name, text in _DECORATION.items():
            response.headers[name] = text

    def _log(self, request: Request, status: int | None, seconds: float) -> None:
        shown = [(n, t) for n, t in request.query_params.multi_items() if n != "access_token"]
        self._world.request_log.requests.append(
            LoggedRequest(
                request.method,
                request.url.path,
                urlencode(shown),
                status,
                self._world.clock.now(),
                seconds,
                request.headers.get("user-agent", ""),
            )
        )


def response_of(error: ApiError) -> Response:
    """An error as an answer."""
    return Response(error.body, error.status, error.headers)


def _compress(response: Response) -> None:
    response.headers["Vary"] = "Accept-Encoding"
    if len(response.body) >= _SMALL and "Content-Encoding" not in response.headers:
        response.body = gzip.compress(bytes(response.body), compresslevel=1)
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Content-Length"] = str(len(response.body))


def _bare(path: str) -> str:
    """The path without the `/v2` or `/api/v2` in front."""
    return path.removeprefix("/api").removeprefix("/v2")
