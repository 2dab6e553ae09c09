"""The guard around Dagster's own web application: what it refuses, and what goes on working.

Both are served, with the guard and without: an attack that does nothing without it proves nothing.
"""

import json
import time
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote

import pytest

from harvest_pipeline_tests.cli.ui.conftest import PROXY, asked
from harvest_pipeline_tests.waiting import PATIENCE

TRACES = """
query($name: String!) {
  instance { concurrencyLimits { concurrencyKey } }
  assetRecordsOrError { ... on AssetRecordConnection { assets { key { path } } } }
  assetCheckExecutions(assetKey: {path: [$name]}, checkName: $name, limit: 1) {
    evaluation { checkName } } }
"""

# What a page can make a browser send, header by header; it cannot choose Host, Origin and
# Sec-Fetch-*. NAME is what an attack leaves a trace of, PORT the port of the server.
JSON = {"Content-Type": "application/json"}
CROSS = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FRAME = {**LINK, "Sec-Fetch-Dest": "iframe"}
IMAGE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
REBOUND = {"Host": "evil.example:PORT", "Origin": "http://evil.example:PORT"}
OWN = {"Origin": "http://127.0.0.1:PORT", "Sec-Fetch-Site": "same-origin"}
SOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "graphql-ws",
}
REPORT = "/report_asset_materialization/NAME"
#: A GraphQL mutation in the address.
QUERY = "?query=" + quote('mutation{setConcurrencyLimit(concurrencyKey:"NAME",limit:1)}')

#: Each of them leaves a trace on Dagster's own webserver.
ATTACKS = {
    "GET from another site": ("GET", "/graphql" + QUERY, CROSS),
    "GET as an image": ("GET", "/graphql" + QUERY, IMAGE),
    "GET behind a link": ("GET", "/graphql" + QUERY, LINK),
    "GET of an old browser": ("GET", "/graphql" + QUERY, {}),
    "GET from the address bar": ("GET", "/graphql" + QUERY, {"Sec-Fetch-Site": "none"}),
    "GET with a line feed in the path": ("GET", "/graphql%0A" + QUERY, {}),
    "form": ("POST", "/graphql" + QUERY, {**CROSS, "Content-Type": "text/plain"}),
    "form of an old browser": ("POST", "/graphql" + QUERY, {"Content-Type": "text/plain"}),
    "POST without a content type": ("POST", "/graphql" + QUERY, {}),
    "JSON that calls itself text": (
        "POST", "/graphql", {"Content-Type": "text/plain; application/json"}
    ),
    "JSON from another site": ("POST", "/graphql", {**CROSS, **JSON}),
    "JSON from a sandboxed frame": ("POST", "/graphql", {"Origin": "null", **JSON}),
    "JSON from another port": ("POST", "/graphql", {"Origin": "http://127.0.0.1:1", **JSON}),
    "JSON without Origin": ("POST", "/graphql", {"Sec-Fetch-Site": "same-site", **JSON}),
    "JSON under a name pointed here": ("POST", "/graphql", {**REBOUND, **JSON}),
    "JSON under a name like a proxy's": (
        "POST", "/graphql", {"Origin": f"https://{PROXY}.evil.example", **JSON}
    ),
    "forged materialization": ("POST", REPORT, CROSS),
    "forged materialization of an old browser": ("POST", REPORT, {}),
    "forged materialization under another name": ("POST", REPORT, {**REBOUND, **JSON}),
    "forged observation": ("POST", "/report_asset_observation/NAME", CROSS),
    "forged check": ("POST", "/report_asset_check/NAME?check_name=NAME&passed=true", CROSS),
}  # fmt: skip
#: Without the guard these open a WebSocket, show something, or do nothing.
REFUSED = {
    "WebSocket from another site": ("GET", "/graphql", {**SOCKET, **CROSS}),
    "WebSocket from another port": ("GET", "/graphql", {**SOCKET, "Origin": "http://localhost:1"}),
    "WebSocket from a sandboxed frame": ("GET", "/graphql", {**SOCKET, "Origin": "null"}),
    "WebSocket without Origin": ("GET", "/graphql", {**SOCKET, "Sec-Fetch-Site": "cross-site"}),
    "WebSocket under a name pointed here": ("GET", "/graphql", {**SOCKET, **REBOUND}),
    "page for a script": ("GET", "/", CROSS),
    "page in a frame": ("GET", "/", FRAME),
    "page under a name pointed here": ("GET", "/", {"Host": "evil.example:PORT"}),
    "page under another port": ("GET", "/", {"Host": "127.0.0.1:1"}),
    "page under two names": ("GET", "/", {"Host": "127.0.0.1:PORT", "host": "evil.example:PORT"}),
    "page under a name like a proxy's": ("GET", "/", {"Host": f"{PROXY}.evil.example"}),
    "file for another site": ("GET", "/favicon.ico", IMAGE),
    "link to a log": ("GET", "/logs/a/compute_logs/b/err", LINK),
    "link to a notebook": ("GET", "/notebook?path=/tmp/a.ipynb&repoLocName=a", LINK),
    "link to GraphiQL": ("GET", "/graphql", LINK),
    "form sent to a page": ("POST", "/", LINK),
    "JSON sent as a link": ("POST", "/", {**LINK, **JSON}),
    "preflight": ("OPTIONS", "/graphql", {**CROSS, "Access-Control-Request-Method": "POST"}),
    "another method": ("DELETE", "/graphql", {}),
    "two content types": ("POST", "/graphql", {**JSON, "content-type": "text/plain"}),
}
#: What people and programs send.
ALLOWED = {
    "page from the address bar": ("GET", "/", {"Sec-Fetch-Site": "none"}),
    "page of a program": ("GET", "/runs", {}),
    "page under localhost": ("GET", "/", {"Host": "LocalHost:PORT"}),
    "page under the IPv6 address": ("GET", "/", {"Host": "[::1]:PORT"}),
    "link from another site": ("GET", "/assets/harvest/people?view=events", LINK),
    "head of a page": ("HEAD", "/", LINK),
    "own file": ("GET", "/favicon.ico", {"Sec-Fetch-Site": "same-origin"}),
    "GraphiQL": ("GET", "/graphql", {"Accept": "text/html", "Sec-Fetch-Site": "none"}),
    "mutation of the UI": ("POST", "/graphql?op=X", {**OWN, **JSON}),
    "mutation of a program": (
        "POST",
        "/graphql",
        {"Content-Type": "application/json; charset=utf-8"},
    ),
    "materialization of a program": ("POST", REPORT, JSON),
    "through a proxy": ("POST", "/graphql", {"Host": PROXY, "Origin": f"https://{PROXY}", **JSON}),
    "through one that writes the port": ("POST", "/graphql", {"Host": f"{PROXY}:443", **JSON}),
    "through one that hides its name": ("POST", "/graphql", {"Origin": f"https://{PROXY}", **JSON}),
    "WebSocket of the UI": ("GET", "/graphql", {**SOCKET, "Origin": "http://127.0.0.1:PORT"}),
    "WebSocket of a program": ("GET", "/graphql", SOCKET),
    "WebSocket through a proxy": ("GET", "/graphql", {**SOCKET, "Origin": f"https://{PROXY}"}),
}


