"""`harvest-pipeline dev`, really started: what it serves, and how it begins, sleeps and ends."""

import os
import re
import signal
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from harvest_pipeline.cli.main import main
from harvest_pipeline_tests.cli.ui.conftest import Dev, by_sigterm, started_dev
from harvest_pipeline_tests.sandbox.faults import AnswerWith, Hang
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.slow

PARTS = {
    "server": "harvest_pipeline.cli.webserver",
    "daemon": "dagster._daemon",
    "proxy": "code-server start",
    "code": "api grpc",
}
LOCATION = """
{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError {
  __typename ... on PythonError { errorChain { error { message } } } } } } } }
"""
RELOAD = 'mutation { reloadRepositoryLocation(repositoryLocationName: "harvest") { __typename } }'
EVENTS = """query($run: ID!) { logsForRun(runId: $run) { ... on EventConnection {
  events { ... on MessageEvent { message level } } } } }"""
DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { daemonType healthy } } } }"


@pytest.fixture
def reading(sandbox: SandboxServer) -> Iterator[Hang]:
    """Every run hangs when it reads clients."""
    sandbox.account.request_log.clear()
    sandbox.account.faults.add(hang := Hang(path="/clients", seconds=600, times=None))
    yield hang
    sandbox.account.faults.clear()


def parts(dev: Dev) -> dict[str, int]:
    return {name: dev.part(of) for name, of in PARTS.items()}


def test_a_second_one_says_where_the_first_is(
    dev: Dev,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["dev"]) == 1
    assert capsys.readouterr().err == (
        f"Error: The Dagster UI of {environment['DAGSTER_HOME']} runs already, at {dev.url}; "
        "use that one, or end it first.\n"
    )


