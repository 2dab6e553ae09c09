"""The sensor `harvest_changes` and the nightly schedule: what they ask, and what they launch."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import dagster as dg
import pytest

from harvest_pipeline.orchestration.build import build_definitions
from harvest_pipeline_tests.conftest import TODAY, created_at, in_memory
from harvest_pipeline_tests.loading.reconcile.conftest import Loaded
from harvest_pipeline_tests.sandbox.faults import AnswerWith

Tick = Callable[[], dg.RunRequest | str]


@pytest.fixture
def tick(loaded: Loaded) -> Iterator[Tick]:
    """Evaluates the sensor: its request, which is carried out, or why there is none."""
    loaded.instance.dispose()
    loaded.instance = in_memory()

    def evaluate() -> dg.RunRequest | str:
        loaded.sandbox.world.clock.advance(300)
        loaded.account.request_log.clear()
        definitions = build_definitions()
        sensor = definitions.resolve_sensor_def("harvest_changes")
        context = dg.build_sensor_context(sensor_name=sensor.name)
        context._instance = loaded.instance  # type: ignore[attr-defined] - an ephemeral one is refused
        with loaded.at_noon(), context:
            found = sensor.evaluate_tick(context)
        if not found.run_requests:
            return found.skip_message or ""
        (request,) = found.run_requests
        with loaded.at_noon():
            definitions.get_job_def("harvest_changes").execute_in_process(
                run_config=request.run_config, instance=loaded.instance, raise_on_error=False
            )
        return request

    yield evaluate


def last_run(loaded: Loaded) -> dg.DagsterRun:
    return loaded.instance.get_runs(limit=1)[0]


def test_a_quiet_tick_costs_fifteen_requests_and_launches_nothing(
    loaded: Loaded, tick: Tick
) -> None:
    assert tick() == "Nothing has changed (15 requests)."
    assert len(loaded.paths()) == 15


def test_a_change_is_brought_by_one_run_that_reads_only_the_lists_that_changed(
    loaded: Loaded, tick: Tick
) -> None:
    entries = loaded.account.records.time_entries.ascending()
    days = {entries[at].spent_date for at in (10, 60, 110)}
    for at in (10, 60, 110):
        loaded.account.change("time_entries", entries[at].id, hours="4.44")
    request = tick()
    assert isinstance(request, dg.RunRequest)
    assert last_run(loaded).status is dg.DagsterRunStatus.SUCCESS
    assert loaded.differences() == []
    read = [path for path in loaded.paths() if path != "/v2/time_entries"]
    assert set(read) - {"/v2/users/me"} == set(asked_by_a_tick(loaded)) - {"/v2/time_entries"}
    # Who it is and the changes: the rest are the tick's counts.
    assert loaded.paths().count("/v2/time_entries") == 2
    shown = loaded.instance.get_materialized_partitions(dg.AssetKey(["harvest", "daily"]))
    assert {f"{day}" for day in days} <= shown
    checks = loaded.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey(["harvest", "daily"]), "key_is_unique"), limit=5
    )
    assert checks
    assert tick() == "Nothing has changed (15 requests)."


def asked_by_a_tick(loaded: Loaded) -> list[str]:
    return [path for path in loaded.paths() if path.count("/") == 2]


def test_a_payment_is_brought_with_its_invoice(loaded: Loaded, tick: Tick) -> None:
    invoice = loaded.account.records.invoices.ascending()[-1]
    loaded.account.add_payment(invoice.id, 2)
    assert isinstance(tick(), dg.RunRequest)
    assert loaded.differences() == []


def test_a_new_day_is_read_in_full(loaded: Loaded, tick: Tick) -> None:
    like = loaded.account.records.time_entries.ascending()[0].id
    planned = loaded.account.create("time_entries", spent_date=TODAY + timedelta(days=1), like=like)
    tick()
    assert loaded.query("SELECT 1 FROM time_entries WHERE id = ?", planned.id) == []
    with loaded.on_the_day(TODAY + timedelta(days=1)):
        assert isinstance(tick(), dg.RunRequest)
        assert loaded.query("SELECT 1 FROM time_entries WHERE id = ?", planned.id) == [(1,)]
        assert tick() == "Nothing has changed (15 requests)."


@pytest.mark.long
def test_an_older_warehouse_that_is_put_back_heals(loaded: Loaded, tick: Tick) -> None:
    older = loaded.database.read_bytes()
    entry = loaded.account.records.time_entries.ascending()[12]
    for hours in ("5.55", "6.66"):
        loaded.account.change("time_entries", entry.id, hours=hours)
        tick()
        assert loaded.differences() == []
        loaded.database.write_bytes(older)
        assert isinstance(tick(), dg.RunRequest)
        assert loaded.differences() == []


@pytest.mark.long
def test_a_run_that_failed_is_tried_again_after_a_pause_that_grows(
    loaded: Loaded, tick: Tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = loaded.account.records.time_entries.ascending()[13]
    loaded.account.change("time_entries", entry.id, hours="3.21")
    unauthorized = AnswerWith(path="/invoices", status=403, times=None)
    loaded.account.change(
        "invoices", loaded.account.records.invoices.ascending()[0].id, subject="x"
    )
    definitions = build_definitions()
    loaded.account.faults.add(unauthorized)
    for _ in range(2):
        definitions.get_job_def("harvest_changes").execute_in_process(
            instance=loaded.instance, raise_on_error=False
        )
    loaded.account.faults.clear()
    assert last_run(loaded).status is dg.DagsterRunStatus.FAILURE
    # What could be read was.
    assert (
        loaded.query("SELECT hours FROM time_entries WHERE id = ?", entry.id)[0][0] == entry.hours
    )
    assert tick() == "The last 2 runs failed; the next one is tried after 0:15:00."
    with monkeypatch.context() as patched:
        patched.setattr("harvest_pipeline.orchestration.sensors._PAUSES", (timedelta(0),))
        assert isinstance(tick(), dg.RunRequest)
    assert loaded.differences() == []


def test_nothing_is_launched_while_a_run_is_at_it(loaded: Loaded, tick: Tick) -> None:
    job = build_definitions().get_job_def("harvest_reconcile")
    loaded.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert tick() == "A run is at it."


# The nightly schedule


@pytest.fixture
def at(loaded: Loaded) -> Iterator[Callable[[int, int], bool]]:
    """Whether the schedule launches a run on a day of November at an hour."""
    instance = in_memory()
    schedule = build_definitions().resolve_schedule_def("harvest_reconcile")

    def evaluate(day: int, hour: int) -> bool:
        moment = datetime(2026, 11, day, hour, tzinfo=UTC)
        context = dg.build_schedule_context(scheduled_execution_time=moment)
        with patch.object(type(context), "instance", instance):
            return bool(schedule.evaluate_tick(context).run_requests)

    evaluate.instance = instance  # type: ignore[attr-defined]
    yield evaluate
    instance.dispose()


def runs_at(at: Any, day: int, hour: int, status: dg.DagsterRunStatus) -> None:
    """A run of the job that was created then."""
    job = build_definitions().get_job_def("harvest_reconcile")
    moment = datetime(2026, 11, day, hour, 1, tzinfo=UTC)
    run = at.instance.create_run_for_job(job, status=status)
    created_at(at.instance, run.run_id, moment)


def test_a_night_is_run_once_and_made_up_for_within_the_hour(at: Any) -> None:
    assert at(2, 3)
    assert at(2, 4)  # that of 03:00 was dropped
    runs_at(at, 2, 4, dg.DagsterRunStatus.FAILURE)
    assert at(2, 5)
    runs_at(at, 2, 5, dg.DagsterRunStatus.STARTED)
    assert not at(2, 6)
    runs_at(at, 2, 7, dg.DagsterRunStatus.SUCCESS)
    assert not at(2, 8)
    assert not at(3, 2)
    assert at(3, 3)


def test_a_night_that_fails_three_times_waits_for_the_next(at: Any) -> None:
    for hour in (3, 4, 5):
        assert at(2, hour)
        runs_at(at, 2, hour, dg.DagsterRunStatus.FAILURE)
    assert not at(2, 6)
    assert at(3, 3)
