"""Runs with parameters: which of several reports take them, which days count, what is asked again.

The table of all reports and parameters is in test_parameters.py.
"""

from collections import Counter
from datetime import date, timedelta
from itertools import cycle
from typing import Any

import dagster as dg
import pytest

from harvest_pipeline.settings.parameters import RunOptions
from harvest_pipeline.settings.resolve import REPORT_OPTIONS
from harvest_pipeline_tests.orchestration.parameters.expected import Account as Rows
from harvest_pipeline_tests.orchestration.parameters.expected import Part, expected
from harvest_pipeline_tests.orchestration.parameters.stage import WHO, Ran, Stage, question
from harvest_pipeline_tests.orchestration.parameters.story import START, TODAY
from harvest_pipeline_tests.sandbox.faults import Forbid

LAST_WEEK = (date(2026, 11, 10), date(2026, 11, 17))


def days(first: date, last: date) -> list[str]:
    return [str(first + timedelta(days=n)) for n in range((last - first).days + 1)]


def busiest(stage: Stage, name: str, number: int = 1) -> list[int]:
    """The ids (`project_id`, `user_id`) with most time entries since START."""
    entries = stage.truth().rows["time_entries"].values()
    found = Counter(row[name] for row in entries if row["spent_date"] >= START)
    return [key for key, _ in found.most_common(number)]


def materialized(stage: Stage, report: str) -> set[str]:
    """The partitions that Dagster shows as materialized."""
    return set(stage.instance.get_materialized_partitions(key(stage, report)))


def key(stage: Stage, name: str) -> dg.AssetKey:
    return dg.AssetKey([stage.settings.name, name])


def assert_loaded(stage: Stage, report: str, record: str, part: Part) -> None:
    """A table that was empty holds exactly a part of the account."""
    truth = stage.truth()
    outcome = expected(record, part, Rows({name: {} for name in truth.rows}), truth)
    assert outcome.fresh
    assert stage.rows(report).keys() == outcome.fresh.keys()


def test_reports_that_do_not_take_a_parameter_of_others_say_so_and_are_read_whole(
    stage: Stage,
) -> None:
    (project,) = busiest(stage, "project_id")
    ran = stage.run("daily", "clients", days=LAST_WEEK, project_ids=[project])
    assert ran.success
    assert "clients has no project_ids: it is read as if not given." in ran.lines
    assert [each["ignored_parameters"].value for each in ran.metadata["clients"]] == ["project_ids"]
    assert not any("ignored_parameters" in each for each in ran.metadata["daily"])
    assert question("/clients") in ran.questions
    assert_loaded(stage, "clients", "clients", Part())
    assert_loaded(stage, "daily", "time_entries", Part(*LAST_WEEK, projects=frozenset([project])))


@pytest.mark.parametrize("options", [
    {"days_back": 2},
    {"days_back_to_start_from": 5},
    {"start_date": "2026-11-18", "end_date": "yesterday"},
    {"full_refresh": True},
])  # fmt: skip
def test_days_of_a_launch_over_partitions_are_refused_before_anything_is_asked(
    stage: Stage, options: dict[str, Any]
) -> None:
    """Of the whole run: clients could be read whole, but what was meant is not done."""
    ran = stage.run("clients", "daily", "invoices", days=LAST_WEEK, **options)
    (first, *_) = options
    assert set(ran.refusals.values()) == {
        f"{first} is set in report_options of the launch, but daily has a partition for each "
        f"day; remove {first} and choose the days as the partitions of the run."
    }
    assert ran.refusals.keys() == {"clients", "daily", "invoices"}
    assert ran.questions == []


