"""A Dagster UI on a sandbox account, and a headless browser that looks at it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from harvest_pipeline.sandbox.server import SandboxServer
from harvest_pipeline.settings import project_folder

CHROMIUM = shutil.which("chromium")
#: Without these a browser on this network waits for hosts that it cannot reach.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class DagsterUI:
    """A running `dagster dev`."""

    url: str
    sandbox: SandboxServer
    database: Path

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of a GraphQL query."""
        answer = requests.post(
            f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=30
        ).json()
        assert "errors" not in answer, answer
        return answer["data"]


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="package")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterUI]:
    """The UI as `make dev` starts it, on a small sandbox account."""
    home = tmp_path_factory.mktemp("dagster home")
    (home / "dagster.yaml").symlink_to(project_folder() / "dagster.yaml")
    database = tmp_path_factory.mktemp("data") / "warehouse.duckdb"
    port = free_port()
    with SandboxServer(years=0.3, rate_limit=None) as sandbox:
        environment = {
            **os.environ,
            **sandbox.environment(),
            "HARVEST_DUCKDB": str(database),
            "HARVEST_START_DATE": sandbox.first_day.isoformat(),
            "DAGSTER_HOME": str(home),
        }
        server = subprocess.Popen(
            [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "-p", str(port)],
            cwd=project_folder(),
            env=environment,
            stdout=(home / "output.txt").open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_served(url, home / "output.txt")
            yield DagsterUI(url, sandbox, database)
        finally:
            server.send_signal(signal.SIGINT)
            try:
                server.wait(20)
            finally:
                if server.poll() is None:
                    os.killpg(server.pid, signal.SIGKILL)


def _wait_until_served(url: str, output: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if requests.get(f"{url}/server_info", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.3)
    raise AssertionError(f"dagster dev did not start:\n{output.read_text()[-3000:]}")


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    """A page of headless Chromium, 1600 by 1000."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(20_000)
        yield page
        page.screenshot(path=tmp_path / "last.png")
        browser.close()
