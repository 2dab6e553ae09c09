"""The UI of `harvest-pipeline dev` on a sandbox account, and a headless browser to look at it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.surroundings import needs
from harvest_pipeline_tests.waiting import PATIENCE, wait_for

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


#: The marks of tests that look at the UI in the browser. One UI serves all of them.
IN_BROWSER = [
    pytest.mark.browser,
    pytest.mark.slow,
    needs("chromium"),
]
#: Loaded by every Python process of the UI: writes down where each of them connects to.
EGRESS = """
import os, sys

def note(event, arguments):
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    with open(os.environ["EGRESS"], "a") as file:
        file.write(f"{host}\\n")

sys.addaudithook(note)
"""


@dataclass(frozen=True)
class DagsterUI:
    """A running `harvest-pipeline dev`."""

    url: str
    sandbox: SandboxServer
    database: Path
    home: Path
    #: harvest.yaml, for now without an account.
    config: Path
    #: The hosts that its processes have connected to, a line each.
    egress: Path

    @property
    def port(self) -> int:
        """The port that it serves on."""
        return int(self.url.rpartition(":")[2])

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of a GraphQL query."""
        answer = requests.post(
            f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=PATIENCE
        ).json()
        assert "errors" not in answer, answer
        return answer["data"]


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def noting_egress(folder: Path) -> dict[str, str]:
    """Variables that make Python processes write the hosts they connect to into `egress.txt`."""
    (folder / "sitecustomize.py").write_text(EGRESS)
    return {"PYTHONPATH": str(folder), "EGRESS": str(folder / "egress.txt")}


@dataclass(frozen=True)
class Dev:
    """A running `harvest-pipeline dev`."""

    url: str
    process: "subprocess.Popen[bytes]"
    #: What it prints.
    output: Path
    #: Stands in the environment of all that it starts.
    mark: str

    @property
    def egress(self) -> Path:
        """Where `noting_egress` of the folder of its output makes it write."""
        return self.output.with_name("egress.txt")

    def processes(self) -> dict[int, str]:
        """The command lines of it and all that it started, by process id."""
        found = dict[int, str]()
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if f"STARTED_DEV={self.mark}\0" in (folder / "environ").read_text():
                    command = (folder / "cmdline").read_text().replace("\0", " ")
                    if command:  # else it is dead, and nobody has taken note
                        found[int(folder.name)] = command
        return found

    def part(self, of: str) -> int:
        """The process id of the only process with that in its command line."""
        (found,) = [pid for pid, command in self.processes().items() if of in command]
        return found

    def lives(self) -> bool:
        """Whether anything of it is still there."""
        return bool(self.processes())

    def assert_ends(self, end: "Callable[[subprocess.Popen[bytes]], None]") -> None:
        """Ended like this, it goes with exit code 0, and takes everything that it started along."""
        # Until the daemon has begun, it does not know what to do about Ctrl-C.
        if "--read-only" not in self.processes()[self.process.pid]:
            wait_for(lambda: "following daemons" in self.output.read_text(), self.told)
        end(self.process)
        assert self.process.wait(PATIENCE) == 0, self.told()
        wait_for(lambda: not self.lives(), self.told)

    def told(self) -> str:
        """The last that it has printed."""
        return self.output.read_text()[-3000:]


def by_sigterm(server: "subprocess.Popen[bytes]") -> None:
    server.send_signal(signal.SIGTERM)


def by_ctrl_c(server: "subprocess.Popen[bytes]") -> None:
    """As a terminal does: the signal reaches the command and all that it started."""
    os.killpg(server.pid, signal.SIGINT)


def ignore_sigint() -> None:
    """As a shell does for what it puts into the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def started_dev(
    environment: Mapping[str, str],
    output: Path,
    *options: str,
    before: Callable[[], None] | None = None,
) -> Iterator[Dev]:
    """`harvest-pipeline dev` that serves, started with the laxest umask; nothing of it is left."""
    port, mark = free_port(), uuid4().hex
    command = [sys.executable, "-m", "harvest_pipeline.cli", "dev", "--port", str(port), *options]
    with output.open("w") as file:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment, "STARTED_DEV": mark},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0,
            preexec_fn=before,
        )
    started = Dev(f"http://127.0.0.1:{port}", process, output, mark)
    try:

        def serves() -> bool:
            assert process.poll() is None, started.told()
            return _serves(started.url)

        wait_for(serves, started.told)
        yield started
    finally:
        process.kill()
        process.wait()
        wait_for(lambda: not started.lives(), started.told)


@contextmanager
def dev(environment: Mapping[str, str], output: Path, *options: str) -> Iterator[str]:
    """The URL of a `harvest-pipeline dev` that is ended by SIGTERM."""
    with started_dev(environment, output, *options) as started:
        yield started.url
        started.assert_ends(by_sigterm)


def _serves(url: str) -> bool:
    # The port is open before the UI is ready; a question waits for its answer.
    try:
        return requests.get(f"{url}/server_info", timeout=PATIENCE).ok
    except requests.RequestException:
        return False


@pytest.fixture(scope="package")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterUI]:
    """The UI as `make dev` starts it, on a small sandbox account."""
    home = tmp_path_factory.mktemp("dagster home")
    (home / "dagster.yaml").symlink_to(project_folder() / "dagster.yaml")
    folder = tmp_path_factory.mktemp("data")
    (folder / "harvest.yaml").write_text("accounts: []\n")
    with SandboxServer(years=0.3, rate_limit=None) as sandbox:
        environment = {
            **sandbox.environment(),
            "HARVEST_DUCKDB": str(folder / "warehouse.duckdb"),
            # Dagster takes long for each day of each report.
            "HARVEST_START_DATE": (date.today() - timedelta(days=14)).isoformat(),
            "HARVEST_CONFIG": str(folder / "harvest.yaml"),
            "DAGSTER_HOME": str(home),
            **noting_egress(folder),
        }
        with dev(environment, folder / "output.txt") as url:
            yield DagsterUI(
                url,
                sandbox,
                folder / "warehouse.duckdb",
                home,
                folder / "harvest.yaml",
                folder / "egress.txt",
            )


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    """A page of headless Chromium, 1600 by 1000. Names that end in `.test` lead to 127.0.0.1."""
    from playwright.sync_api import sync_playwright

    names = "--host-resolver-rules=MAP *.test 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*FLAGS, names]
        )
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(PATIENCE * 1000)
        yield page
        page.screenshot(path=tmp_path / "last.png")
        browser.close()
