"""The four ways in which the table of a dataset follows what was read (`datasets.Update`).

One account is changed between three runs over all datasets of this file; each dataset must hold
what its update mode says of the three reads, worked out from the sandbox's truth.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from harvest_pipeline_tests.orchestration.parameters.expected import Account, Part, Row, Rows
from harvest_pipeline_tests.orchestration.parameters.stage import WHO, Ran, Stage, new_account
from harvest_pipeline_tests.orchestration.parameters.story import DAY, START, TODAY, Story
from harvest_pipeline_tests.projects import dataset

pytestmark = pytest.mark.slow

_DAY_SECONDS = 24 * 3600
#: The window of the datasets, as days before TODAY.
_BACK = {"days_back_to_start_from": 5, "days_back_to_end_at": 2}
_WINDOW = (date(2026, 11, 15), date(2026, 11, 18))


@dataclass
class Told:
    """The three runs: what the account held at each, and what the tables held after it."""

    stage: Stage
    ids: dict[str, int]
    truths: list[Account]
    runs: list[Ran]
    histories: list[dict[str, list[Row]]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with new_account(tmp_path_factory.mktemp("modes"), years=0.4) as stage:
        story = Story(stage.account)
        story.plant()
        project, user = story.ids["project"], story.ids["user"]
        of_project = {"project_ids": [project], **_BACK}
        datasets = (
            dataset("time_replaced", "daily", "replace", **of_project),
            dataset("time_kept", "daily", "append", **of_project),
            dataset("time_merged", "daily", "merge", **of_project),
            dataset("time_of_days", "daily", "partition", project_ids=[project], user_ids=[user]),
            dataset("open_invoices", "invoices", "replace", invoice_status="open", **_BACK),
            dataset("tasks_replaced", "assignments", "replace", project_ids=[project]),
            dataset("clients_kept", "clients", "append"),
            dataset("clients_merged", "clients", "merge", updated_since_days_back=3650),
            dataset("contacts_of_days", "contacts", "merge", **_BACK),
        )
        stage.declare(*datasets)
        told = Told(stage, story.ids, [], [], [])
        for number in range(3):
            if number == 1:
                story.change_everything()
            if number == 2:
                _change_again(stage, story)
            told.truths.append(stage.truth())
            ran = stage.run(*(each.name for each in datasets), days=(START, TODAY))
            assert ran.refusals == {}
            told.runs.append(ran)
            told.histories.append({each.name: history(stage, each.name) for each in datasets})
        yield told


def _change_again(stage: Stage, story: Story) -> None:
    planted = story.planted["time_entries"]
    stage.account.change("time_entries", planted["untouched"], notes="at last")
    stage.account.delete("time_entries", planted["edited"])
    stage.account.change("clients", stage.account.records.clients.ascending()[0].id, address="x")


def history(stage: Stage, name: str) -> list[Row]:
    """All rows of a table, in which an id may stand several times."""
    columns = [row[0] for row in stage.query(f"DESCRIBE {name}")]
    return [dict(zip(columns, row, strict=True)) for row in stage.query(f"SELECT * FROM {name}")]


def inside(truth: Account, record: str, part: Part) -> Rows:
    """The rows of a part of the account."""
    rows = truth.rows[record]
    return {key: row for key, row in rows.items() if truth.holds(record, row, part, truth)}


def values(rows: Any, names: Any) -> Counter[tuple[Any, ...]]:
    """The rows, each with how often it is there."""
    return Counter(tuple(row[name] for name in names) for row in rows)


#: Columns by which an edit of these tests shows.
_SHOWN = {
    "time_entries": ("id", "spent_date", "project_id", "user_id", "notes", "updated_at"),
    "invoices": ("id", "issue_date", "state", "notes", "updated_at"),
    "task_assignments": ("id", "project_id", "budget", "updated_at"),
    "clients": ("id", "address", "updated_at"),
    "contacts": ("id", "title", "updated_at"),
}


def assert_holds(told: Told, name: str, record: str, expected: list[list[Row]]) -> None:
    """After each run the table had these rows, and they were not the same each time."""
    for number, rows in enumerate(expected):
        found = values(told.histories[number][name], _SHOWN[record])
        assert found == values(rows, _SHOWN[record])
        assert found
    assert len({frozenset(values(rows, _SHOWN[record]).items()) for rows in expected}) > 1


def part_of(told: Told, **more: Any) -> Part:
    return Part(*_WINDOW, **more)


def test_replace_leaves_what_the_last_read_returned(told: Told) -> None:
    part = part_of(told, projects=frozenset([told.ids["project"]]))
    rows = [list(inside(truth, "time_entries", part).values()) for truth in told.truths]
    assert_holds(told, "time_replaced", "time_entries", rows)

    part = Part(projects=frozenset([told.ids["project"]]))
    rows = [list(inside(truth, "task_assignments", part).values()) for truth in told.truths]
    assert_holds(told, "tasks_replaced", "task_assignments", rows)

    part = part_of(told, status="open")
    rows = [list(inside(truth, "invoices", part).values()) for truth in told.truths]
    assert_holds(told, "open_invoices", "invoices", rows)


def test_append_keeps_every_read(told: Told) -> None:
    part = part_of(told, projects=frozenset([told.ids["project"]]))
    for name, record, part_ in (
        ("time_kept", "time_entries", part),
        ("clients_kept", "clients", Part()),
    ):
        rows: list[Row] = []
        expected = []
        for truth in told.truths:
            rows = [*rows, *inside(truth, record, part_).values()]
            expected.append(rows)
        assert_holds(told, name, record, expected)
        reads = Counter(row["_loaded_at"] for row in told.histories[2][name])
        assert len(reads) == 3


def test_merge_brings_what_was_read_and_deletes_nothing(told: Told) -> None:
    part = part_of(told, projects=frozenset([told.ids["project"]]))
    for name, record, part_ in (
        ("time_merged", "time_entries", part),
        ("clients_merged", "clients", Part()),
    ):
        rows: Rows = {}
        expected = []
        for truth in told.truths:
            rows = {**rows, **inside(truth, record, part_)}
            expected.append(list(rows.values()))
        assert_holds(told, name, record, expected)
        assert rows.keys() - told.truths[2].rows[record].keys(), "something was deleted"


def test_partition_shows_the_part_of_every_day_that_was_read(told: Told) -> None:
    part = Part(
        START, TODAY, projects=frozenset([told.ids["project"]]), users=frozenset([told.ids["user"]])
    )
    rows = [list(inside(truth, "time_entries", part).values()) for truth in told.truths]
    assert_holds(told, "time_of_days", "time_entries", rows)
    days = [str(START + timedelta(days=n)) for n in range((TODAY - START).days + 1)]
    assert told.runs[2].days["time_of_days"] == days
    assert told.stage.query(
        "SELECT table_type FROM information_schema.tables WHERE table_name = 'time_of_days'"
    ) == [("VIEW",)]


def test_the_window_of_a_record_without_a_day_is_that_of_updated_at(told: Told) -> None:
    """Harvest applies its beginning, and we its end: changes of today are not in it."""
    first = datetime.combine(_WINDOW[0], datetime.min.time(), UTC)
    end = datetime.combine(_WINDOW[1], datetime.min.time(), UTC) + timedelta(days=1)
    rows: Rows = {}
    for number, truth in enumerate(told.truths):
        changed = {
            key: row
            for key, row in truth.rows["contacts"].items()
            if first <= row["updated_at"] < end
        }
        rows = {**rows, **changed}
        found = values(told.histories[number]["contacts_of_days"], _SHOWN["contacts"])
        assert found == values(rows.values(), _SHOWN["contacts"])
    asked = [query for path, query in told.runs[0].questions if path == "/v2/contacts"]
    assert asked == [(("updated_since", "2026-11-15T00:00:00Z"),)]
    later = [row for row in told.truths[2].rows["contacts"].values() if row["updated_at"] >= end]
    assert later
    assert rows.keys().isdisjoint(row["id"] for row in later)


def test_one_run_asks_for_datasets_of_the_same_part_once(told: Told) -> None:
    """Three datasets of the project's time, and all of its clients twice."""
    asked = Counter(told.runs[0].questions)
    project = told.ids["project"]
    of_project = [
        query
        for path, query in asked
        if path == "/v2/time_entries" and ("project_id", str(project)) in query
    ]
    assert len(of_project) == 2  # the window of three datasets, and all days of the fourth
    # How much there is before the first day, and since when: two pages of one list.
    older = {one for one in asked if [name for name, _ in one[1]] == ["to"]}
    assert {number for one, number in asked.items() if one not in older} == {1}


