"""The address on this machine that takes Harvest's answer: one, from this machine, and no other."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harvest_pipeline.connect.callback import Callback
from harvest_pipeline.harvest.errors import (
    AuthorizationInvalid,
    AuthorizationRefused,
    HarvestError,
    TokenRejected,
)
from harvest_pipeline.harvest.oauth import Application, Authorization
from harvest_pipeline.settings import SettingsError
from harvest_pipeline_tests.ui.conftest import free_port
from harvest_pipeline_tests.waiting import PATIENCE, soon

EVIL = "<script>alert(4711)</script>"


class Waiting:
    """A command that waits for the redirect, in a thread; `outcome` is the code or the error."""

    def __init__(self, seconds: float = PATIENCE) -> None:
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        callback = Callback(self.port)
        application = Application("client", "secret-canary")
        self.authorization = Authorization(application, "http://id", callback.address)
        found = re.search(r"state=([^&]+)", self.authorization.url)
        assert found
        self.state = found[1]
        self.outcome: str | HarvestError | None = None
        self.interrupt: HarvestError | None = None
        self._thread = threading.Thread(target=self._wait, args=(callback, seconds), daemon=True)
        self._thread.start()

    def _wait(self, callback: Callback, seconds: float) -> None:
        try:
            with callback, callback.redirect(seconds) as redirect:
                self.outcome = self.authorization.code_from(redirect.address)
                if self.interrupt:
                    raise self.interrupt
        except HarvestError as error:
            self.outcome = error

    def ask(
        self, target: str, *, host: str | None = None, method: str = "GET"
    ) -> tuple[int, str, str]:
        """Status, headers and body of a request."""
        return self.send(f"{method} {target} HTTP/1.1\r\nHost: {host or self.host}\r\n\r\n")

    def send(self, request: str) -> tuple[int, str, str]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            connection.sendall(request.encode())
            answer = b""
            while part := connection.recv(65536):
                answer += part
        head, _, body = answer.decode().partition("\r\n\r\n")
        return int(head.split()[1]), head, body

    def end(self) -> str | HarvestError | None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        return self.outcome

    def still_waits(self) -> bool:
        """Whether the genuine redirect is still taken."""
        status, _, body = self.ask(f"/callback?code=genuine&state={self.state}")
        return (status, self.end()) == (200, "genuine") and "is connected" in body


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    made = Waiting()
    yield made
    if made.outcome is None:
        made.ask("/callback")
    made.end()


def test_the_genuine_redirect_gives_the_code_and_a_page(waiting: Waiting) -> None:
    status, head, body = waiting.ask(f"/callback?code=abc&scope=x&state={waiting.state}")
    assert (status, waiting.end()) == (200, "abc")
    assert "The account is connected. You can close this window." in body
    assert "Cache-Control: no-store" in head
    assert "Referrer-Policy: no-referrer" in head
    assert "default-src 'none'" in head


@pytest.mark.parametrize("query", ["code=abc&state=wrong", "code=abc", "", "state=&code=abc"])
def test_a_wrong_or_missing_state_ends_it(waiting: Waiting, query: str) -> None:
    status, _, body = waiting.ask(f"/callback?{query}")
    assert isinstance(waiting.end(), AuthorizationInvalid)
    assert status == 400
    assert "Not connected" in body


def test_a_redirect_is_not_taken_a_second_time(waiting: Waiting) -> None:
    target = f"/callback?code=abc&state={waiting.state}"
    assert waiting.ask(target)[0] == 200
    with pytest.raises(ConnectionRefusedError):
        waiting.ask(target)


def test_nobody_listens_any_more_while_the_code_is_exchanged() -> None:
    port = free_port()
    with Callback(port) as callback, ExitStack() as browser:
        first = browser.enter_context(socket.create_connection(("127.0.0.1", port)))
        first.sendall(f"GET /callback?code=1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        with callback.redirect(PATIENCE) as redirect:
            assert redirect.address == "/callback?code=1"
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=5)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", "evil.example:{port}", "[::1]"],
)
def test_another_host_name_is_refused_and_changes_nothing(waiting: Waiting, host: str) -> None:
    target = f"/callback?code=stolen&state={waiting.state}"
    assert waiting.ask(target, host=host.format(port=waiting.port))[0] == 400
    assert waiting.still_waits()


def test_localhost_is_this_machine_too(waiting: Waiting) -> None:
    target = f"/callback?code=abc&state={waiting.state}"
    assert waiting.ask(target, host=f"localhost:{waiting.port}")[0] == 200


@pytest.mark.parametrize(
    "headers",
    ["", "Host: {host}\r\nHost: evil.example\r\n", "Host: evil.example\r\nHost: {host}\r\n"],
)
def test_no_host_or_two_hosts_are_refused(waiting: Waiting, headers: str) -> None:
    target = f"/callback?code=stolen&state={waiting.state}"
    lines = headers.format(host=waiting.host)
    assert waiting.send(f"GET {target} HTTP/1.1\r\n{lines}\r\n")[0] == 400
    assert waiting.still_waits()


@pytest.mark.parametrize(
    "target",
    ["/", "/favicon.ico", "/callback/", "/Callback", "/x/../callback", "http://e/callback"],
)
def test_other_paths_are_not_there_and_change_nothing(waiting: Waiting, target: str) -> None:
    assert waiting.ask(f"{target}?code=stolen&state={waiting.state}")[0] == 404
    assert waiting.still_waits()


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", EVIL])
def test_other_methods_are_refused_and_change_nothing(waiting: Waiting, method: str) -> None:
    status, _, body = waiting.ask(f"/callback?state={waiting.state}", method=method)
    assert status == 400
    assert "4711" not in body
    assert waiting.still_waits()


def test_it_listens_on_one_address_only(waiting: Waiting) -> None:
    for other in ("127.0.0.2", "::1"):
        with pytest.raises(OSError, match=r"refused|assign"):
            socket.create_connection((other, waiting.port), timeout=5)
    assert waiting.still_waits()


@pytest.mark.parametrize(
    "query", [f"code={EVIL}&state=x", f"error={EVIL}", f"error=e&error_description={EVIL}", EVIL]
)
def test_nothing_of_the_request_is_repeated_on_the_page(waiting: Waiting, query: str) -> None:
    status, head, body = waiting.ask(f"/callback?{query}".replace(" ", "%20"))
    waiting.end()
    assert status == 400
    assert "4711" not in head + body


def test_a_refusal_is_told_on_the_page_in_our_words(waiting: Waiting) -> None:
    status, _, body = waiting.ask(f"/callback?error=access_denied&state={waiting.state}")
    assert isinstance(waiting.end(), AuthorizationRefused)
    assert status == 400
    assert "gave no access" in body


def test_what_goes_wrong_later_is_told_on_the_page_escaped(waiting: Waiting) -> None:
    waiting.interrupt = TokenRejected("Harvest says <b>no</b>.")
    status, _, body = waiting.ask(f"/callback?code=abc&state={waiting.state}")
    assert status == 400
    assert "Harvest says &lt;b&gt;no&lt;/b&gt;." in body
    assert "is connected" not in body


def test_silent_and_slow_connections_do_not_keep_the_real_one_away(waiting: Waiting) -> None:
    with ExitStack() as stack:
        for begun in (b"", b"GET /callback?co", b"GET / HTTP/1.1\r\nHost: 127"):
            idle = socket.create_connection(("127.0.0.1", waiting.port))
            stack.enter_context(idle).sendall(begun)
        assert waiting.still_waits()


def test_a_browser_that_leaves_before_its_page_ends_nothing() -> None:
    port = free_port()
    with Callback(port) as callback:
        with socket.create_connection(("127.0.0.1", port)) as browser:
            host = f"Host: 127.0.0.1:{port}"
            browser.sendall(f"GET /callback?code=1 HTTP/1.1\r\n{host}\r\n\r\n".encode())
        with callback.redirect(PATIENCE) as redirect:
            assert redirect.address == "/callback?code=1"


def test_the_browser_does_not_wait_for_what_is_asked_in_the_terminal() -> None:
    port = free_port()
    with Callback(port) as callback, socket.create_connection(("127.0.0.1", port)) as browser:
        host = f"Host: 127.0.0.1:{port}"
        browser.sendall(f"GET /callback?code=1 HTTP/1.1\r\n{host}\r\n\r\n".encode())
        with callback.redirect(PATIENCE) as redirect:
            redirect.go_on_in_terminal()
            answer = browser.makefile("rb").read().decode()
    assert "Go back to the terminal" in answer
    assert "is connected" not in answer


def test_the_wait_is_limited() -> None:
    with (
        soon(),
        pytest.raises(AuthorizationInvalid) as caught,
        Callback(port := free_port()) as callback,
        callback.redirect(0.3),
    ):
        pass
    assert f"http://127.0.0.1:{port}/callback" in str(caught.value)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_port_that_is_taken_is_told_in_one_sentence() -> None:
    with Callback(port := free_port()), pytest.raises(SettingsError, match="--port") as caught:
        Callback(port)
    assert f"Port {port}" in str(caught.value)


@pytest.mark.parametrize("port", [-1, 70000])
def test_a_port_that_cannot_be_is_told_in_one_sentence(port: int) -> None:
    with pytest.raises(SettingsError, match=f"Port {port}"):
        Callback(port)