def test_filters_and_since_when_are_taken_by_a_launch_over_partitions(stage: Stage) -> None:
    (project,) = busiest(stage, "project_id")
    ran = stage.run(
        "daily", days=LAST_WEEK, project_ids=project, updated_since_days_back=2,
        invoice_status="none",
    )  # fmt: skip
    assert ran.success
    assert ran.days["daily"] == days(*LAST_WEEK)
    window = {"from": LAST_WEEK[0], "to": LAST_WEEK[1]}
    since = "2026-11-15T00:00:00Z"  # two days before the last partition
    assert (
        question("/time_entries", **window, project_id=project, updated_since=since)
        in ran.questions
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"days_back_to_start_from": 5, "days_back_to_end_at": 10},
            "days_back_to_end_at is the larger number, so the window would end before it begins; "
            "exchange it with days_back_to_start_from; it is set in report_options of the launch.",
        ),
        (
            {"days_back": 3, "start_date": "2026-11-12"},
            "days_back and start_date both say which days are read; keep one; it is set in "
            "report_options of the launch.",
        ),
        (
            {"full_refresh": True, "days_back": 3},
            "full_refresh reads everything; leave out days_back; it is set in report_options of "
            "the launch.",
        ),
        (
            {"project_ids": "14307913; 14308069"},
            "project_ids: this is no id; ids are numbers such as 14307913; it is "
            "set in report_options of the launch.",
        ),
        (
            {"updated_since": "2026-11-12", "updated_since_days_back": 1},
            "updated_since and updated_since_days_back both say since when; keep one; it is set "
            "in report_options of the launch.",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(
    stage: Stage, options: Any, sentence: str
) -> None:
    ran = stage.run("daily", **options)
    assert ran.refusals == {"daily": sentence}
    assert ran.questions == []


def test_every_day_is_described_by_its_own_figures(stage: Stage) -> None:
    """For the children of the invoices too."""
    (first, last), invoices = LAST_WEEK, stage.account.records.invoices.ascending()
    for offset, invoice in zip(cycle((0, 0, 0, 3, 4, 4)), invoices, strict=False):
        day = first + timedelta(days=offset)
        stage.account.change("invoices", invoice.id, touch=False, issue_date=day)
    reports = ("invoices", "invoice_messages", "daily")
    ran = stage.run(*reports, days=LAST_WEEK)
    truth = stage.truth()
    for report, record, day in (
        ("invoices", "invoices", "issue_date"),
        ("invoice_messages", "invoice_messages", "invoice_issue_date"),
        ("daily", "time_entries", "spent_date"),
    ):
        assert ran.days[report] == days(first, last)
        assert materialized(stage, report) == set(days(first, last))
        found = Counter(str(row[day]) for row in truth.rows[record].values())
        assert [found[each] for each in days(first, last)] == [
            each["rows"].value for each in ran.metadata[report]
        ]
        assert len(set(found.values())) > 1


def test_a_retry_asks_only_for_the_ids_that_were_not_read(stage: Stage) -> None:
    one, two = sorted(busiest(stage, "project_id", 2))
    stage.account.faults.add(Forbid(path=f"/projects/{two}/task_assignments"))
    failed = stage.run("assignments", "daily", days=LAST_WEEK, project_ids=[two, one, one])
    assert set(failed.refusals) == {"assignments"}

    stage.account.faults.clear()
    tags = {"dagster/parent_run_id": failed.run_id, "dagster/root_run_id": failed.run_id}
    ran = stage.run("assignments", "daily", days=LAST_WEEK, tags=tags, project_ids=[one, two])
    assert ran.success
    assert [each for each in ran.questions if each[0] not in WHO] == [
        question(f"/projects/{two}/task_assignments")
    ]
    both = Part(projects=frozenset([one, two]))
    assert_loaded(stage, "assignments", "task_assignments", both)


def test_ids_that_harvest_does_not_know_bring_nothing_and_remove_nothing(stage: Stage) -> None:
    stage.run("daily", "assignments", days=LAST_WEEK)
    before = stage.all_rows(["daily", "assignments"])
    ran = stage.run("daily", "assignments", days=LAST_WEEK, project_ids="99")
    assert ran.success
    assert question("/projects/99/task_assignments") in ran.questions
    assert stage.all_rows(["daily", "assignments"]) == before
    assert sum(each["rows"].value for each in ran.metadata["daily"]) == len(before["daily"])


def test_a_project_that_was_deleted_takes_its_assignments_along(stage: Stage) -> None:
    stage.run("assignments", days=None)
    (project,) = busiest(stage, "project_id")
    stage.account.delete("projects", project)
    ran = stage.run("assignments", days=None, project_ids=project)
    assert ran.success
    assert stage.rows("assignments").keys() == stage.truth().rows["task_assignments"].keys()
    assert stage.rows("assignments")


def test_a_module_that_is_off_keeps_the_part_that_was_loaded(stage: Stage) -> None:
    stage.run("invoices", days=(START, TODAY))
    before = stage.rows("invoices")
    stage.account.change_company(invoice_feature=False)
    ran = stage.run("invoices", days=(START, TODAY), invoice_status="open")
    assert ran.success
    assert stage.rows("invoices") == before


@pytest.mark.parametrize(
    ("since", "asked"),
    [
        ("2026-11-18", "2026-11-18T08:00:00Z"),
        ("2026-11-18T09:30", "2026-11-18T17:30:00Z"),
        ("2026-11-18T09:30:00+01:00", "2026-11-18T08:30:00Z"),
    ],
)
def test_a_day_begins_in_the_time_zone_of_the_settings(
    stage: Stage, since: str, asked: str
) -> None:
    stage.declare(timezone="America/Los_Angeles")
    ran = stage.run("clients", days=None, updated_since=since)
    assert question("/clients", updated_since=asked) in ran.questions


@pytest.mark.parametrize("option", RunOptions.model_fields)
def test_a_launch_that_names_a_variable_does_not_see_its_value(stage: Stage, option: str) -> None:
    """A launch may set these fields, and Dagster repeats values that it refuses."""
    token = stage.sandbox.tokens["administrator"]
    value = {"env": "HARVEST_ACCESS_TOKEN"}
    try:
        ran: Ran = stage.run("daily", **{option: value})
    except dg.DagsterInvalidConfigError as error:
        assert REPORT_OPTIONS in str(error)
        assert token not in str(error)
    else:
        assert set(ran.refusals) == {"daily"}
        assert ran.questions == []
    told = [str(entry) for run in stage.instance.get_runs() for entry in
            stage.instance.all_logs(run.run_id)]  # fmt: skip
    assert token not in "\n".join([*told, *map(str, stage.instance.get_runs())])
