"""Ctrl-C: the run ends as cancelled, what was loaded stays, nothing is left lying about."""

import os
import shutil
import signal
import threading
from pathlib import Path

import dagster as dg
import pytest

from harvest_pipeline.cli.running import Cancelling
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.cli.command import Place, Terminal
from harvest_pipeline_tests.places import place_at
from harvest_pipeline_tests.sandbox.faults import Hang
from harvest_pipeline_tests.sandbox.truth import truth
from harvest_pipeline_tests.waiting import PATIENCE

CANCELED = dg.DagsterRunStatus.CANCELED

pytestmark = pytest.mark.slow


def hanging(place: Place) -> Terminal:
    """A run that has loaded the clients, and waits for Harvest to answer with the invoices."""
    place.sandbox.account.faults.add(Hang(path="/invoices", seconds=PATIENCE, times=None))
    terminal = Terminal(place, "sync", "clients", "invoices", "--days-back", "50")
    terminal.until(lambda: "[1/2]  invoices  0 rows  1 requests" in terminal.output)
    return terminal


def assert_cancelled(place: Place, terminal: Terminal, loaded: str = "clients") -> None:
    assert terminal.end() == 130
    assert terminal.lines()[-1] == f"Cancelled; what had been loaded stays: {loaded}."
    assert "Traceback" not in terminal.output
    assert place.last_run().status == CANCELED


def test_ctrl_c_keeps_the_old_rows_and_what_was_loaded_and_removes_the_spool(place: Place) -> None:
    assert place.run("sync", "invoices", "--days-back", "50").returncode == 0
    old = place.query("SELECT * FROM invoices ORDER BY id")
    assert old
    terminal = hanging(place)
    (folder,) = terminal.spools()
    assert folder.exists()
    terminal.type_ctrl_c()
    assert_cancelled(place, terminal)
    assert max(len(line) for line in terminal.lines() if line.startswith("[")) < 100
    (result,) = [line for line in terminal.lines() if line.startswith("invoices ")]
    assert result.endswith("cancelled")
    assert not folder.exists()
    clients = [(row["id"],) for row in truth(place.sandbox.account.records, "clients")]
    assert place.query("SELECT id FROM clients ORDER BY id") == clients
    assert place.query("SELECT * FROM invoices ORDER BY id") == old
    assert len(place.query("SELECT * FROM _loads WHERE record = 'invoices'")) == 1


@pytest.mark.long
def test_pressing_ctrl_c_again_and_again_changes_nothing(place: Place) -> None:
    terminal = hanging(place)
    for _ in range(4):
        terminal.type_ctrl_c()
        terminal.read()
    assert_cancelled(place, terminal)


@pytest.mark.long
def test_sigterm_cancels_likewise(place: Place) -> None:
    terminal = hanging(place)
    terminal.send(signal.SIGTERM)
    assert_cancelled(place, terminal)


@pytest.mark.long
def test_cancelling_in_the_ui_ends_the_command_before_the_next_report(place: Place) -> None:
    place.sandbox.account.faults.add(Hang(path="/clients", seconds=8, times=1))
    terminal = Terminal(place, "sync", "clients", "invoices", "--days-back", "50")
    terminal.until(lambda: "clients  0 rows" in terminal.output)
    with place.instance() as instance:
        instance.report_run_canceling(place.last_run())
    assert_cancelled(place, terminal)


@pytest.mark.long
def test_a_run_whose_process_was_killed_is_failed_by_the_next_command(place: Place) -> None:
    # The first load would wait for what is older than the first day, without a spool yet.
    assert place.run("sync", "invoices", "--days-back", "50").returncode == 0
    terminal = hanging(place)
    (folder,) = terminal.spools()
    terminal.send(signal.SIGKILL)
    assert terminal.end() == -signal.SIGKILL
    shutil.rmtree(folder)  # a later run would, a day from now
    dead = place.last_run()
    place.sandbox.account.faults.clear()
    assert place.run("sync", "tasks").returncode == 0
    with place.instance() as instance:
        run = instance.get_run_by_id(dead.run_id)
    assert run
    assert run.status == dg.DagsterRunStatus.FAILURE


def test_ctrl_c_while_another_run_has_the_account(place: Place) -> None:
    with Warehouse(place_at(place.database), "harvest").reserved():
        terminal = Terminal(place, "sync", "clients")
        terminal.until(lambda: "another run of harvest has to end first" in terminal.output)
        terminal.type_ctrl_c()
        assert_cancelled(place, terminal, "nothing")


def test_ctrl_c_while_dagster_sleeps_before_it_tries_a_report_again(tmp_path: Path) -> None:
    @dg.asset
    def away() -> None:
        threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        raise dg.RetryRequested(max_retries=1, seconds_to_wait=PATIENCE)

    job = dg.Definitions([away]).resolve_implicit_global_asset_job_def()
    run_id = "4b5ac1a6-1a1b-4dd3-8ee4-2a9b4b8d3b52"
    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
        Cancelling(instance, run_id) as cancelling,
    ):
        instance.add_event_listener(run_id, cancelling.hear)  # pyright: ignore[reportUnknownMemberType]
        job.execute_in_process(instance=instance, run_id=run_id, raise_on_error=False)
        run = instance.get_run_by_id(run_id)
    assert run
    assert run.status == CANCELED
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_an_interrupt_in_the_middle_of_a_query_is_one(tmp_path: Path) -> None:
    """DuckDB makes another error of whatever a handler raises."""
    # With more threads, a thread that only waits for another one hears of it when that one ends.
    warehouse = Warehouse(
        place_at(tmp_path / "warehouse.duckdb"), "harvest", settings={"threads": 1}
    )
    with pytest.raises(KeyboardInterrupt), warehouse.connect() as connection:
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        connection.execute("SELECT sum(range % 7) FROM range(1000000000000)")
