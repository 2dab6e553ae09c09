"""The parts of `harvest-pipeline dev` begin, sleep and end together; one home has one daemon."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.sandbox.faults import Hang
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.security.webserver import WebServer
from harvest_pipeline_tests.ui.conftest import Dev, by_sigterm, started_dev
from harvest_pipeline_tests.waiting import PATIENCE, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PARTS = {
    "server": "harvest_pipeline.ui.webserver",
    "daemon": "dagster._daemon",
    "proxy": "code-server start",
    "code": "api grpc",
}


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(years=0.1, rate_limit=None) as server:
        yield server


@pytest.fixture
def environment(sandbox: SandboxServer, tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").symlink_to(project_folder() / "dagster.yaml")
    return {
        **sandbox.environment(),
        "HARVEST_DUCKDB": str(tmp_path / "warehouse.duckdb"),
        "HARVEST_START_DATE": sandbox.first_day.isoformat(),
        "DAGSTER_HOME": str(home),
    }


def ready(started: Dev) -> WebServer:
    """The UI, when its daemon runs."""
    wait_for(lambda: "following daemons" in started.output.read_text())
    return WebServer(started.url)


def parts(started: Dev) -> dict[str, int]:
    return {name: started.part(of) for name, of in PARTS.items()}


@pytest.mark.parametrize("killed", ["command", "server", "daemon"])
def test_whichever_part_is_killed_takes_the_others_and_their_runs_along(
    environment: dict[str, str], sandbox: SandboxServer, tmp_path: Path, killed: str
) -> None:
    with started_dev(environment, tmp_path / "output.txt") as first:
        server = ready(first)
        sandbox.account.faults.add(Hang(path="/clients", seconds=600, times=None))
        run = server.launch("harvest", "people", "clients")
        wait_for(lambda: "/v2/clients" in sandbox.account.request_log.paths())
        os.kill(first.process.pid if killed == "command" else parts(first)[killed], signal.SIGKILL)
        wait_for(lambda: not first.lives(), 20)
        if killed == "server":
            assert "was killed (SIGKILL), and its daemon and runs" in first.output.read_text()
    sandbox.account.faults.clear()
    # The home is free at once; the run that died is failed and, as Dagster was asked, done again.
    with started_dev(environment, tmp_path / "again.txt") as second:
        server = ready(second)
        wait_for(lambda: server.status(run) == "FAILURE", 60)
        second.assert_ends(by_sigterm)


def test_a_second_one_on_the_same_home_says_where_the_first_is_and_one_to_look_has_no_daemon(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with started_dev(environment, tmp_path / "output.txt") as first:
        ready(first)
        second = subprocess.run(
            [sys.executable, "-m", "harvest_pipeline.cli", "dev"],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert (second.returncode, second.stdout) == (1, "")
        assert second.stderr == (
            f"Error: The Dagster UI of {environment['DAGSTER_HOME']} runs already, at {first.url}; "
            "use that one, or end it first.\n"
        )
        with started_dev(environment, tmp_path / "look.txt", "--read-only") as look:
            assert not any(PARTS["daemon"] in each for each in look.processes().values())
            look.assert_ends(by_sigterm)
        assert parts(first)
        first.assert_ends(by_sigterm)


def test_a_machine_that_sleeps_for_two_minutes_in_a_run_goes_on_with_it(
    environment: dict[str, str], sandbox: SandboxServer, tmp_path: Path
) -> None:
    with started_dev(environment, tmp_path / "output.txt") as started:
        server = ready(started)
        before = parts(started)
        sandbox.account.faults.add(Hang(path="/clients", seconds=5, times=1))
        run = server.launch("harvest", "people", "clients")
        wait_for(lambda: "/v2/clients" in sandbox.account.request_log.paths())
        asleep = list(started.processes())
        for pid in asleep:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(130)
        for pid in asleep:
            os.kill(pid, signal.SIGCONT)
        later = server.launch("harvest", "people", "clients")
        for each in (run, later):
            wait_for(lambda each=each: server.status(each) == "SUCCESS")
        assert parts(started) == before


def test_a_run_that_is_launched_while_its_code_server_is_gone_waits_for_the_next(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with started_dev(environment, tmp_path / "output.txt") as started:
        server = ready(started)
        for name in ("code", "proxy"):
            gone, daemon = parts(started)[name], parts(started)["daemon"]
            runs: list[str] = []
            wait_for(lambda daemon=daemon, runs=runs: launched_beside(server, daemon, runs))
            (run,) = runs
            os.kill(gone, signal.SIGKILL)
            os.kill(daemon, signal.SIGCONT)
            wait_for(lambda run=run: server.status(run) == "SUCCESS")


def launched_beside(server: WebServer, daemon: int, runs: list[str]) -> bool:
    """Stop the daemon and launch a run, whose id is added. It cannot be launched while the code is
    being loaded, nor if the daemon was stopped with the lock of Dagster's database."""
    os.kill(daemon, signal.SIGSTOP)
    with suppress(KeyError):
        runs.append(server.launch("harvest", "people", "clients"))
    if not runs:
        os.kill(daemon, signal.SIGCONT)
    return bool(runs)
