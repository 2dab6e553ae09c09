"""Chromium: what a hostile page does to Dagster's webserver and not to ours, and what a person
does in the UI."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from harvest_pipeline_tests.cli.ui.conftest import Dev
from harvest_pipeline_tests.cli.ui.test_guard import left
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import truth
from harvest_pipeline_tests.surroundings import needs
from harvest_pipeline_tests.waiting import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow, needs("chromium")]

#: A page that tries everything at once on `?target=`, in the name of `&name=`.
PAGE = """<!doctype html><title>hostile</title><body>
<a id="link">link</a><a id="open">open</a><script>
const asked = new URLSearchParams(location.search), target = asked.get("target");
const mutation = way =>
  `mutation{setConcurrencyLimit(concurrencyKey:"${asked.get("name")}_${way}",limit:1)}`;
const query = way => target + "/graphql?query=" + encodeURIComponent(mutation(way));
const post = (path, body, type, mode) => fetch(target + path, {method: "POST", mode,
  headers: type ? {"Content-Type": type} : {}, body}).catch(() => {});

new Image().src = query("image");
post("/graphql", JSON.stringify({query: mutation("fetch")}), "text/plain; application/json",
  "no-cors");
post("/graphql", JSON.stringify({query: mutation("preflight")}), "application/json", "cors");
post(`/report_asset_materialization/${asked.get("name")}_report`, undefined, "", "no-cors");

const frame = document.createElement("iframe"), ui = document.createElement("iframe");
frame.name = "sink"; ui.name = "ui"; ui.src = target + "/overview";
document.body.append(frame, ui);
const form = document.createElement("form");
form.method = "POST"; form.action = query("form"); form.target = "sink";
document.body.append(form);
form.submit();

const ws = new WebSocket(target.replace("http", "ws") + "/graphql", "graphql-ws");
ws.onopen = () => { window.socket = "open"; };
ws.onerror = () => { window.socket = "refused"; };
document.getElementById("link").href = query("link");
document.getElementById("open").href = target + "/runs";
</script>"""
#: What leaves a trace on Dagster's own webserver, beside the link.
WAYS = ("image", "fetch", "report", "form")
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


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_hostile_page_drives_dagsters_webserver_and_not_ours(
    hostile: int,
    ports: tuple[int, int],
    page: Any,
    origin: str,
) -> None:
    own, guarded = ports
    for port, name, opened in ((own, "dagsters", "open"), (guarded, "ours", "refused")):
        name += str(ORIGINS.index(origin))
        target = f"http://127.0.0.1:{port}"
        page.goto(f"{origin.replace('PORT', str(hostile))}/?target={quote(target)}&name={name}")
        page.wait_for_function("window.socket")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.socket") == opened
        assert page.frame("ui").url.startswith(target if port == own else "chrome-error:")
        assert [left(port, f"{name}_{way}") for way in WAYS] == [port == own] * len(WAYS)
        assert not left(port, f"{name}_preflight")
    page.click("#link")
    page.get_by_text("and do nothing else").wait_for()
    assert not left(guarded, f"ours{ORIGINS.index(origin)}_link")
    # A link to a page opens the UI.
    page.go_back()
    page.click("#open")
    page.locator("#root").wait_for(state="attached")
    assert page.url.startswith(f"http://127.0.0.1:{guarded}/runs")


def test_a_name_that_was_pointed_at_this_machine_shows_nothing(
    ports: tuple[int, int],
    page: Any,
) -> None:
    assert page.goto(f"http://rebound.test:{ports[1]}/").status == 403
    assert "--allow-host" in page.content()


RUNS = "{ runsOrError { ... on Runs { results { runId } } } }"


def test_a_person_materializes_a_report_and_watches_the_run(dev: Dev, page: Any) -> None:
    asked: set[str] = set()
    refused: list[str] = []
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    page.on("websocket", lambda opened: asked.add(urlsplit(opened.url).netloc))
    page.on("response", lambda answer: answer.status >= 400 and refused.append(answer.url))
    earlier = dev.ask(RUNS)
    page.goto(f"{dev.url}/assets/harvest/people")
    page.get_by_role("button", name="Materialize").first.click()
    wait_for(lambda: dev.ask(RUNS) != earlier, dev.told)
    page.goto(f"{dev.url}/runs/{dev.ask(RUNS)['runsOrError']['results'][0]['runId']}")
    page.get_by_text("RUN_SUCCESS", exact=True).first.wait_for()
    printed = re.findall(rf"{re.escape(dev.url)}(/\S+)", dev.output.read_text())
    shown = ("Global asset lineage", "Latest materialization", "Launch Run")
    for path, text in {
        **dict(zip(printed, shown, strict=True)),
        "/overview/timeline": "Timeline",
        "/locations/harvest/resources/harvest": "HARVEST_ACCESS_TOKEN",
        "/deployment/daemons": "Scheduler",
        "/graphql": "Prettify",
    }.items():
        page.goto(dev.url + path)
        page.get_by_text(text).locator("visible=true").first.wait_for()
        page.wait_for_load_state("networkidle")
    # "" is the host of blob: and data: addresses.
    assert asked - {""} == {urlsplit(dev.url).netloc}
    assert refused == []


def test_addresses_in_names_are_no_links(dev: Dev, sandbox: SandboxServer, page: Any) -> None:
    """Dagster's Markdown makes links of bare addresses too, also of escaped ones."""
    names = [
        "https://evil.example/a",
        "[b](https://evil.example/b)",
        "www.evil.example d@evil.example",
    ]
    newest = sorted(
        (each["id"] for each in truth(sandbox.account.records, "clients")), reverse=True
    )
    for client, name in zip(newest, names, strict=False):
        sandbox.account.change("clients", client, name=name)
    run = dev.launch("harvest", "clients")
    assert dev.end_of(run) == "SUCCESS"
    page.goto(f"{dev.url}/runs/{run}")
    page.get_by_text("Show Markdown").first.click()
    page.get_by_text("d@evil").first.wait_for()
    assert page.locator("table", has_text="evil").locator("a").count() == 0
    page.goto(f"{dev.url}/assets/harvest/clients?view=events")
    page.get_by_text("d@evil").first.wait_for()
    assert page.locator("a[href*=evil]").count() == 0