def test_one_to_look_stands_beside_it_and_changes_nothing(
    dev: Dev, environment: dict[str, str], tmp_path: Path
) -> None:
    def ignore_sigint() -> None:
        """As a shell does for what it puts into the background."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    output = tmp_path / "look.txt"
    with started_dev(environment, output, "--read-only", before=ignore_sigint) as look:
        commands = " ".join(look.processes().values())
        assert [name for name, of in PARTS.items() if of in commands] == ["server", "proxy", "code"]
        with pytest.raises(AssertionError, match="UnauthorizedError"):
            look.launch("harvest", "people")
        report = f"{look.url}/report_asset_materialization/x"
        assert requests.post(report, json={}, timeout=PATIENCE).status_code == 401
        look.assert_ends(by_sigterm)
        assert "Traceback" not in look.told()
    assert parts(dev)


def test_the_port_is_open_on_the_loopback_address_only(dev: Dev) -> None:
    # Every address that begins with 127 is this machine; a port on 0.0.0.0 is open on all.
    with pytest.raises(OSError, match=r"refused|assign"):
        socket.create_connection(("127.0.0.2", int(dev.url.rpartition(":")[2])), timeout=5)


def test_an_error_of_the_definitions_is_shown_and_reloading_mends_it(
    dev: Dev, environment: dict[str, str]
) -> None:
    config = Path(environment["HARVEST_CONFIG"])
    whole = config.read_text()
    config.write_text("accounts:\n  - nane: acme\n")
    dev.ask(RELOAD)
    assert "harvest.yaml, line 2: " in str(dev.ask(LOCATION))
    config.write_text(whole)
    dev.ask(RELOAD)
    assert "RepositoryLocation" in str(dev.ask(LOCATION))


def test_its_daemons_are_healthy_and_what_a_run_leaves_is_the_owners_alone(
    dev: Dev, environment: dict[str, str]
) -> None:
    run = dev.launch("harvest", "people")
    assert dev.end_of(run) == "SUCCESS"
    home = Path(environment["DAGSTER_HOME"])
    modes = {path: path.lstat().st_mode for path in home.rglob("*") if not path.is_symlink()}
    assert any(run in path.name for path in modes), "the run has left nothing"
    assert {path: stat.filemode(mode) for path, mode in modes.items() if mode & 0o077} == {}

    def statuses() -> dict[str, bool]:
        daemons = dev.ask(DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
        return {each["daemonType"]: each["healthy"] for each in daemons}

    wait_for(lambda: all(statuses().values()), statuses)
    assert {"SCHEDULER", "SENSOR", "BACKFILL", "QUEUED_RUN_COORDINATOR"} <= statuses().keys()


def test_the_terminal_has_a_line_for_each_run_and_the_ui_all_of_its_events(
    dev: Dev, sandbox: SandboxServer
) -> None:
    begin = len(dev.output.read_text())
    assert dev.output.read_text().startswith("Dagster starts, which takes a few seconds ...\n")
    sandbox.account.faults.add(AnswerWith(path="/roles", times=None, status=403))
    good, bad = (dev.launch("harvest", report) for report in ("people", "roles"))
    assert [dev.end_of(run) for run in (good, bad)] == ["SUCCESS", "FAILURE"]
    wait_for(lambda: dev.output.read_text().count("\n", begin) >= 2, dev.told)
    sandbox.account.faults.clear()
    said = [line.partition("  ")[2] for line in dev.output.read_text()[begin:].splitlines()]
    well, badly = sorted(said, key=lambda line: bad in line)
    assert re.fullmatch(rf"__ASSET_JOB  {good}  SUCCESS after [\d.]+ s", well)
    assert re.fullmatch(
        rf"__ASSET_JOB  {bad}  FAILURE after [\d.]+ s: harvest__roles: Harvest does not .*", badly
    )
    events = dev.ask(EVENTS, run=good)["logsForRun"]["events"]
    assert {"DEBUG", "INFO"} <= {event["level"] for event in events}
    assert any(event["message"].startswith("Loaded ") for event in events)


@pytest.mark.long
def test_a_machine_that_sleeps_in_a_run_goes_on_with_it(dev: Dev, sandbox: SandboxServer) -> None:
    before = parts(dev)
    sandbox.account.request_log.clear()
    sandbox.account.faults.add(Hang(path="/clients", seconds=5, times=1))
    run = dev.launch("harvest", "people", "clients")
    wait_for(lambda: "/v2/clients" in sandbox.account.request_log.paths())
    asleep = list(dev.processes())
    for pid in asleep:
        os.kill(pid, signal.SIGSTOP)
    # Dagster's code servers end themselves if they hear nothing for 30 and 45 seconds.
    time.sleep(60)
    for pid in asleep:
        os.kill(pid, signal.SIGCONT)
    later = dev.launch("harvest", "people", "clients")
    assert [dev.end_of(run), dev.end_of(later)] == ["SUCCESS", "SUCCESS"]
    assert parts(dev) == before


@pytest.mark.long
@pytest.mark.parametrize("name", ["code", "proxy"])
def test_a_run_that_is_launched_while_its_code_server_is_gone_waits_for_the_next(
    dev: Dev, name: str
) -> None:
    gone, daemon = parts(dev)[name], parts(dev)["daemon"]
    runs: list[str] = []

    def launched_beside() -> bool:
        """Stop the daemon and launch a run. It cannot be launched while the code is being loaded,
        nor if the daemon was stopped with the lock of Dagster's database."""
        os.kill(daemon, signal.SIGSTOP)
        with suppress(AssertionError):
            runs.append(dev.launch("harvest", "people", "clients"))
        if not runs:
            os.kill(daemon, signal.SIGCONT)
        return bool(runs)

    wait_for(launched_beside)
    os.kill(gone, signal.SIGKILL)
    os.kill(daemon, signal.SIGCONT)
    assert dev.end_of(runs[0]) == "SUCCESS"


@pytest.mark.long
def test_whichever_part_is_killed_takes_the_others_and_their_runs_along(
    dev: Dev, environment: dict[str, str], sandbox: SandboxServer, reading: Hang, tmp_path: Path
) -> None:
    def run_of(started: Dev) -> str:
        sandbox.account.request_log.clear()
        run = started.launch("harvest", "people", "clients")
        wait_for(lambda: "/v2/clients" in sandbox.account.request_log.paths(), started.told)
        return run

    run = run_of(dev)
    dev.process.kill()
    dev.process.wait()
    wait_for(lambda: not dev.lives(), dev.told)
    for part, said in {
        "server": "was killed (SIGKILL), and its daemon and runs ended with it",
        "daemon": "The Dagster daemon ended (exit code -9), and the UI with it",
    }.items():
        # The home is free at once, and the run that died is failed.
        with started_dev(environment, tmp_path / f"{part}.txt") as started:
            assert started.end_of(run) != "SUCCESS"
            run = run_of(started)
            os.kill(started.part(PARTS[part]), signal.SIGKILL)
            assert started.process.wait(PATIENCE) != 0
            wait_for(lambda: not started.lives(), started.told)
            assert said in started.output.read_text()
