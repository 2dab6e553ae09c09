"""The local address that Harvest redirects the browser to (RFC 8252, section 7.3)."""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from time import monotonic
from typing import Any

from harvest_pipeline.harvest.errors import AuthorizationInvalid
from harvest_pipeline.settings import SettingsError

_HOST = "127.0.0.1"
_PATH = "/callback"
#: It repeats nothing from the request and promises nothing: the outcome is not known yet.
_PAGE = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>harvest-pipeline</title></head>
<body><h1>Go back to the terminal</h1>
<p>Harvest's answer has arrived. The terminal says whether the account is connected; this window
can be closed.</p></body></html>
"""


def redirect_address(port: int | str) -> str:
    """The redirect URL at that port, as it is registered with Harvest."""
    return f"http://{_HOST}:{port}{_PATH}"


class RedirectServer(HTTPServer):
    """Listens on 127.0.0.1 until the end of the block, for one redirect that `is_expected`: any
    web page can make the browser request this address.

    Raises SettingsError if the port cannot be used.
    """

    def __init__(self, port: int, is_expected: Callable[[str], bool]) -> None:
        try:
            super().__init__((_HOST, port), _Handler)
        except OSError as error:
            raise SettingsError(
                f"Port {port} of this machine cannot be used for Harvest's answer "
                f"({error.strerror}): choose another with --port, and register "
                f"{redirect_address('<port>')} as the redirect URL of your OAuth 2 application."
            ) from None
        self.is_expected = is_expected
        self.answer: str | None = None

    def wait(self, seconds: float) -> str:
        """The target of the first expected redirect. Raises AuthorizationInvalid if there is none
        in time."""
        until = monotonic() + seconds
        while self.answer is None:
            self.timeout = until - monotonic()
            if self.timeout <= 0:
                raise AuthorizationInvalid(
                    "Harvest did not send the browser back to "
                    f"{redirect_address(self.server_port)} within {seconds / 60:g} minutes: run "
                    "the command again. If Harvest's page showed an error, compare that address "
                    "and the client id with the application there."
                )
            self.handle_request()
        return self.answer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: a browser that disconnects before it gets the page is not an error."""


class _Handler(BaseHTTPRequestHandler):
    server: RedirectServer  # pyright: ignore[reportIncompatibleVariableOverride]
    #: Browsers open connections ahead of time and send nothing on them.
    timeout = 2.0

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != _PATH or not self.server.is_expected(self.path):
            self.send_error(404, explain="Open the address that the terminal shows, once more.")
            return
        self.server.answer = self.path
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(_PAGE)))
        self.end_headers()
        self.wfile.write(_PAGE)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the address contains the code."""
