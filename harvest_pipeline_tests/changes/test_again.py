"""A change is requested until it is in the warehouse, whatever dies in between; not for ever."""

import json
from datetime import date, timedelta

import dagster as dg
import pytest

from harvest_pipeline.changes import looking
from harvest_pipeline.sandbox.changes import ChangeRecord, CreateRecord
from harvest_pipeline.sandbox.faults import ChangeAfter
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.changes.watching import (
    EVERY,
    MINUTE,
    NOW,
    TIME,
    Tick,
    Watching,
    window_of,
)
from harvest_pipeline_tests.conftest import TODAY

DAY = timedelta(days=1)
MONDAY, THURSDAY = TODAY - 4 * DAY, TODAY - 8 * DAY
FAILURE, STARTED, SUCCESS = (
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.SUCCESS,
)


def test_a_change_that_a_run_has_brought_is_requested_no_more(watching_time: Watching) -> None:
    watching_time.account.create("time_entries", spent_date=MONDAY)
    (request,) = watching_time.tick().requests
    watching_time.carry_out(request)
    assert watching_time.tick(NOW + 5 * MINUTE).skipped == "Nothing has changed (3 requests)."


def test_what_a_run_is_at_is_not_requested_again_and_what_it_is_not_at_is(
    watching_time: Watching,
) -> None:
    watching_time.account.create("time_entries", spent_date=MONDAY)
    (request,) = watching_time.tick().requests
    watching_time.note(request, STARTED)
    tick = watching_time.tick(NOW + 90 * MINUTE)
    assert not tick.requests
    assert "Of 1 days and small reports with changes, a run is at each" in (tick.skipped or "")
    watching_time.account.create("time_entries", spent_date=THURSDAY)
    assert watching_time.tick(NOW + 95 * MINUTE).asked == [(f"{THURSDAY}", TIME)]


def test_what_failing_runs_do_not_bring_is_requested_three_times_more_and_then_given_up(
    watching_time: Watching,
) -> None:
    client = watching_time.account.create("clients", name="Egret")
    watching_time.account.clock.advance(10)  # Harvest's instants are whole seconds
    keys = list[str | None]()
    requested = list[int]()
    given_up = list[str]()
    for minutes in (0, 4, 5, 20, 79, 80, 140, 145):
        tick = watching_time.tick(NOW + minutes * MINUTE)
        given_up += [line for line in tick.log if "is not requested any more" in line]
        for request in tick.requests:
            requested.append(minutes)
            keys.append(request.run_key)
            watching_time.note(request, FAILURE)
    assert requested == [0, 5, 20, 80]
    assert len(set(keys)) == 4  # Dagster launches no second run with the key of the first one
    (line,) = given_up
    assert line.startswith("clients is not requested any more: several runs did not bring")
    assert "nightly reconcile" in line
    # It holds nothing up any more, and a newer change counts anew.
    assert watching_time.since("clients") > client.updated_at
    watching_time.account.clock.advance(10)
    watching_time.account.change("clients", client.id, name="Little Egret")
    assert watching_time.tick(NOW + 200 * MINUTE).asked == [(None, {"clients"})]


def test_a_run_that_succeeds_without_bringing_the_change_is_no_reason_to_ask_for_ever(
    watching_time: Watching,
) -> None:
    watching_time.account.create("time_entries", spent_date=MONDAY)
    requested = 0
    for hours in range(6):
        for request in watching_time.tick(NOW + 60 * hours * MINUTE).requests:
            watching_time.note(request, SUCCESS)
            requested += 1
    assert requested == 4


def test_the_pause_begins_when_the_run_has_ended(watching_time: Watching) -> None:
    watching_time.account.create("time_entries", spent_date=MONDAY)
    (request,) = watching_time.tick().requests
    run = watching_time.note(request, STARTED)
    assert not watching_time.tick(NOW + 60 * MINUTE).requests
    watching_time.instance.delete_run(run.run_id)
    assert not watching_time.tick(NOW + 62 * MINUTE).requests
    assert watching_time.tick(NOW + 65 * MINUTE).requests


