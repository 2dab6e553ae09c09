"""Ctrl-C: the run ends as cancelled, what was loaded stays, nothing is left lying about."""

import os
import shutil
import signal

import dagster as dg
import pytest

from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.sandbox.faults import Hang
from harvest_pipeline_tests.sandbox.truth import truth
from harvest_pipeline_tests.sync.command import Place, Terminal
from harvest_pipeline_tests.waiting import PATIENCE, wait_for

CANCELED = dg.DagsterRunStatus.CANCELED

pytestmark = pytest.mark.slow


def hanging(place: Place) -> Terminal:
    """A run that has loaded the clients, and waits for Harvest to answer with the invoices."""
    place.sandbox.account.faults.add(Hang(path="/invoices", seconds=PATIENCE, times=None))
    terminal = Terminal(place, "sync", "clients", "invoices", "--days-back", "50")
    terminal.until(lambda: "invoices  pages 0  0 rows  3 requests" in terminal.output)
    return terminal


def assert_cancelled(place: Place, terminal: Terminal) -> None:
    assert terminal.end() == 130
    assert terminal.lines()[-1] == "Cancelled; what had been loaded stays: clients."
    assert place.last_run().status == CANCELED


def test_ctrl_c_keeps_the_old_rows_and_what_was_loaded_and_removes_the_spool(place: Place) -> None:
    assert place.run("sync", "invoices", "--days-back", "50").returncode == 0
    old = place.query("SELECT * FROM invoices ORDER BY id")
    assert old
    terminal = hanging(place)
    (folder,), worker = terminal.spools(), terminal.worker
    assert folder.exists()
    terminal.type_ctrl_c()
    assert_cancelled(place, terminal)
    live = [line for line in terminal.lines() if line.startswith("[")]
    assert live[0].startswith("[0/2]  loading Dagster")
    assert max(map(len, live)) < 100
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    clients = [(row["id"],) for row in truth(place.sandbox.account.records, "clients")]
    assert place.query("SELECT id FROM clients ORDER BY id") == clients
    assert place.query("SELECT * FROM invoices ORDER BY id") == old
    assert len(place.query("SELECT * FROM _loads WHERE record = 'invoices'")) == 1


def test_pressing_ctrl_c_again_and_again_changes_nothing(place: Place) -> None:
    terminal = hanging(place)
    (folder,), worker = terminal.spools(), terminal.worker
    os.kill(worker, signal.SIGSTOP)  # or it might be gone before the second time
    terminal.type_ctrl_c()
    terminal.until(lambda: "Cancelling ..." in terminal.output)
    terminal.type_ctrl_c()
    terminal.until(lambda: "It is being cancelled already ..." in terminal.output)
    for _ in range(3):
        terminal.type_ctrl_c()
    os.kill(worker, signal.SIGCONT)
    assert_cancelled(place, terminal)
    assert not folder.exists()
    assert "Traceback" not in terminal.output


def test_sigterm_cancels_likewise(place: Place) -> None:
    terminal = hanging(place)
    terminal.send(signal.SIGTERM)
    assert_cancelled(place, terminal)


def test_cancelling_in_the_ui_ends_the_command(place: Place) -> None:
    terminal = hanging(place)
    with place.instance() as instance:
        instance.report_run_canceling(place.last_run())
    assert_cancelled(place, terminal)


def test_a_run_whose_command_was_killed_cancels_itself(place: Place) -> None:
    terminal = hanging(place)
    terminal.send(signal.SIGKILL)
    assert terminal.end() == -signal.SIGKILL
    wait_for(lambda: place.last_run().status == CANCELED)


def test_a_run_whose_process_was_killed_counts_as_failed(place: Place) -> None:
    terminal = hanging(place)
    (folder,) = terminal.spools()
    os.kill(terminal.worker, signal.SIGKILL)
    assert terminal.end() == 1
    shutil.rmtree(folder)  # a later run would, a day from now
    assert "The process of the run ended unexpectedly (exit code -9)" in terminal.output
    assert place.last_run().status == dg.DagsterRunStatus.FAILURE


def test_ctrl_c_while_another_run_has_the_account(place: Place) -> None:
    with Warehouse(place.database, "harvest").reserved():
        terminal = Terminal(place, "sync", "clients")
        terminal.until(lambda: "another run of harvest has to end first" in terminal.output)
        terminal.type_ctrl_c()
        assert terminal.end() == 130
    assert terminal.lines()[-1] == "Cancelled; what had been loaded stays: nothing."
    assert place.last_run().status == CANCELED
