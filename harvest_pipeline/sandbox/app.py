"""The web application: its routes, and the processing of every response."""

import gzip
import time
from collections.abc import Awaitable, Callable
from email.utils import format_datetime
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harvest_pipeline.sandbox.answers import ApiError, no_such_page, status_line
from harvest_pipeline.sandbox.api import Api
from harvest_pipeline.sandbox.identity import Identity
from harvest_pipeline.sandbox.world import LoggedRequest, World

Answer = Callable[[Request], Awaitable[Response]]
#: Gets every request and a function that responds to it; what it returns gets the headers of real
#: responses, is compressed if requested, logged, and then called to send itself.
Middleware = Callable[[Request, Answer], Awaitable[Response]]

#: Bodies below this many bytes are not worth compressing.
_SMALL = 500
#: Headers of real responses that say nothing about the response.
_DECORATION = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "X-App-Server": "sandbox",
    "X-Server": "sandbox",
}


def create_app(world: World, middleware: Middleware | None = None) -> ASGIApp:
    """The ASGI application: API and identity host on one port. Unknown paths are HTML 404s."""
    api = Api(world)
    app = Starlette(
        routes=[*Identity(world).routes(), *api.routes("/v2"), *api.routes("/api/v2")],
        exception_handlers={ApiError: _error, 404: _no_such_page, 405: _no_such_page},
    )
    app.router.redirect_slashes = False
    return _Front(app, world, middleware)


def response_of(error: ApiError) -> Response:
    """An error as a response."""
    return Response(error.body, error.status, error.headers)


async def _error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return response_of(error)


async def _no_such_page(request: Request, error: Exception) -> Response:
    return response_of(no_such_page())


class _Front:
    """Wraps the application: middleware, headers, compression and the log of requests."""

    def __init__(self, app: ASGIApp, world: World, middleware: Middleware | None) -> None:
        self._app = app
        self._world = world
        self._middleware = middleware

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        started = time.perf_counter()
        await request.body()
        if self._middleware is None:
            response = await self._inner(request)
        else:
            response = await self._middleware(request, self._inner)
        seconds = time.perf_counter() - started
        self._decorate(response, seconds)
        if "gzip" in request.headers.get("accept-encoding", ""):
            _compress(response)
        self._log(request, response.status_code, seconds)
        await response(scope, receive, send)

    async def _inner(self, request: Request) -> Response:
        """The application's response as a whole; the request's body has been read already."""
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

    def _decorate(self, response: Response, seconds: float) -> None:
        now = self._world.clock.now()
        response.headers["Date"] = format_datetime(now, usegmt=True)
        response.headers["Status"] = status_line(response.status_code)
        response.headers["X-Request-Id"] = f"sandbox-{len(self._world.request_log.requests) + 1}"
        response.headers["X-Runtime"] = f"{seconds:.6f}"
        response.headers.setdefault("Cache-Control", "no-cache, no-store")
        for name, text in _DECORATION.items():
            response.headers[name] = text

    def _log(self, request: Request, status: int, seconds: float) -> None:
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


def _compress(response: Response) -> None:
    response.headers["Vary"] = "Accept-Encoding"
    if len(response.body) >= _SMALL and "Content-Encoding" not in response.headers:
        response.body = gzip.compress(bytes(response.body), compresslevel=1)
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Content-Length"] = str(len(response.body))