def test_the_cursor_never_passes_a_change_that_is_not_in_the_warehouse(
    watching_time: Watching,
) -> None:
    first = watching_time.account.create("time_entries", spent_date=MONDAY)
    (request,) = watching_time.tick().requests
    for hours in (1, 2):
        watching_time.account.clock.advance(3600)
        watching_time.account.create("time_entries", spent_date=THURSDAY)
        watching_time.tick(NOW + 60 * hours * MINUTE)
        assert watching_time.since("time_entries") == first.updated_at
        assert watching_time.since("clients") > first.updated_at
    watching_time.carry_out(request)
    watching_time.tick(NOW + 180 * MINUTE)
    assert watching_time.since("time_entries") > first.updated_at


def test_a_tick_that_is_repeated_from_the_same_cursor_asks_for_the_same_runs(
    watching_time: Watching,
) -> None:
    """As when the daemon died before it kept the cursor: Dagster finds the runs by their keys."""
    watching_time.account.create("time_entries", spent_date=MONDAY)
    watching_time.account.create("clients", name="Bittern")
    cursor = watching_time.cursor
    first = watching_time.tick()
    watching_time.cursor = cursor
    again = watching_time.tick(NOW + MINUTE)
    assert [each.run_key for each in again.requests] == [each.run_key for each in first.requests]
    assert len({each.run_key for each in first.requests}) == 2
    # Where a run was launched already, it is not even asked for.
    watching_time.note(first.requests[0], STARTED)
    watching_time.cursor = cursor
    assert watching_time.tick().asked == first.asked[1:]


def test_a_record_that_is_edited_behind_the_reader_is_not_lost(watching_time: Watching) -> None:
    """The largest `updated_at` that was seen would be past the edit's."""
    seen, behind = watching_time.entry_on(MONDAY), watching_time.entry_on(THURSDAY)
    watching_time.account.change("time_entries", seen.id, notes="seen")
    edit = ChangeRecord(kind="time_entries", id=behind.id, fields={"notes": "behind"})
    new = CreateRecord(kind="clients", fields={"name": "Shrike"})
    watching_time.sandbox.world.faults.add(ChangeAfter(path="/time_entries", changes=[edit]))
    watching_time.sandbox.world.faults.add(ChangeAfter(path="/clients", changes=[new]))
    (request,) = watching_time.tick().requests
    watching_time.carry_out(request)
    assert watching_time.tick(NOW + 5 * MINUTE).asked == [
        (f"{THURSDAY}", TIME),
        (None, {"clients"}),
    ]


def test_a_second_change_in_the_second_in_which_the_first_was_read_is_not_lost(
    watching_time: Watching,
) -> None:
    """Both have the same `updated_at`, so the row looks as if it were current."""
    entry = watching_time.entry_on(MONDAY)
    watching_time.account.change("time_entries", entry.id, notes="first")
    watching_time.load(["time_entries"], Window(MONDAY, MONDAY))
    watching_time.account.change("time_entries", entry.id, notes="second", touch=False)
    (request,) = watching_time.tick().requests
    watching_time.carry_out(request)
    with watching_time.warehouse.reader() as connection:
        query = "SELECT notes FROM time_entries WHERE id = ?"
        assert connection.execute(query, [entry.id]).fetchall() == [("second",)]
    assert not watching_time.tick(NOW + 5 * MINUTE).requests


def test_a_change_that_a_run_brought_while_harvest_was_asked_is_not_requested(
    watching_time: Watching,
) -> None:
    """The warehouse is newer than what the tick was told."""
    entry = watching_time.entry_on(MONDAY)
    watching_time.account.change("time_entries", entry.id, notes="told")
    watching_time.load(["time_entries"])
    with watching_time.warehouse.transaction() as connection:
        later = "UPDATE time_entries SET updated_at = updated_at + INTERVAL 1 HOUR WHERE id = ?"
        connection.execute(later, [entry.id])
    assert not watching_time.tick().requests


