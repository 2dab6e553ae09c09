"""The guard around Dagster's UI: no web page of another origin can drive or read it.

Dagster's webserver answers whoever reaches its port, and every page in a browser on this machine
does. So the guard looks at what a browser says about a request and no page can forge: `Host`,
`Origin`, `Sec-Fetch-*`, and the content type of a request that may be sent unasked.

Belongs here: which requests are answered with 403.
Does not belong here: who may use the UI. That is a login's work, in front of this process.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harvest_pipeline.settings import SettingsError

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_NAME = re.compile(r"([a-z0-9_]([a-z0-9_.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:\d{1,5})?")
_DEFAULT_PORTS = (":80", ":443")
#: Files and interfaces: no link of another site has a reason to lead to them.
_NOT_PAGES = ("/graphql", "/report_asset_", "/logs/", "/download_debug/", "/notebook", "/dagit/")
_UNFRAMED = "frame-ancestors 'none'"

_OTHER_HOST = (
    "The Dagster UI is not served under this host name. If it is meant to be, start it with "
    "--allow-host and the name."
)
_OTHER_SITE = "A page of another site may link to pages of the Dagster UI, and do nothing else."
_CHANGING_GET = "GraphQL is asked with POST; a GET request may not carry a query."
_NOT_JSON = "The Dagster UI takes POST requests of content type application/json only."
_OTHER_METHOD = "The Dagster UI takes GET, HEAD and POST requests only."


@dataclass(frozen=True, slots=True)
class Hosts:
    """The addresses under which the UI is served, as `Host` and as `Origin` write them."""

    hosts: frozenset[str]
    origins: frozenset[str]

    @classmethod
    def on(cls, port: int, others: Iterable[str] = ()) -> "Hosts":
        """This machine at `port`, and `others`: `name` or `name:port` of proxies in front.

        Raises SettingsError for what is not a host name.
        """
        hosts, origins = set[str](), set[str]()
        for given in (*(f"{name}:{port}" for name in _LOOPBACK), *others):
            if not _NAME.fullmatch(host := given.lower()):
                raise SettingsError(
                    f"--allow-host {given!r} is not a host name; give the name that browsers show, "
                    "as dagster.example.com or dagster.example.com:8443."
                )
            if host.endswith(_DEFAULT_PORTS):
                host = host.rpartition(":")[0]
            hosts |= {host}
            origins |= {f"http://{host}", f"https://{host}"}
        # Browsers leave out the default ports; proxies may write them.
        hosts |= {host + port for host in hosts if ":" not in host for port in _DEFAULT_PORTS}
        return cls(frozenset(hosts), frozenset(origins))


class Guard:
    """An ASGI application that lets through to `app` what its own pages and programs send.

    Everything else gets 403 and one sentence. No answer can be shown in a frame.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            if self._wrong_host(headers := Headers(scope=scope)) or self._foreign(headers):
                await send({"type": "websocket.close", "code": 1008})
            else:
                await self._app(scope, receive, send)
        else:
            objection = self._objection(scope)
            app = PlainTextResponse(objection, 403) if objection else self._app
            await app(scope, receive, _unframed(send))

    def _objection(self, scope: Scope) -> str | None:
        """Why an HTTP request is refused, or None."""
        headers, method = Headers(scope=scope), scope["method"]
        if self._wrong_host(headers):
            return _OTHER_HOST
        if self._foreign(headers) and not _is_link(scope, headers):
            return _OTHER_SITE
        if method in ("GET", "HEAD"):
            # Dagster's router takes "/graphql\n" for "/graphql", hence not "==".
            carries_query = scope["path"].startswith("/graphql") and scope["query_string"]
            return _CHANGING_GET if carries_query else None
        if method == "POST":
            return None if _is_json(headers) else _NOT_JSON
        return _OTHER_METHOD

    def _wrong_host(self, headers: Headers) -> bool:
        """Whether `Host` is a name that someone else pointed at this machine (DNS rebinding)."""
        names = headers.getlist("host")
        return len(names) != 1 or names[0].lower() not in self._hosts.hosts

    def _foreign(self, headers: Headers) -> bool:
        """Whether a page of another origin sends this; programs send neither of the two headers."""
        sites = set(headers.getlist("sec-fetch-site"))
        origins = set(headers.getlist("origin"))
        return bool(sites - {"same-origin", "none"} or origins - self._hosts.origins)


def _is_link(scope: Scope, headers: Headers) -> bool:
    """Whether a person followed a link to a page, in a tab and not in a frame."""
    return (
        scope["method"] in ("GET", "HEAD")
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
        and not scope["path"].startswith(_NOT_PAGES)
    )


def _is_json(headers: Headers) -> bool:
    """Whether the body is JSON, which a page of another origin cannot send without being asked.

    Dagster is content with "text/plain; application/json", which any page can send.
    """
    types = headers.getlist("content-type")
    return len(types) == 1 and types[0].partition(";")[0].strip().lower() == "application/json"


def _unframed(send: Send) -> Send:
    async def send_unframed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Frame-Options"] = "DENY"
            # Beside Dagster's own policy: a browser obeys both.
            headers.append("Content-Security-Policy", _UNFRAMED)
        await send(message)

    return send_unframed
