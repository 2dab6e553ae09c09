"""What goes wrong around a tick: it says so in one sentence, ends in time, and loses nothing."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from harvest_pipeline import access, sensors
from harvest_pipeline.changes import looking
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import TokenRejected
from harvest_pipeline.sandbox.faults import AnswerWith, Forbid, Hang
from harvest_pipeline.sensors import all_sensors
from harvest_pipeline.settings import Settings
from harvest_pipeline.warehouse.errors import AnotherAccount
from harvest_pipeline_tests.changes.watching import TIME, Watching
from harvest_pipeline_tests.conftest import HASTE, TODAY
from harvest_pipeline_tests.waiting import PATIENCE, soon

MONDAY = TODAY - timedelta(days=4)


def test_where_nothing_was_loaded_harvest_is_not_even_asked(
    watching: Watching, tmp_path: Path
) -> None:
    empty = replace(watching.settings, duckdb=tmp_path / "empty.duckdb")
    tick = Watching(watching.sandbox, empty, tmp_path).tick()
    assert "Nothing was loaded yet" in (tick.skipped or "")
    assert not watching.questions()


def test_a_record_that_was_never_loaded_is_not_watched(watching: Watching, tmp_path: Path) -> None:
    settings = replace(watching.settings, duckdb=tmp_path / "clients.duckdb")
    only = Watching(watching.sandbox, settings, tmp_path)
    only.load(["clients"])
    watching.account.clock.advance(60)
    watching.account.create("clients", name="Plover")
    watching.account.create("tasks", name="Plumbing")
    watching.account.request_log.clear()
    tick = only.tick()
    assert tick.asked == [(None, {"clients"})]
    assert [path for path, _ in only.questions()] == ["/v2/users/me", "/v2/clients"]
    assert any(line.startswith("Not watched, for it was never loaded") for line in tick.log)


def test_a_database_that_another_program_writes_to_is_waited_for_until_the_next_tick(
    watching_time: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "_WAIT_SECONDS", 0.1)
    before = watching_time.cursor
    watching_time.account.create("time_entries", spent_date=MONDAY)
    with watching_time.warehouse.connect():
        tick = watching_time.tick()
    assert "is held by" in (tick.skipped or "")
    assert tick.cursor == before
    assert watching_time.tick().asked == [(f"{MONDAY}", TIME)]


def test_a_token_that_harvest_does_not_accept_is_an_error_that_says_what_to_do(
    watching_time: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = watching_time.cursor
    monkeypatch.setenv("HARVEST_ACCESS_TOKEN", "a-secret-that-is-wrong")
    with pytest.raises(TokenRejected) as refused:
        watching_time.tick()
    assert "HARVEST_ACCESS_TOKEN" in str(refused.value)
    assert "a-secret-that-is-wrong" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert watching_time.cursor == before


def test_an_outage_of_harvest_is_waited_for_until_the_next_tick(watching_time: Watching) -> None:
    before = watching_time.cursor
    watching_time.account.create("time_entries", spent_date=MONDAY)
    watching_time.sandbox.world.faults.add(AnswerWith(status=503, times=None))
    tick = watching_time.tick()
    assert "could not be read" in (tick.skipped or "")
    assert tick.cursor == before
    watching_time.sandbox.world.faults.clear()
    assert watching_time.tick().asked == [(f"{MONDAY}", TIME)]


@pytest.mark.parametrize(
    "fault", [AnswerWith(path="/clients", status=500, times=None), Forbid(path="/clients")]
)
def test_a_list_that_cannot_be_read_keeps_no_other_from_being_followed(
    watching_time: Watching, fault: AnswerWith | Forbid
) -> None:
    behind = watching_time.since("clients")
    watching_time.account.create("clients", name="Curlew")
    watching_time.account.create("time_entries", spent_date=MONDAY)
    watching_time.sandbox.world.faults.add(fault)
    tick = watching_time.tick()
    assert tick.asked == [(f"{MONDAY}", TIME)]
    assert any(line.startswith("clients is left to the next tick") for line in tick.log)
    assert watching_time.since("clients") == behind
    watching_time.sandbox.world.faults.clear()
    assert watching_time.tick().asked == [(None, {"clients"})]


def test_a_list_that_hangs_ends_and_is_asked_first_the_next_time(
    watching_time: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "_ONE_SECONDS", 3.0)
    watching_time.account.create("clients", name="Godwit")
    watching_time.sandbox.world.faults.add(Hang(path="/time_entries", seconds=PATIENCE))
    with soon():
        tick = watching_time.tick()
    assert tick.asked == [(None, {"clients"})]
    watching_time.account.request_log.clear()
    monkeypatch.undo()
    watching_time.tick()
    paths = [path for path, _ in watching_time.questions()]
    assert paths.index("/v2/time_entries") < paths.index("/v2/clients")


def test_a_pause_that_harvest_asks_for_is_left_to_the_next_tick(
    watching_time: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = replace(HASTE, throttle_cap=looking.PATIENCE.throttle_cap)
    monkeypatch.setattr(
        access, "HarvestClient", lambda **given: HarvestClient(**{**given, "patience": patient})
    )
    monkeypatch.setattr(Settings, "state_folder", watching_time.settings.duckdb.parent / "state")
    watching_time.account.create("time_entries", spent_date=MONDAY)
    throttled = AnswerWith(path="/time_entries", status=429, headers={"Retry-After": "600"})
    watching_time.sandbox.world.faults.add(throttled)
    with soon():
        tick = watching_time.tick()
        assert "asks to wait 600 seconds" in (tick.skipped or "")
        assert "Harvest has asked for a pause" in (watching_time.tick().skipped or "")


def test_a_token_of_another_account_is_an_error_and_requests_nothing(
    watching_time: Watching,
) -> None:
    with watching_time.warehouse.transaction() as connection:
        connection.execute("UPDATE _loads SET account_id = 7")
    with pytest.raises(AnotherAccount):
        watching_time.tick()


def test_each_account_has_a_sensor_that_looks_at_its_own_runs_and_days(
    watching_time: Watching,
) -> None:
    ours = watching_time.settings
    blue = replace(ours, schema="blue_sky")
    assert [each.name for each in all_sensors([ours, blue])] == [
        "harvest_changes",
        "blue_sky_changes",
    ]
    theirs = Watching(watching_time.sandbox, blue, Path(ours.duckdb.parent))
    theirs.load()
    watching_time.account.clock.advance(60)
    watching_time.account.create("time_entries", spent_date=MONDAY)
    (request,) = watching_time.tick().requests
    theirs.note(request, sensors.dg.DagsterRunStatus.STARTED)  # a run of the other account
    (of_blue,) = theirs.tick().requests
    assert {key.path[0] for key in of_blue.asset_selection or ()} == {"blue_sky"}
    assert of_blue.tags["harvest/changes"] == "blue_sky"
    assert of_blue.run_key != request.run_key