def test_without_a_cursor_everything_since_the_loads_is_found(watching_time: Watching) -> None:
    watching_time.account.change("time_entries", watching_time.entry_on(MONDAY).id, notes="before")
    watching_time.account.clock.advance(7 * 24 * 3600)  # of Harvest only: ours stands still
    watching_time.cursor = None
    assert MONDAY in _days(watching_time.tick())


def test_an_empty_day_that_was_loaded_long_ago_counts_as_old(watching_time: Watching) -> None:
    """No row of it tells when it was read, the ledger does."""
    empty, entries = TODAY - 10 * DAY, watching_time.account.records.time_entries
    for entry in [entry for entry in entries if entry.spent_date == empty]:
        watching_time.account.change("time_entries", entry.id, spent_date=THURSDAY)
    watching_time.load()
    watching_time.account.clock.advance(3600)
    watching_time.account.create("time_entries", spent_date=empty)
    watching_time.account.clock.advance(3600)
    for window in (Window(EVERY.first, empty - DAY), Window(empty + DAY, TODAY)):
        watching_time.load(["time_entries"], window)
    watching_time.cursor = None
    assert watching_time.tick().asked == [(f"{empty}", TIME)]


@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        ('{"version":2,"load":"x","records":[]}', "the cursor is of version 2, not 1"),
        ("2026-11-20T18:00:00Z", "the cursor is not one of this sensor"),
        ('{"version":1,"records":7}', "the cursor is not one of this sensor"),
    ],
)
def test_a_cursor_that_is_not_ours_is_begun_anew_and_said(
    watching_time: Watching, cursor: str, reason: str
) -> None:
    watching_time.account.create("time_entries", spent_date=MONDAY)
    watching_time.cursor = cursor
    tick = watching_time.tick()
    assert f"Beginning anew, with what was loaded: {reason}." in tick.log
    assert MONDAY in _days(tick)
    assert json.loads(tick.cursor or "")["version"] == 1


def test_a_warehouse_that_was_put_back_from_a_backup_is_followed_from_there(
    watching_time: Watching,
) -> None:
    entry = watching_time.account.create("time_entries", spent_date=MONDAY)
    (request,) = watching_time.tick().requests
    watching_time.carry_out(request)
    watching_time.account.clock.advance(3600)
    watching_time.tick(NOW + 5 * MINUTE)
    followed = watching_time.cursor
    assert watching_time.since("time_entries") > entry.updated_at + 30 * MINUTE
    watching_time.put_back()
    watching_time.cursor = followed
    tick = watching_time.tick(NOW + 10 * MINUTE)
    assert any("the warehouse is not the one that it was" in line for line in tick.log)
    assert MONDAY in _days(tick)


def test_more_changes_than_can_be_paged_through_are_one_run_over_everything(
    watching_time: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "MOST_CHANGES", 2)
    for _ in range(3):
        watching_time.account.create("time_entries", spent_date=MONDAY)
    (request,) = (tick := watching_time.tick()).requests
    assert tick.asked == [(f"{EVERY}", TIME)]
    paths = [path for path, _ in watching_time.questions()]
    assert paths.count("/v2/time_entries") == 1
    # A run is at it: it is not asked for again, and the cursor waits.
    run = watching_time.note(request, STARTED)
    assert not watching_time.tick(NOW + 5 * MINUTE).requests
    watching_time.instance.delete_run(run.run_id)
    watching_time.account.clock.advance(3600)
    watching_time.carry_out(request)
    assert not watching_time.tick(NOW + 10 * MINUTE).requests
    assert watching_time.tick(NOW + 15 * MINUTE).skipped == "Nothing has changed (3 requests)."


def test_too_many_changes_that_no_run_brings_are_given_up_too(
    watching_time: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "MOST_CHANGES", 0)
    watching_time.account.create("clients", name="Avocet")
    requested = 0
    for hours in range(6):
        requested += len(watching_time.tick(NOW + hours * 60 * MINUTE).requests)
        watching_time.account.clock.advance(3600)
    assert requested == 4


def _days(tick: Tick) -> set[date]:
    windows = [window_of(request) for request in tick.requests]
    return {day for window in windows if window for day in window.days()}