def test_a_run_that_is_repeated_adds_nothing_to_a_history(told: Told) -> None:
    stage, names = told.stage, ("time_kept", "clients_kept")
    first = stage.run(*names)
    once = {name: history(stage, name) for name in names}
    assert all(len(once[name]) > len(told.histories[2][name]) for name in names)
    tags = {"dagster/parent_run_id": first.run_id, "dagster/root_run_id": first.run_id}
    again = stage.run(*names, tags=tags)
    assert again.success
    assert {path for path, _ in again.questions} <= set(WHO)
    assert {name: history(stage, name) for name in names} == once


def test_full_refresh_makes_a_merged_table_anew_and_keeps_a_history(told: Told) -> None:
    stage = told.stage
    kept = len(history(stage, "clients_kept"))
    ran = stage.run("clients_merged", "clients_kept", full_refresh=True)
    assert ran.success
    truth = stage.truth().rows["clients"]
    assert {row["id"] for row in history(stage, "clients_merged")} == truth.keys()
    assert len(history(stage, "clients_kept")) == kept + len(truth)


def test_changes_are_read_although_records_were_followed_out_of_a_part(told: Told) -> None:
    """What is read to follow a record into its new part is thrown away but for that record: it
    must not count as a read of all changes."""
    stage, project = told.stage, told.ids["project"]
    datasets = (
        dataset("a_part", "daily", "replace", project_ids=[project], **_BACK),
        dataset("b_changes", "daily", "merge", updated_since="2026-11-21T12:00:00Z", **_BACK),
    )
    stage.declare(*datasets)
    stage.account.clock.advance(_DAY_SECONDS)
    entries = inside(stage.truth(), "time_entries", Part(DAY, DAY))
    left = next(key for key, row in entries.items() if row["project_id"] == project)
    changed = next(key for key, row in entries.items() if row["project_id"] != project)
    stage.account.change("time_entries", changed, notes="late")
    stage.account.delete("time_entries", left)
    ran = stage.run("a_part", "b_changes")
    assert ran.success
    found = {row["id"] for row in history(stage, "b_changes")}
    since = datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert found == inside_since(stage.truth(), since)
    assert changed in found


def inside_since(truth: Account, since: datetime) -> set[int]:
    rows = inside(truth, "time_entries", Part(*_WINDOW))
    return {key for key, row in rows.items() if row["updated_at"] >= since}


def test_a_run_that_would_lose_rows_of_a_dataset_is_refused(told: Told) -> None:
    ran = told.stage.run("time_replaced", updated_since_days_back=1)
    assert ran.refusals == {
        "time_replaced": "time_replaced: update: replace would leave only what changed "
        "(updated_since_days_back) in the table; use merge, or append for a history; the "
        "parameter is set in report_options of the launch."
    }
    assert ran.questions == []


def test_a_run_cannot_ask_for_another_part_than_the_dataset_is_fixed_to(told: Told) -> None:
    ran = told.stage.run("time_replaced", project_ids=[1])
    assert ran.refusals == {
        "time_replaced": "The dataset time_replaced fixes project_ids in harvest.yaml; remove "
        "project_ids from report_options of the launch."
    }
    assert ran.questions == []
