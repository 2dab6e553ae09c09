"""The guard around Dagster's own web application: what it refuses, and what goes on working.

Both are served, with the guard and without: an attack that does nothing without it proves nothing.
"""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import pytest
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster_webserver.app import create_app_from_workspace_process_context
from starlette.types import ASGIApp

from harvest_pipeline.settings import SettingsError
from harvest_pipeline.ui.guard import Guard, Hosts
from harvest_pipeline_tests.ui.attacks import (
    ATTACKS,
    CROSS_SITE,
    JSON,
    WEBSOCKET_ATTACKS,
    Request,
    body,
    query,
    traces,
    websocket,
)

LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
OWN_PAGE = {"Origin": "http://127.0.0.1:PORT", "Sec-Fetch-Site": "same-origin"}
PROXY = "dagster.example.com"

#: What has to go on working, each with the status that Dagster answers.
ALLOWED = {
    "page typed into the address bar": (200, Request("GET", "/", {"Sec-Fetch-Site": "none"})),
    "page of curl": (200, Request("GET", "/runs")),
    "page under localhost": (200, Request("GET", "/", {"Host": "localhost:PORT"})),
    "page under LOCALHOST": (200, Request("GET", "/", {"Host": "LOCALHOST:PORT"})),
    "page under the IPv6 loopback address": (200, Request("GET", "/", {"Host": "[::1]:PORT"})),
    "link from another site": (200, Request("GET", "/assets/harvest/people?view=events", LINK)),
    "head of a page": (200, Request("HEAD", "/", LINK)),
    "own file": (200, Request("GET", "/favicon.ico", {"Sec-Fetch-Site": "same-origin"})),
    "GraphiQL": (
        200,
        Request("GET", "/graphql", {"Accept": "text/html", "Sec-Fetch-Site": "none"}),
    ),
    "mutation of the UI": (200, Request("POST", "/graphql?op=X", {**OWN_PAGE, **JSON}, "JSON")),
    "mutation of curl": (200, Request("POST", "/graphql", JSON, "JSON")),
    "mutation with a charset": (
        200,
        Request("POST", "/graphql", {"Content-Type": "application/json; charset=utf-8"}, "JSON"),
    ),
    "reported materialization": (
        200,
        Request("POST", "/report_asset_materialization/reported", JSON, '{"description": "x"}'),
    ),
    "mutation through a proxy": (
        200,
        Request("POST", "/graphql", {"Host": PROXY, "Origin": f"https://{PROXY}", **JSON}, "JSON"),
    ),
    "mutation through a proxy that writes the port": (
        200,
        Request(
            "POST",
            "/graphql",
            {"Host": f"{PROXY}:443", "Origin": f"https://{PROXY}", **JSON},
            "JSON",
        ),
    ),
    "mutation through a proxy that hides its name": (
        200,
        Request("POST", "/graphql", {"Origin": f"https://{PROXY}", **JSON}, "JSON"),
    ),
    "WebSocket of the UI": (101, websocket(Origin="http://127.0.0.1:PORT")),
    "WebSocket of a program": (101, websocket()),
    "WebSocket through a proxy": (101, websocket(Host=PROXY, Origin=f"https://{PROXY}")),
}
#: What else is refused; without the guard these only read, or do nothing.
REFUSED = {
    "page of another site's script": Request("GET", "/", CROSS_SITE),
    "page in a frame of another site": Request("GET", "/", {**LINK, "Sec-Fetch-Dest": "iframe"}),
    "page under a name pointed here": Request("GET", "/", {"Host": "evil.example:PORT", **LINK}),
    "page under another port's name": Request("GET", "/", {"Host": "127.0.0.1:1"}),
    "page under two names": Request("GET", "/", {"host": "evil.example:PORT"}),
    "file for another site": Request("GET", "/favicon.ico", {"Sec-Fetch-Site": "cross-site"}),
    "link to a log": Request("GET", "/logs/a/compute_logs/b/err", LINK),
    "link to a notebook": Request("GET", "/notebook?path=/tmp/a.ipynb&repoLocName=a", LINK),
    "link to GraphiQL": Request("GET", "/graphql", LINK),
    "form sent to a page": Request("POST", "/", {**LINK, "Content-Type": "text/plain"}),
    "JSON sent as a link": Request("POST", "/", {**LINK, **JSON}, "JSON"),
    "page asked for by a script": Request("GET", "/", {**LINK, "Sec-Fetch-Mode": "no-cors"}),
    "preflight": Request(
        "OPTIONS", "/graphql", {**CROSS_SITE, "Access-Control-Request-Method": "POST"}
    ),
    "another method": Request("DELETE", "/graphql"),
    "two content types": Request(
        "POST", "/graphql", {**JSON, "content-type": "text/plain"}, "JSON"
    ),
    "proxy's name as part of another": Request("GET", "/", {"Host": f"{PROXY}.evil.example"}),
    "origin that begins like a proxy": Request(
        "POST", "/graphql", {"Origin": f"https://{PROXY}.evil.example", **JSON}, "JSON"
    ),
}


