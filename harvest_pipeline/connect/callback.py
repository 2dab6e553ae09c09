"""The address on this machine to which Harvest sends the browser back (RFC 8252, 7.3).

Belongs here: listening on 127.0.0.1 for one redirect, and the page that the browser then shows.
Does not belong here: what the redirect says, and whether it is genuine (harvest/oauth.py).
"""

import os
import socketserver
import threading
from base64 import b64encode
from collections.abc import Generator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from html import escape
from http.server import BaseHTTPRequestHandler
from socket import socket
from types import TracebackType
from typing import Any, Self

import click

from harvest_pipeline.harvest.errors import (
    AuthorizationInvalid,
    AuthorizationRefused,
    HarvestError,
)
from harvest_pipeline.settings import SettingsError

_HOST = "127.0.0.1"
_PATH = "/callback"
#: How long the person has in the browser.
LIMIT_SECONDS = 300.0
#: A connection that says nothing for so long is closed; others are served meanwhile.
_SILENCE_SECONDS = 10.0
#: How long is waited for the browser to take its page, before the process may end.
_DELIVERY_SECONDS = 5.0

_STYLE = "body{font:1.1rem/1.5 sans-serif;max-width:36rem;margin:5rem auto;padding:0 1rem}"
_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Connection": "close",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Page:
    """What the browser shows. Its words are ours: nothing of a request is ever in it."""

    status: int
    title: str
    text: str

    def encoded(self) -> bytes:
        """The page as HTML."""
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f"<title>{escape(self.title)} - harvest-pipeline</title><style>{_STYLE}</style></head>"
            f"<body><h1>{escape(self.title)}</h1><p>{escape(self.text)}</p></body></html>\n"
        ).encode()


_ELSEWHERE = Page(404, "Nothing here", "This program only waits for Harvest's answer.")
_WRONG_HOST = Page(400, "Wrong address", f"This program answers to {_HOST} only.")
_MALFORMED = Page(400, "Not understood", "This program only waits for Harvest's answer.")
_TOO_LATE = Page(409, "Too late", "Harvest's answer is here already; look into the terminal.")
_IN_TERMINAL = Page(200, "One more step", "Harvest agreed. Go back to the terminal to finish.")
_REFUSED = Page(400, "Not connected", "Harvest gave no access. The terminal says what to do.")
_DONE = Page(200, "Connected", "The account is connected. You can close this window.")


class Redirect:
    """The redirect that came; the browser waits until it gets a page."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._page: Future[Page] = Future()
        self._delivered = threading.Event()

    def answer(self, page: Page) -> None:
        """Show `page`, unless one has been shown; returns when the browser has it."""
        with suppress(InvalidStateError):
            self._page.set_result(page)
        self._delivered.wait(_DELIVERY_SECONDS)

    def go_on_in_terminal(self) -> None:
        """Let the browser wait no longer, since the person is needed elsewhere."""
        self.answer(_IN_TERMINAL)

    @contextmanager
    def page(self) -> Generator[Page]:
        """The page, once there is one; the block delivers it."""
        try:
            yield self._page.result()
        finally:
            self._delivered.set()


class Callback:
    """Listens on 127.0.0.1 from its making to its first redirect, or the end of the block.

    `address` is the redirect URL to register with Harvest. Raises SettingsError.
    """

    def __init__(self, port: int) -> None:
        self.address = address_of(port)
        try:
            self._server = _Server(port)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "there is no such port"
            raise SettingsError(
                f"Port {port} of this machine cannot be used for Harvest's answer ({reason}): "
                f"choose another with --port, and register {address_of('<port>')} as the redirect "
                "URL of your OAuth 2 application."
            ) from None
        # serve_forever looks that often whether it shall end.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="callback", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening; a redirect that has come still gets its page."""
        self._server.shutdown()
        self._server.server_close()

    @contextmanager
    def redirect(self, seconds: float) -> Generator[Redirect]:
        """The first redirect, at most `seconds` from now; after it nobody listens any more.

        The browser is told "connected" at the end of the block, or what the block raises.
        Raises AuthorizationInvalid if no redirect comes.
        """
        try:
            redirect = self._server.first.result(seconds)
        except TimeoutError:
            raise AuthorizationInvalid(
                f"Harvest did not send the browser back to {self.address} within "
                f"{seconds / 60:g} minutes: run the command again. If Harvest's page showed an "
                "error, compare that address and the client id with the application there."
            ) from None
        finally:
            self.close()
        page = Page(400, "Not connected", "Nothing was stored; the terminal says why.")
        try:
            yield redirect
            page = _DONE
        except AuthorizationRefused:  # its sentence repeats what the redirect said
            page = _REFUSED
            raise
        except (HarvestError, click.ClickException) as error:
            page = replace(page, text=str(error))
            raise
        finally:
            redirect.answer(page)


def address_of(port: int | str) -> str:
    """The redirect URL at that port."""
    return f"http://{_HOST}:{port}{_PATH}"


class _Server(socketserver.ThreadingTCPServer):
    """A thread a connection, so that a silent one holds up no other."""

    # On Windows the option would let another program take the same port.
    allow_reuse_address = os.name == "posix"
    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int) -> None:
        super().__init__((_HOST, port), _Handler)
        self.first: Future[Redirect] = Future()
        self.hosts = [f"{_HOST}:{port}"], [f"localhost:{port}"]

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """Say nothing: a browser that leaves before its page is no mistake."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]
    timeout = _SILENCE_SECONDS

    def do_GET(self) -> None:
        if self.headers.get_all("Host") not in self.server.hosts:  # DNS rebinding
            self._show(_WRONG_HOST)
        elif self.path.partition("?")[0] != _PATH:
            self._show(_ELSEWHERE)
        else:
            self._hand_over(Redirect(self.path))

    def _hand_over(self, redirect: Redirect) -> None:
        try:
            self.server.first.set_result(redirect)
        except InvalidStateError:
            self._show(_TOO_LATE)
            return
        with redirect.page() as page:
            self._show(page)

    def _show(self, page: Page) -> None:
        body = page.encoded()
        self.send_response(page.status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Instead of a page that repeats what it was asked."""
        self.close_connection = True
        self._show(_MALFORMED)

    def version_string(self) -> str:
        return "harvest-pipeline"

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the address holds the code."""
