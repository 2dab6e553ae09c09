"""Hostile web pages in a real browser: what they do to Dagster's own webserver and not to ours."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster_webserver.app import create_app_from_workspace_process_context

from harvest_pipeline_tests.ui.attacks import LAUNCH, mutation, traces
from harvest_pipeline_tests.ui.conftest import IN_BROWSER, DagsterUI
from harvest_pipeline_tests.ui.test_guard import served

pytestmark = IN_BROWSER

#: A page that tries everything at once; `?target=…&…` says on whom.
PAGE = """<!doctype html><title>hostile</title><body><script>
const asked = new URLSearchParams(location.search), target = asked.get("target");
const query = name => target + "/graphql?query=" + encodeURIComponent(asked.get(name));
window.socket = "waiting";

const image = new Image();
image.src = query("image");

fetch(target + "/graphql", {method: "POST", mode: "no-cors",
  headers: {"Content-Type": "text/plain; application/json"},
  body: JSON.stringify({query: asked.get("fetch")})}).catch(() => {});
fetch(target + "/graphql", {method: "POST", headers: {"Content-Type": "application/json"},
  body: JSON.stringify({query: asked.get("preflight")})}).catch(() => {});
fetch(target + "/report_asset_materialization/" + asked.get("report"),
  {method: "POST", mode: "no-cors"}).catch(() => {});

const frame = document.createElement("iframe");
frame.name = "sink";
document.body.append(frame);
const form = document.createElement("form");
form.method = "POST"; form.action = query("form"); form.target = "sink";
document.body.append(form);
form.submit();

const ui = document.createElement("iframe");
ui.name = "ui"; ui.src = target + "/overview";
document.body.append(ui);

const ws = new WebSocket(target.replace("http", "ws") + "/graphql", "graphql-ws");
ws.onopen = () => { window.socket = "open"; };
ws.onerror = () => { window.socket = "refused"; };
</script>
<a id="launch">launch</a> <a id="open">open</a>
<script>
document.getElementById("launch").href = query("link");
document.getElementById("open").href = target + "/runs";
</script>"""

#: Another port of this machine, another name for it, another site.
ORIGINS = ["http://127.0.0.1:PORT", "http://localhost:PORT", "http://evil.test:PORT"]


class Hostile(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(PAGE.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def hostile() -> Iterator[int]:
    """The port of a server of hostile pages."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


def visit(page: Any, origin: str, target: str, **tries: str) -> str:
    """Open a hostile page and let it do its worst; says what became of its WebSocket."""
    given = "".join(f"&{name}={quote(value)}" for name, value in tries.items())
    page.goto(f"{origin}/?target={quote(target)}{given}")
    page.wait_for_function("window.socket !== 'waiting'")
    page.wait_for_load_state("networkidle")
    return page.evaluate("window.socket")


def tries(name: str) -> dict[str, str]:
    """What the page tries, each under a name of its own."""
    queries = {way: mutation(f"{name}_{way}") for way in ("image", "fetch", "preflight", "form")}
    return {**queries, "report": f"{name}_report", "link": LAUNCH}


@pytest.mark.parametrize("origin", ORIGINS)
def test_the_page_drives_dagsters_own_webserver(hostile: int, page: Any, origin: str) -> None:
    with (
        dg.instance_for_test() as instance,
        WorkspaceProcessContext(instance, None) as context,
        served(
            create_app_from_workspace_process_context(context),
            socket.create_server(("127.0.0.1", 0)),
        ) as port,
    ):
        url = f"http://127.0.0.1:{port}"
        opened = visit(page, origin.replace("PORT", str(hostile)), url, **tries("x"))
        assert opened == "open"
        found = json.dumps(traces(url))
        for way in ("image", "fetch", "form", "report"):
            assert f'"x_{way}"' in found, way
        assert page.frame("ui").url.startswith(url)


@pytest.mark.parametrize("origin", ORIGINS)
def test_the_page_can_do_nothing_to_ours(
    hostile: int, ui: DagsterUI, page: Any, origin: str
) -> None:
    before = traces(ui.url)
    page_url = origin.replace("PORT", str(hostile))
    assert visit(page, page_url, ui.url, **tries("y")) == "refused"
    # Not even a frame shows it.
    assert page.frame("ui").url == "chrome-error://chromewebdata/"
    # Nor does a click on a link launch anything.
    page.click("#launch")
    page.get_by_text("and do nothing else").wait_for()
    assert traces(ui.url) == before


def test_a_name_that_was_pointed_at_this_machine_shows_nothing(ui: DagsterUI, page: Any) -> None:
    answer = page.goto(f"http://rebound.test:{ui.port}/")
    assert answer.status == 403
    assert "--allow-host" in page.content()


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_link_on_another_page_opens_the_ui(
    hostile: int, ui: DagsterUI, page: Any, origin: str
) -> None:
    page.goto(f"{origin.replace('PORT', str(hostile))}/?target={quote(ui.url)}")
    page.click("#open")
    page.get_by_text("Show runs within backfills").wait_for()
    assert page.url.startswith(f"{ui.url}/runs")
