"""What a fault does to a whole run: nothing that was loaded is lost, nothing is green for it."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest
import requests

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.orchestration import steps
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.conftest import TODAY, Project, failure_of
from harvest_pipeline_tests.sandbox.faults import AnswerWith, Hang
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.waiting import PATIENCE, soon, wait_for

DAY = Window(TODAY, TODAY)
WEEK = Window(TODAY - timedelta(days=6), TODAY)


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(today=TODAY, years=0.1, rate_limit=None, refuse_get_bodies=True) as server:
        yield server


def content(project: Project) -> list[object]:
    """Every table with its times of loading, and so what the ledger says of it."""
    tables = [record.name for record in RECORDS.values()]
    return [project.query(f"FROM {table} ORDER BY ALL") for table in [*tables, "_loads"]]


def test_a_pause_of_a_day_is_not_slept_through_but_told(project: Project) -> None:
    """F4: the account is not kept from others for longer than people wait."""
    pause = AnswerWith(path="/clients", times=None, status=429, headers={"Retry-After": "86400"})
    project.sandbox.account.faults.add(pause)
    with soon():
        sentence = failure_of(project.materialize("clients"))
    assert "wait 86400 seconds before /v2/clients is asked again (429)" in sentence
    assert "no more than 20 minutes are waited" in sentence
    assert project.paths().count("/v2/clients") == 1


@pytest.mark.long
def test_a_refusal_of_any_list_is_no_empty_success(project: Project) -> None:
    """R13: each report is red or was not tried, and every row stays."""
    assert project.materialize(window=WEEK).success
    before = content(project)
    faults = project.sandbox.account.faults
    # Whose token it is and what the account has can still be asked.
    told = {path: answer(project, path) for path in ("/users/me", "/company")}
    for status in (403, 404, 401):
        faults.clear()
        for path, body in told.items():
            faults.add(AnswerWith(path=path, times=None, status=200, body=body))
        faults.add(AnswerWith(path="/", times=None, status=status, body='{"message": "no"}'))
        every = REPORTS.keys() - {"company"}
        result = project.materialize(*every, window=WEEK)
        assert [event.step_key for event in result.all_events if event.is_step_success] == []
        refused = sum(1 for event in result.all_events if event.is_step_failure)
        # What belongs to invoices, estimates and people is not tried without these.
        children = [name for name in every if RECORDS[REPORTS[name].record].parent]
        assert refused == len(every) - len(children) == 22
        assert content(project) == before


def answer(project: Project, path: str) -> str:
    """What the sandbox says there."""
    sandbox = project.sandbox
    headers = {
        "Authorization": f"Bearer {sandbox.tokens['administrator']}",
        "Harvest-Account-Id": str(sandbox.account_id),
        "User-Agent": "tests (tests@example.com)",
    }
    return requests.get(f"{sandbox.api_url}{path}", headers=headers, timeout=PATIENCE).text


def test_an_error_is_no_row_of_the_ledger_and_an_empty_day_is_one(project: Project) -> None:
    """F32, R24: one query tells a day without entries from a day that was not read."""
    for row in project.truth("time_entries"):
        if row["spent_date"] == TODAY:
            project.sandbox.account.delete("time_entries", row["id"])
    assert project.materialize("daily", window=DAY).success
    outage = AnswerWith(path="/expenses", times=None, status=403)
    project.sandbox.account.faults.add(outage)
    assert not project.materialize("user_expenses", window=DAY).success
    assert project.query("SELECT record, rows, total_entries FROM _loads") == [
        ("time_entries", 0, 0)
    ]
    [(hours,)] = project.query("SELECT typeof(hours) FROM (SELECT sum(hours) AS hours FROM daily)")
    assert hours.startswith("DECIMAL")


def test_a_weekday_that_was_busy_for_a_month_and_is_empty_now_is_told(project: Project) -> None:
    """F32: an answer that is empty and true looks like one that is empty and wrong."""
    account = project.sandbox.account
    day = TODAY - timedelta(days=1)
    weeks = Window(day - timedelta(days=28), TODAY)
    for week in range(1, 5):
        for _ in range(30):
            account.create("time_entries", spent_date=day - timedelta(days=7 * week))
    for row in project.truth("time_entries"):
        if row["spent_date"] == day:
            account.delete("time_entries", row["id"])
    result = project.materialize("daily", window=weeks)
    assert result.success
    [check] = [
        each
        for each in result.get_asset_check_evaluations()
        if each.check_name == "no_day_dropped_suddenly"
    ]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert any(str(day) in str(value.value) for value in check.metadata.values())


def test_a_timer_that_ran_has_its_final_hours_after_the_next_run(project: Project) -> None:
    """F40: the hours of a running timer are those of the moment."""
    account = project.sandbox.account
    running = next(row for row in project.truth("time_entries") if row["is_running"])
    day = Window(running["spent_date"], running["spent_date"])
    assert project.materialize("daily", window=day).success
    shown = "SELECT is_running, timer_started_at IS NULL, hours FROM daily WHERE id = ?"
    [(is_running, is_over, hours)] = project.query(shown, running["id"])
    assert (is_running, is_over) == (True, False)

    final = Decimal(str(hours)) + Decimal("1.25")
    account.change(
        "time_entries", running["id"], is_running=False, timer_started_at=None, hours=final
    )
    assert project.materialize("daily", window=day).success
    assert project.query(shown, running["id"]) == [(False, True, final)]


WATCH = """
import duckdb, sys, time
while True:
    began = time.time()
    try:
        duckdb.connect(sys.argv[1], read_only=True).close()
        print("free", began, flush=True)
    except duckdb.IOException:
        print("held", began, flush=True)
    time.sleep(0.02)
"""


def test_the_database_is_free_while_harvest_is_slow(project: Project, tmp_path: Path) -> None:
    """R18: it is held for the transaction, not for the read."""
    assert project.materialize("daily", window=DAY).success
    faults = project.sandbox.account.faults
    faults.add(Hang(path="/time_entries", seconds=5))
    asked: list[float] = []

    def note() -> None:
        wait_for(lambda: not faults.waiting)
        asked.append(time.time())

    with subprocess.Popen(
        [sys.executable, "-c", WATCH, str(project.database)], stdout=subprocess.PIPE, text=True
    ) as watcher:
        assert watcher.stdout
        watcher.stdout.readline()
        noting = threading.Thread(target=note)
        noting.start()
        result = project.materialize("daily", window=WEEK)
        noting.join()
        watcher.kill()
        seen = [line.split() for line in watcher.stdout.read().splitlines()]
    assert result.success
    [(seconds,)] = project.query("SELECT max(seconds) FROM _loads")
    assert seconds >= 5
    meanwhile = {state for state, at in seen if asked[0] < float(at) < asked[0] + 3}
    assert meanwhile == {"free"}


HOLD = """
import duckdb, sys, time
connection = duckdb.connect(sys.argv[1], read_only=True)
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


def test_a_reader_that_stays_is_waited_for_and_then_the_step_is_tried_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert project.materialize("clients").success
    project.set(HARVEST_DUCKDB_WAIT_SECONDS="1")
    monkeypatch.setattr(steps, "_PAUSE_SECONDS", 1.0)
    command = [sys.executable, "-c", HOLD, str(project.database), "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        result = project.materialize("clients")
    assert result.success
    tried = [each for each in result.all_events if each.is_step_up_for_retry]
    assert tried
    reasons = [each.step_retry_data.error for each in tried]
    assert all(f"(process {reader.pid})" in f"{reason}" for reason in reasons)