@contextmanager
def served(app: ASGIApp, listener: socket.socket) -> Iterator[int]:
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="critical"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    """The ports of Dagster's own web application and of the guarded one, on one instance."""
    own, guarded = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    with dg.instance_for_test() as instance, WorkspaceProcessContext(instance, None) as context:
        app = create_app_from_workspace_process_context(context)
        guard = Guard(app, Hosts.on(guarded.getsockname()[1], [PROXY]))
        with served(app, own) as first, served(guard, guarded) as second:
            yield first, second


def left(port: int, trace: str) -> bool:
    """Whether something named `trace` is in the instance."""
    return f'"{trace}"' in json.dumps(traces(f"http://127.0.0.1:{port}", trace))


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_that_works_on_dagsters_webserver_is_refused(
    ports: tuple[int, int], name: str
) -> None:
    own, guarded = ports
    attack, trace = ATTACKS[name], f"t{time.monotonic_ns()}"

    status, headers, text = attack.sent(guarded, trace)
    assert status == 403
    assert headers["content-type"].startswith("text/plain")
    assert "evil" not in text
    assert trace not in text
    assert text.endswith(".")
    assert not left(guarded, trace)

    attack.sent(own, trace)
    assert left(own, trace), "this attack does nothing, so it shows nothing"


@pytest.mark.parametrize("name", WEBSOCKET_ATTACKS)
def test_a_websocket_that_dagsters_webserver_accepts_is_refused(
    ports: tuple[int, int], name: str
) -> None:
    own, guarded = ports
    assert WEBSOCKET_ATTACKS[name].sent(guarded)[0] == 403
    assert WEBSOCKET_ATTACKS[name].sent(own)[0] == 101


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_page_or_program_of_ours_sends_is_refused(
    ports: tuple[int, int], name: str
) -> None:
    _, guarded = ports
    assert REFUSED[name].sent(guarded)[0] == 403


@pytest.mark.parametrize("name", ALLOWED)
def test_what_people_and_programs_send_is_answered_by_dagster(
    ports: tuple[int, int], name: str
) -> None:
    _, guarded = ports
    status, request = ALLOWED[name]
    assert request.sent(guarded)[0] == status


def test_what_programs_change_is_changed(ports: tuple[int, int]) -> None:
    _, guarded = ports
    for attack in (
        Request("POST", "/graphql", JSON, body("by_curl")),
        Request("POST", "/report_asset_materialization/by_curl", JSON, "{}"),
    ):
        assert attack.sent(guarded)[0] == 200
    found = traces(f"http://127.0.0.1:{guarded}")
    assert {"concurrencyKey": "by_curl"} in found["instance"]["concurrencyLimits"]
    assert {"key": {"path": ["by_curl"]}} in found["assetRecordsOrError"]["assets"]


@pytest.mark.parametrize(
    "target", ["/", "/favicon.ico", "/server_info", "/graphql", "/graphql" + query("x"), "/logs/x"]
)
def test_no_answer_can_be_shown_in_a_frame(ports: tuple[int, int], target: str) -> None:
    _, guarded = ports
    _, headers, _ = Request("GET", target, {"Accept": "text/html"}).sent(guarded)
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-security-policy"].endswith("frame-ancestors 'none'")
    if target == "/":  # Dagster's own policy is still there
        assert "script-src 'nonce-" in headers["content-security-policy"]


@pytest.mark.parametrize(
    "name",
    ["", "*", "*.example.com", "https://a.example", "a.example/", "a b", "a,b", "a:b", "a\r\nb"],
)
def test_a_proxys_name_that_is_none_gets_one_sentence(name: str) -> None:
    with pytest.raises(SettingsError, match=r"--allow-host .* is not a host name; give the name"):
        Hosts.on(3000, [name])
