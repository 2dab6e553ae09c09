"""A `harvest-pipeline dev` on a sandbox account, Dagster's own webserver, a headless browser."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
import requests
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster_webserver.app import create_app_from_workspace_process_context
from starlette.types import ASGIApp

from harvest_pipeline.cli.guard import Guard
from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.browser import page as page
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.servers import free_port
from harvest_pipeline_tests.waiting import PATIENCE, wait_for

#: A proxy in front of the guard.
PROXY = "dagster.example.com"
REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "harvest"}
_LAUNCH = """
mutation($job: JobOrPipelineSelector!, $config: RunConfigData!) {
  launchRun(executionParams: {selector: $job, runConfigData: $config}) {
    __typename ... on LaunchRunSuccess { run { runId } } } }"""
_BEATS = "{ instance { daemonHealth { allDaemonStatuses { required lastHeartbeatTime } } } }"
_STATUS = "query($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"


@dataclass(frozen=True)
class Dev:
    """A running `harvest-pipeline dev`."""

    url: str
    process: "subprocess.Popen[bytes]"
    #: What it prints.
    output: Path
    #: Stands in the environment of all that it starts.
    mark: str

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

    def told(self) -> str:
        """The last that it has printed."""
        return self.output.read_text()[-3000:]

    def assert_ends(self, end: "Callable[[subprocess.Popen[bytes]], None]") -> None:
        """Ended like this, it goes with exit code 0, and takes everything that it started along."""
        end(self.process)
        assert self.process.wait(PATIENCE) == 0, self.told()
        wait_for(lambda: not self.lives(), self.told)

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of a GraphQL answer."""
        return asked(self.url, query, **variables)

    def launch(self, account: str, *reports: str, config: Mapping[str, Any] | None = None) -> str:
        """Materialize reports without days as the launchpad does; the id of the run."""
        assets = [{"path": [account, report]} for report in reports]
        job = {**REPOSITORY, "jobName": "__ASSET_JOB", "assetSelection": assets}
        answer = self.ask(_LAUNCH, job=job, config=config or {})["launchRun"]
        assert "run" in answer, answer
        return answer["run"]["runId"]

    def status(self, run: str) -> str:
        return self.ask(_STATUS, run=run)["runOrError"]["status"]

    def end_of(self, run: str) -> str:
        """The status of a run when it has ended."""
        over = ("SUCCESS", "FAILURE", "CANCELED")
        wait_for(lambda: self.status(run) in over, lambda: f"{self.status(run)}: {self.told()}")
        return self.status(run)


def asked(url: str, query: str, **variables: Any) -> Any:
    """The data of a GraphQL answer."""
    answer = requests.post(
        f"{url}/graphql", json={"query": query, "variables": variables}, timeout=PATIENCE
    ).json()
    assert "errors" not in answer, answer
    return answer["data"]


def by_sigterm(server: "subprocess.Popen[bytes]") -> None:
    server.send_signal(signal.SIGTERM)


def by_ctrl_c(server: "subprocess.Popen[bytes]") -> None:
    """As a terminal does: the signal reaches the whole group of the command."""
    os.killpg(server.pid, signal.SIGINT)


@contextmanager
def started_dev(
    environment: Mapping[str, str],
    output: Path,
    *options: str,
    before: Callable[[], None] | None = None,
) -> Iterator[Dev]:
    """`harvest-pipeline dev` that serves, with its daemon if it has one, started with the laxest
    umask; nothing of it is left."""
    port, mark, began = free_port(), uuid4().hex, time.time()
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

    def serves() -> bool:
        assert process.poll() is None, started.told()
        with suppress(requests.RequestException):
            # Until the daemon has begun, it does not know what to do about Ctrl-C.
            beats = asked(started.url, _BEATS)["instance"]["daemonHealth"]["allDaemonStatuses"]
            begun = [each["lastHeartbeatTime"] or 0 for each in beats if each["required"]]
            return "--read-only" in options or max(begun) > began
        return False

    try:
        wait_for(serves, started.told)
        yield started
    finally:
        process.kill()
        process.wait()
        wait_for(lambda: not started.lives(), started.told)


@pytest.fixture(scope="package")
def sandbox() -> Iterator[SandboxServer]:
    """A small sandbox account."""
    with SandboxServer(years=0.3, rate_limit=None) as server:
        yield server


@pytest.fixture(scope="package")
def environment(sandbox: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A project on that account, with a Dagster home of its own."""
    folder = tmp_path_factory.mktemp("a project")
    (folder / "harvest.yaml").write_text("accounts: []\n")
    (folder / "home").mkdir()
    (folder / "home" / "dagster.yaml").symlink_to(project_folder() / "dagster.yaml")
    return {
        **sandbox.environment(),
        "HARVEST_DUCKDB": str(folder / "warehouse.duckdb"),
        # Dagster takes long for each day of each report.
        "HARVEST_START_DATE": (date.today() - timedelta(days=14)).isoformat(),
        "HARVEST_CONFIG": str(folder / "harvest.yaml"),
        "DAGSTER_HOME": str(folder / "home"),
    }


@pytest.fixture(scope="package")
def dev(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """The one UI of all tests here. The last test of test_dev.py kills it."""
    with started_dev(environment, tmp_path_factory.mktemp("dev") / "output.txt") as started:
        yield started


@contextmanager
def served(app: ASGIApp, listener: socket.socket) -> Iterator[int]:
    quiet = {"lifespan": "off", "log_level": "critical", "timeout_graceful_shutdown": 3}
    server = uvicorn.Server(uvicorn.Config(app, **quiet))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="package")
def ports() -> Iterator[tuple[int, int]]:
    """The ports of Dagster's own web application and of the guarded one, on one instance."""
    own, guarded = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    with dg.instance_for_test() as instance, WorkspaceProcessContext(instance, None) as context:
        app = create_app_from_workspace_process_context(context)
        guard = Guard(app, guarded.getsockname()[1], [PROXY])
        with served(app, own) as first, served(guard, guarded) as second:
            yield first, second
