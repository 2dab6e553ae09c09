"""A run whose process was killed keeps nobody waiting, and the next command shows it as failed."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.cli.command import Place
from harvest_pipeline_tests.conftest import TODAY
from harvest_pipeline_tests.sandbox.faults import Hang
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.waiting import PATIENCE, wait_for
from harvest_pipeline_tests.warehouse.test_database import held

pytestmark = pytest.mark.slow

FAILURE, SUCCESS = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS
NOT_STARTED = dg.DagsterRunStatus.NOT_STARTED
SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT]


class Killing(Place):
    """A place in which Dagster's own command is started, to be killed."""

    def __init__(self, sandbox: SandboxServer, folder: Path) -> None:
        super().__init__(sandbox, folder)
        self.started: list[subprocess.Popen[bytes]] = []
        # Dagster's databases are made now: two processes that make them at once fail.
        with self.instance():
            pass

    def start(self, *words: str) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", *words],
            cwd=project_folder(),
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.started.append(process)
        return process

    def materialize(self, report: str, days: int) -> "subprocess.Popen[bytes]":
        """The report over so many days."""
        window = f"{TODAY - timedelta(days=days - 1)}...{TODAY}"
        return self.start(
            *("dagster", "asset", "materialize", "-m", "harvest_pipeline.definitions"),
            *("--select", f"harvest/{report}", "--partition-range", window),
        )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Killing]:
    with SandboxServer(today=TODAY, years=0.3, rate_limit=None) as server:
        killing = Killing(server, tmp_path)
        yield killing
        for process in killing.started:
            process.kill()
            process.wait()


def has_run(place: Place, status: dg.DagsterRunStatus) -> bool:
    with place.instance() as instance:
        return bool(instance.get_runs(dg.RunsFilter(statuses=[status])))


def begun(place: Killing, stage: str) -> "subprocess.Popen[bytes]":
    """The command, at that stage."""
    sandbox = place.sandbox.account
    if stage == "planning":
        process = place.materialize("daily", days=90)
        wait_for(lambda: has_run(place, NOT_STARTED))
    elif stage == "reading":
        sandbox.faults.add(Hang(path="/invoices", seconds=600, times=None))
        process = place.materialize("invoices", days=2)
        wait_for(lambda: "/v2/invoices" in sandbox.request_log.paths())
    else:
        assert stage == "loading"
        process = place.materialize("daily", days=30)
        wal = place.database.with_name(f"{place.database.name}.wal")
        wait_for(lambda: wal.exists() and wal.stat().st_size)
    return process


def assert_dead_run_keeps_nobody_waiting(place: Place) -> None:
    """The next command begins at once, and ends well."""
    place.sandbox.account.faults.clear()
    with place.instance() as instance:
        (dead,) = instance.get_runs()
    done = place.run("sync", "clients")
    assert done.returncode == 0, done.stderr
    assert "Waiting" not in done.stderr
    with place.instance() as instance:
        assert (run := instance.get_run_by_id(dead.run_id)) and run.status == FAILURE
        assert [each.status for each in instance.get_runs()] == [SUCCESS, FAILURE]
    assert list((place.home / "running").iterdir()) == []


@pytest.mark.parametrize(
    "stage",
    [
        "planning",
        pytest.param("reading", marks=pytest.mark.long),
        pytest.param("loading", marks=pytest.mark.long),
    ],
)
def test_a_run_that_is_killed_at_any_stage_is_failed_by_the_next_command(
    place: Killing, stage: str
) -> None:
    process = begun(place, stage)
    process.kill()
    process.wait()
    assert not has_run(place, FAILURE)
    assert_dead_run_keeps_nobody_waiting(place)


@pytest.mark.parametrize("number", SIGNALS[1:], ids=lambda number: number.name)
@pytest.mark.long
def test_whatever_ends_the_process_of_a_run_the_next_command_begins_at_once(
    place: Killing, number: signal.Signals
) -> None:
    process = begun(place, "reading")
    process.send_signal(number)
    process.wait(30)
    assert_dead_run_keeps_nobody_waiting(place)


@pytest.mark.long
def test_dagsters_own_command_fails_the_dead_run_too(place: Killing) -> None:
    process = begun(place, "reading")
    process.kill()
    process.wait()
    place.sandbox.account.faults.clear()
    assert place.materialize("invoices", days=2).wait(240) == 0
    with place.instance() as instance:
        assert [each.status for each in instance.get_runs()] == [SUCCESS, FAILURE]


@pytest.mark.long
def test_a_dagster_daemon_of_ones_own_fails_the_dead_run_within_a_minute(
    place: Killing, tmp_path: Path
) -> None:
    process = begun(place, "reading")
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    place.start("dagster._daemon", "run", "-w", str(workspace))
    time.sleep(40)  # longer than the daemon lets pass between two signs of life
    assert has_run(place, dg.DagsterRunStatus.STARTED)
    process.kill()
    process.wait()
    wait_for(lambda: has_run(place, FAILURE))


@pytest.mark.long
def test_runs_of_one_account_wait_for_each_other_and_for_others_that_hold_the_database(
    place: Killing,
) -> None:
    process = begun(place, "reading")
    second = started(place, "clients")
    until(second, "Waiting: another run of harvest has to end first")
    process.kill()
    assert second.wait(PATIENCE) == 0
    with held(place.database) as pid:
        third = started(place, "tasks")
        line = until(third, f"{place.database} is held by ")
    assert line.endswith(f"(process {pid}), 0 s so far.\n")
    assert third.wait(PATIENCE) == 0


def started(place: Killing, report: str) -> "subprocess.Popen[str]":
    """A `sync` of the report, without a terminal."""
    return subprocess.Popen(
        [sys.executable, "-m", "harvest_pipeline.cli", "sync", report],
        env=place.environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(process: "subprocess.Popen[str]", said: str) -> str:
    """The line on which it says that."""
    assert process.stderr
    lines = list[str]()
    for line in process.stderr:
        lines.append(line)
        if said in line:
            return line
    raise AssertionError("".join(lines))