def sent(port: int, request: tuple[str, str, dict[str, str]], name: str = "x") -> tuple[int, Any]:
    """Status and headers of the answer."""
    method, target, headers = request
    body = json.dumps(
        {"query": f'mutation{{setConcurrencyLimit(concurrencyKey:"{name}",limit:1)}}'}
    )
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(
            method,
            target.replace("NAME", name),
            "{}" if "report" in target else body if "Content-Type" in headers else None,
            {key: value.replace("PORT", str(port)) for key, value in headers.items()},
        )
        answer = connection.getresponse()
        if answer.status == 403:
            assert "evil" not in answer.read().decode()
        return answer.status, answer.headers
    finally:
        connection.close()


def left(port: int, name: str) -> bool:
    """Whether something of that name is in the instance."""
    return f'"{name}"' in json.dumps(asked(f"http://127.0.0.1:{port}", TRACES, name=name))


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_that_works_on_dagsters_webserver_is_refused(
    ports: tuple[int, int], attack: str
) -> None:
    own, guarded = ports
    name = f"t{time.monotonic_ns()}"
    assert sent(guarded, ATTACKS[attack], name)[0] == 403
    assert not left(guarded, name)
    sent(own, ATTACKS[attack], name)
    assert left(own, name), "this attack does nothing, so it shows nothing"


@pytest.mark.parametrize("request_", REFUSED)
def test_what_no_page_or_program_of_ours_sends_is_refused(
    ports: tuple[int, int], request_: str
) -> None:
    own, guarded = ports
    assert sent(guarded, REFUSED[request_])[0] == 403
    if "WebSocket" in request_:
        assert sent(own, REFUSED[request_])[0] == 101


@pytest.mark.parametrize("request_", ALLOWED)
def test_what_people_and_programs_send_is_answered_and_in_no_frame(
    ports: tuple[int, int], request_: str
) -> None:
    _, guarded = ports
    name = f"t{time.monotonic_ns()}"
    status, headers = sent(guarded, ALLOWED[request_], name)
    if "WebSocket" in request_:
        assert status == 101
        return
    assert status == 200
    assert left(guarded, name) == (ALLOWED[request_][0] == "POST")
    assert headers["x-frame-options"] == "DENY"
    policies = headers.get_all("content-security-policy")
    assert policies[-1] == "frame-ancestors 'none'"
    if ALLOWED[request_][1] == "/":  # Dagster's own policy is still there
        assert "script-src 'nonce-" in policies[0]
