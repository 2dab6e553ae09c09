"""What a hostile web page can make a browser send to the UI, byte for byte; and what it would do.

Browsers do not let a page choose `Host`, `Origin` or `Sec-Fetch-*`; libraries for HTTP get in the
way of choosing them too. So requests are written here as text.
"""

import json
import socket
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import requests

from harvest_pipeline_tests.waiting import PATIENCE

#: Launches a run over a few small reports.
LAUNCH = """
mutation { launchRun(executionParams: {runConfigData: {}, selector: {
  jobName: "__ASSET_JOB", repositoryName: "__repository__", repositoryLocationName: "harvest",
  assetSelection: [{path: ["harvest", "people"]}, {path: ["harvest", "clients"]}]}})
  { __typename ... on LaunchRunSuccess { run { runId } } } }
"""
TRACES = """
query Traces($trace: String!) {
  instance { concurrencyLimits { concurrencyKey } }
  assetRecordsOrError { ... on AssetRecordConnection { assets { key { path } } } }
  assetCheckExecutions(assetKey: {path: [$trace]}, checkName: $trace, limit: 1) {
    evaluation { checkName } }
  runsOrError { ... on Runs { results { runId tags { key value } } } } }
"""
#: What a page of another site cannot keep a browser of today from saying.
CROSS_SITE = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
JSON = {"Content-Type": "application/json"}


def mutation(trace: str) -> str:
    """GraphQL that changes the instance: a limit for the concurrency key `trace`."""
    return f'mutation{{setConcurrencyLimit(concurrencyKey:"{trace}",limit:1)}}'


def body(trace: str) -> str:
    return json.dumps({"query": mutation(trace)})


def query(trace: str) -> str:
    return "?query=" + quote(mutation(trace))


@dataclass(frozen=True)
class Request:
    """An HTTP request; `TRACE` and `PORT` in it are replaced when it is sent."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: str = ""

    def sent(self, port: int, trace: str = "trace") -> tuple[int, dict[str, str], str]:
        """Status, headers (names in lower case) and text of the answer."""
        content = body(trace) if self.body == "JSON" else self.body.replace("TRACE", trace)
        target = self.target.replace("QUERY", query(trace)).replace("TRACE", trace)
        headers = {
            "Host": "127.0.0.1:PORT",
            "Connection": "close",
            **({"Content-Length": str(len(content))} if self.method == "POST" else {}),
            **self.headers,
        }
        lines = [f"{self.method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        text = "\r\n".join(lines).replace("PORT", str(port)) + "\r\n\r\n" + content
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(text.encode())
            answer = b""
            # An accepted WebSocket stays open; its answer is the head.
            while b"\r\n\r\n" not in answer or not answer.startswith(b"HTTP/1.1 101"):
                if not (piece := connection.recv(65536)):
                    break
                answer += piece
        head, _, rest = answer.decode(errors="replace").partition("\r\n\r\n")
        status, *fields = head.split("\r\n")
        named = (line.partition(": ") for line in fields)
        merged: dict[str, str] = {}
        for name, _, value in named:
            merged[name.lower()] = ", ".join(filter(None, [merged.get(name.lower()), value]))
        return int(status.split()[1]), merged, rest


#: Each of them leaves its trace on Dagster's own webserver (test_guard.py shows it).
ATTACKS = {
    "GET mutation from another site": Request("GET", "/graphqlQUERY", CROSS_SITE),
    "GET mutation as an image": Request(
        "GET",
        "/graphqlQUERY",
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    ),
    "GET mutation behind a link": Request(
        "GET",
        "/graphqlQUERY",
        {
            "Sec-Fetch-Site": "cross-site",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Dest": "document",
        },
    ),
    "GET mutation of an old browser": Request("GET", "/graphqlQUERY"),
    "GET mutation typed into the address bar": Request(
        "GET", "/graphqlQUERY", {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}
    ),
    "GET mutation with a line feed in the path": Request("GET", "/graphql%0AQUERY"),
    "form from another site": Request(
        "POST",
        "/graphqlQUERY",
        {**CROSS_SITE, "Content-Type": "application/x-www-form-urlencoded"},
    ),
    "form of an old browser": Request("POST", "/graphqlQUERY", {"Content-Type": "text/plain"}),
    "POST without a content type": Request("POST", "/graphqlQUERY"),
    "JSON that calls itself text": Request(
        "POST", "/graphql", {"Content-Type": "text/plain; application/json"}, "JSON"
    ),
    "JSON from another site": Request("POST", "/graphql", {**CROSS_SITE, **JSON}, "JSON"),
    "JSON from a sandboxed frame": Request("POST", "/graphql", {"Origin": "null", **JSON}, "JSON"),
    "JSON from another port": Request(
        "POST",
        "/graphql",
        {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site", **JSON},
        "JSON",
    ),
    "JSON without Origin": Request(
        "POST", "/graphql", {"Sec-Fetch-Site": "cross-site", **JSON}, "JSON"
    ),
    "JSON under a name pointed at this machine": Request(
        "POST",
        "/graphql",
        {
            "Host": "evil.example:PORT",
            "Origin": "http://evil.example:PORT",
            "Sec-Fetch-Site": "same-origin",
            **JSON,
        },
        "JSON",
    ),
    "forged materialization": Request("POST", "/report_asset_materialization/TRACE", CROSS_SITE),
    "forged materialization of an old browser": Request(
        "POST", "/report_asset_materialization/TRACE"
    ),
    "forged materialization under a name pointed here": Request(
        "POST",
        "/report_asset_materialization/TRACE",
        {"Host": "evil.example:PORT", **JSON},
        "{}",
    ),
    "forged observation": Request("POST", "/report_asset_observation/TRACE", CROSS_SITE),
    "forged check": Request(
        "POST", "/report_asset_check/TRACE?check_name=TRACE&passed=true", CROSS_SITE
    ),
}

_HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "graphql-ws",
}


def websocket(**headers: str) -> Request:
    """A WebSocket handshake with `headers` ("_" for "-")."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("GET", "/graphql", {**_HANDSHAKE, **given})


#: Handshakes that Dagster's own webserver accepts.
WEBSOCKET_ATTACKS = {
    "from another site": websocket(Origin="http://evil.example"),
    "from another port": websocket(Origin="http://localhost:1"),
    "from a sandboxed frame": websocket(Origin="null"),
    "from another site, without Origin": websocket(Sec_Fetch_Site="cross-site"),
    "under a name pointed at this machine, without Origin": websocket(Host="evil.example:PORT"),
    "under a name pointed at this machine": websocket(
        Host="evil.example:PORT", Origin="http://evil.example:PORT"
    ),
}


def traces(url: str, trace: str = "") -> dict[str, Any]:
    """Everything in the instance that an attack could have left something in.

    `trace` is needed for checks, which are not listed.
    """
    answer = requests.post(
        f"{url}/graphql", json={"query": TRACES, "variables": {"trace": trace}}, timeout=PATIENCE
    ).json()
    assert "errors" not in answer, answer
    return answer["data"]
