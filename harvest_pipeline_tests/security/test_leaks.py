"""No secret is anywhere but where it was put, and nobody but Harvest is asked, whatever fails.

Everything is played once, in a project and a Dagster home of its own; then every place that a run,
a command or the web server writes to or tells from is searched. The system itself is asked which
programs were started and who was connected to, through strace: libraries that are not Python
(DuckDB, gRPC) open connections that Python knows nothing of.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from harvest_pipeline_tests.cli.ui.conftest import by_ctrl_c, started_dev
from harvest_pipeline_tests.postgres import binaries
from harvest_pipeline_tests.sandbox.faults import Hang
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.security import failures
from harvest_pipeline_tests.security.canaries import Canaries
from harvest_pipeline_tests.security.play import given_away, stage
from harvest_pipeline_tests.security.told import everything
from harvest_pipeline_tests.surroundings import needs
from harvest_pipeline_tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.long

#: -D: the tracer is a child, so that signals reach the program itself.
STRACE = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-s", "9999"]
STRACE += ["-e", "trace=execve,connect,sendto,sendmsg", "-o"]
TERMINATE = "mutation($run: String!) { terminateRun(runId: $run) { __typename } }"
_ADDRESS = re.compile(r'inet_(?:addr\(|pton\(AF_INET6, )"([^"]+)"')


def traced(trace: Path) -> list[str]:
    """What stands before a command, so that its system calls are written to `trace`."""
    return [*STRACE, str(trace)] if shutil.which("strace") else []


def addressed(trace: Path) -> set[str]:
    """The addresses to which anything was sent."""
    return set(_ADDRESS.findall(trace.read_text(errors="replace")))


@dataclass
class Played:
    """What was played, and what it has left."""

    folder: Path
    traces: list[Path]
    canaries: Canaries = field(default_factory=lambda: Canaries(failures.SECRETS))
    outcomes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    statuses: dict[str, str] = field(default_factory=dict[str, str])
    told_by_server: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])

    @cached_property
    def in_files(self) -> dict[str, set[str]]:
        """What is found in files that do not hold secrets because they were put there."""
        meant = [*(self.folder / "stores").rglob("*"), self.folder / "keyring.json"]
        meant += [self.folder / "project" / ".env", self.folder / "harvest.yaml"]
        # The sandbox's own credentials stand in its code.
        code = (self.folder / "project" / "harvest_pipeline").rglob("*")
        return self.canaries.below(self.folder, but=[*meant, *code])


@pytest.fixture(scope="module")
def played(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Played]:
    """Every failure, once; without Postgres not those of the database that machines share."""
    state = request.getfixturevalue("postgres").database() if binaries() else ""
    outside = tmp_path_factory.mktemp("traces")
    played = Played(
        tmp_path_factory.mktemp("leaks"), [outside / "failures", outside / "web server"]
    )
    environment = stage(played.folder)
    with (played.folder / "output" / "play.txt").open("w") as output:
        play = [sys.executable, "-m", "harvest_pipeline_tests.security.play", str(played.folder)]
        done = subprocess.run(
            [*traced(played.traces[0]), *play, str(results := outside / "results.json")],
            cwd=played.folder,
            env={**environment, "TEST_STATE": state},
            stdout=output,
            stderr=output,
            timeout=PATIENCE,
        )
    assert done.returncode == 0, Path(output.name).read_text()[-3000:]
    found = json.loads(results.read_text())
    played.outcomes = found["outcomes"]
    with SandboxServer(years=0.3, rate_limit=None) as sandbox:
        shared = {"HARVEST_STATE": state, "HARVEST_STATE_KEY": failures.STATE_KEY}
        play_web_server(played, {**environment, **shared}, sandbox, outside / "python")
        for number, secret in enumerate([*found["secrets"], *given_away(sandbox)]):
            played.canaries.add(f"secret {number} of the sandbox", secret)
        yield played


def play_web_server(
    played: Played, environment: dict[str, str], sandbox: SandboxServer, python: Path
) -> None:
    """The UI on three accounts, runs that are launched from it, and all that it tells."""
    faults = sandbox.faults
    names = ("acme", "blue_sky", "cedar")
    lines = [f"  - {{name: {name}, account_id: {sandbox.account_id}}}\n" for name in names]
    (played.folder / "harvest.yaml").write_text("".join(["accounts:\n", *lines]))
    # For the account that has no credentials of its own.
    dotenv = f"HARVEST_ACCESS_TOKEN='{failures.DOTENV_TOKEN}'\n"
    (played.folder / "project" / ".env").write_text(dotenv)
    environment = {
        **environment,
        "HARVEST_API_URL": sandbox.api_url,
        "HARVEST_ID_URL": sandbox.id_url,
        "HARVEST_CONFIG": str(played.folder / "harvest.yaml"),
        "HARVEST_START_DATE": sandbox.first_day.isoformat(),
        "HARVEST_DUCKDB": str(played.folder / "data" / "three.duckdb"),
        "HARVEST_ACME_ACCESS_TOKEN": sandbox.tokens["administrator"],
        "HARVEST_BLUE_SKY_CLIENT_ID": failures.CLIENT_ID,
        "HARVEST_BLUE_SKY_CLIENT_SECRET": failures.CLIENT_SECRET,
        "HARVEST_BLUE_SKY_REFRESH_TOKEN": failures.REFRESH_TOKEN,
    }
    command = shlex.join([*traced(played.traces[1]), sys.executable])
    python.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    python.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(python))
        patch.delenv("PYTHON_DOTENV_DISABLED")
        with started_dev(environment, played.folder / "output" / "dev.txt") as dev:
            launched = {"resources": {"cedar": {"config": {"access_token": failures.LAUNCHED}}}}
            runs = {
                "acme": dev.launch("acme", "people", "clients"),
                "blue_sky": dev.launch("blue_sky", "people", "clients"),
                "refused": dev.launch("cedar", "people", config=launched),
                "wrong": dev.launch("cedar", "people"),
            }
            for run in runs.values():
                dev.end_of(run)
            faults.add(Hang(path="/users", seconds=PATIENCE))
            runs["terminated"] = dev.launch("acme", "people", "clients")
            wait_for(lambda: not faults.waiting, dev.told)
            dev.ask(TERMINATE, run=runs["terminated"])
            played.statuses = {name: dev.end_of(run) for name, run in runs.items()}
            job = "acme_all_reports"
            played.told_by_server = list(everything(dev, job))
            # A run that is killed leaves its spool, with the page that it has read.
            faults.add(
                failures.next_page(f"{sandbox.api_url}/clients?access_token={failures.OF_ANSWER}")
            )
            faults.add(Hang(path="/clients", seconds=PATIENCE))
            dev.launch("acme", "clients")
            wait_for(lambda: not faults.waiting, dev.told)
            for pid, command in dev.processes().items():
                if "spawn_main" in command:
                    os.kill(pid, signal.SIGKILL)
            dev.assert_ends(by_ctrl_c)


def test_every_failure_happened_and_said_what_it_was(played: Played) -> None:
    """A failure that does not happen would leak nothing either."""
    wrong = [
        f"{each['name']}: {each['told'][-500:]!r}"
        for each in played.outcomes
        if each["ok"] is each["fails"] or not re.search(each["expected"], each["told"])
    ]
    assert not wrong, "\n".join(wrong)
    assert len(played.outcomes) > 100
    assert played.statuses == {
        "acme": "SUCCESS",
        "blue_sky": "FAILURE",
        "refused": "FAILURE",
        "wrong": "FAILURE",
        "terminated": "CANCELED",
    }


def test_the_places_that_are_searched_are_not_empty(played: Played) -> None:
    files = [path.name for path in played.folder.rglob("*") if path.is_file()]
    for name in ("runs.db", "index.db", "warehouse.duckdb", "three.duckdb", "play.txt", "dev.txt"):
        assert name in files
    spools = (played.folder / "project" / "data" / "state").glob("spool-*/*")
    assert any(path.stat().st_size for path in spools)
    runs = [name for name, _ in played.told_by_server if name.startswith("events of")]
    assert len(runs) > 50
    assert all(content for _, content in played.told_by_server)


def test_no_secret_is_in_what_runs_and_commands_say(played: Played) -> None:
    told = {each["name"]: played.canaries.within(each["told"].encode()) for each in played.outcomes}
    assert {name: found for name, found in told.items() if found} == {}


def test_no_secret_is_in_any_file_but_those_for_secrets(played: Played) -> None:
    """Dagster keeps the config of a launch in the tables of runs, and shows it there."""
    found = {place: names - {"launched"} for place, names in played.in_files.items()}
    assert {place: names for place, names in found.items() if names} == {}
    kept = {place for place, names in played.in_files.items() if "launched" in names}
    assert kept <= {"home/history/runs.db", "home/history/runs.db-wal"}


def test_no_secret_is_in_what_the_web_server_tells(played: Played) -> None:
    found = {name: played.canaries.within(content) for name, content in played.told_by_server}
    for name, secrets in found.items():
        if name == "runs" or name.startswith("debug file"):
            secrets.discard("launched")
    assert {name: secrets for name, secrets in found.items() if secrets} == {}


@needs("strace")
def test_no_secret_is_in_the_arguments_of_any_program(played: Played) -> None:
    lines = [
        line
        for trace in played.traces
        for line in trace.read_bytes().splitlines()
        if b"execve(" in line and failures.OF_HOLDER.encode() not in line
    ]
    assert any(b"grpc" in line for line in lines)
    assert played.canaries.within(b"\n".join(lines)) == set()


@needs("strace")
def test_runs_commands_and_the_ui_ask_the_sandbox_and_nobody_else(
    played: Played, tmp_path: Path
) -> None:
    for trace in played.traces:
        assert addressed(trace) <= {"127.0.0.1", "::1"}, trace.name
        assert "127.0.0.1" in addressed(trace)
    # Dagster writes here what its telemetry would send.
    assert not (played.folder / "home" / "logs" / "event.log").exists()
    # Anybody else would be seen.
    code = """
import socket
for family, address in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(family, kind) as one:
            one.settimeout(0.2)
            try:
                if kind is socket.SOCK_STREAM: one.connect((address, 80))
                else: one.sendto(b"x", (address, 53))
            except OSError:
                pass
"""
    trace = tmp_path / "trace"
    subprocess.run([*traced(trace), sys.executable, "-c", code], check=True, timeout=PATIENCE)
    wait_for(lambda: addressed(trace) == {"192.0.2.1", "2001:db8::1"}, lambda: "the trace")
