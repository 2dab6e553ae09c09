"""The guard around Dagster's UI: it rejects requests that other origins' pages make a browser send.

Dagster's webserver answers everything that reaches its port, and any page in a browser on this
machine can reach it. The guard checks the parts of a request that a page cannot forge: `Host`,
`Origin`, `Sec-Fetch-*`, and the content type of requests that need no CORS preflight. It does not
authenticate people: that takes a login in front of it.
"""

import re
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
#: Files and APIs: other sites have no reason to link to them.
_NOT_PAGES = ("/graphql", "/report_asset_", "/logs/", "/download_debug/", "/notebook", "/dagit/")

_OTHER_HOST = (
    "The Dagster UI is not served under this host name. If it is meant to be, start it with "
    "--allow-host and the name."
)
_OTHER_SITE = "A page of another site may link to pages of the Dagster UI, and do nothing else."
_CHANGING_GET = "GraphQL is asked with POST; a GET request may not carry a query."
_NOT_JSON = "The Dagster UI takes POST requests of content type application/json only."
_OTHER_METHOD = "The Dagster UI takes GET, HEAD and POST requests only."


class Guard:
    """Passes requests from its own pages and from programs on to `app`, on this machine's `port`.

    All others get 403 and one sentence. No response can be shown in a frame. `others` are the
    `name` or `name:port` of reverse proxies in front of it.
    """

    def __init__(self, app: ASGIApp, port: int, others: Iterable[str] = ()) -> None:
        self._app = app
        own = (f"{name}:{port}" for name in _LOOPBACK)
        self._hosts = {_without_default_port(host) for host in (*own, *others)}
        self._origins = {f"{way}://{host}" for way in ("http", "https") for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] != "lifespan" and (refusal := self._refusal(scope)):
            is_http = scope["type"] == "http"
            app = PlainTextResponse(refusal, 403) if is_http else WebSocketClose(1008)
        await app(scope, receive, _unframed(send))

    def _refusal(self, scope: Scope) -> str | None:
        """Why a request is rejected, or None."""
        headers, method = Headers(scope=scope), scope.get("method")
        hosts = headers.getlist("host")
        # A host name that somebody pointed at this machine (DNS rebinding).
        if len(hosts) != 1 or _without_default_port(hosts[0]) not in self._hosts:
            return _OTHER_HOST
        # Programs other than browsers send neither header.
        sites = set(headers.getlist("sec-fetch-site")) - {"same-origin", "none"}
        if (sites or set(headers.getlist("origin")) - self._origins) and not _is_link(scope):
            return _OTHER_SITE
        if method in ("GET", "HEAD"):
            # Dagster's router treats "/graphql\n" as "/graphql", hence not "==".
            asks = scope["path"].startswith("/graphql") and scope["query_string"]
            return _CHANGING_GET if asks else None
        if method == "POST":
            # A page of another origin cannot send JSON without a CORS preflight. Dagster itself
            # accepts "text/plain; application/json", which any page can send.
            types = [each.partition(";")[0] for each in headers.getlist("content-type")]
            return None if [each.strip().lower() for each in types] == _JSON else _NOT_JSON
        return None if scope["type"] == "websocket" else _OTHER_METHOD


_JSON = ["application/json"]


def _without_default_port(host: str) -> str:
    """The host without a default port: browsers leave it out, proxies may write it."""
    return re.sub(r":(80|443)$", "", host.lower())


def _is_link(scope: Scope) -> bool:
    """Whether a person followed a link to a page, in a tab and not in a frame."""
    headers = Headers(scope=scope)
    return (
        scope.get("method") in ("GET", "HEAD")
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
        and not scope["path"].startswith(_NOT_PAGES)
    )


def _unframed(send: Send) -> Send:
    async def send_unframed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Frame-Options"] = "DENY"
            # In addition to Dagster's own policy: a browser enforces both.
            headers.append("Content-Security-Policy", "frame-ancestors 'none'")
        await send(message)

    return send_unframed
