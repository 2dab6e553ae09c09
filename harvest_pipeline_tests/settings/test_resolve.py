"""The parameters of a run and of a dataset become one scope, or a refusal."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.scope import Filters, Scope, Window
from harvest_pipeline.settings.datasets import Dataset, Update
from harvest_pipeline.settings.parameters import OptionsError
from harvest_pipeline.settings.resolve import Days, Resolved, resolve
from harvest_pipeline_tests import projects

TODAY = date(2026, 11, 20)
ONE_DAY = Window(TODAY, TODAY)
EVERY = Window(date(2026, 1, 1), TODAY)


def window(first: str, last: str) -> Window:
    return Window(date.fromisoformat(first), date.fromisoformat(last))


def report(name: str) -> Dataset:
    return Dataset(name=name, report=REPORTS[name])


def dataset(report: str, update: str | None = None, **parameters: Any) -> Dataset:
    return projects.dataset("ours", report, update, **parameters)


def ask(
    subject: Dataset,
    *others: Dataset,
    run: Window = ONE_DAY,
    timezone: str = "UTC",
    **parameters: Any,
) -> Resolved:
    return resolve(subject, parameters, Days(run, EVERY, timezone), (subject, *others))


def test_without_parameters_the_window_is_that_of_the_runs_partitions() -> None:
    run = window("2026-11-02", "2026-11-05")
    assert ask(report("daily"), run=run).scope == Scope("time_entries", run)
    assert ask(report("clients"), run=run).scope == Scope("clients")


#: Every way to say days.
DAYS_GIVEN: list[dict[str, Any]] = [
    {"days_back": 3},
    {"days_back_to_start_from": 10, "days_back_to_end_at": 5},
    {"start_date": "2026-11-02", "end_date": "yesterday"},
    {"full_refresh": True},
]


@pytest.mark.parametrize("given", DAYS_GIVEN)
@pytest.mark.parametrize("others", [(), ("invoices",), ("clients",)])
def test_days_are_refused_in_a_run_over_partitions_whatever_else_it_reads(
    given: dict[str, Any], others: tuple[str, ...]
) -> None:
    """By each step: nothing of such a run is read, not even what could take them."""
    (first, *_), merged = given, dataset("daily", "merge")
    for subject in (report("daily"), dataset("daily", days_back=2), merged):
        together = [report("daily"), *map(report, others), subject]
        with pytest.raises(OptionsError) as refused:
            resolve(subject, given, Days(ONE_DAY, EVERY, "UTC"), together)
        assert str(refused.value) == (
            f"{first} is set in report_options of the launch, but daily has a partition for each "
            f"day; remove {first} and choose the days as the partitions of the run."
        )
    assert ask(merged, report("clients"), **given)


def test_a_dataset_keeps_its_part_and_a_run_may_choose_other_days() -> None:
    ours = dataset("daily", "replace", project_ids=[2, 1], days_back=10)
    assert ask(ours).scope == Scope(
        "time_entries", window("2026-11-10", "2026-11-20"), Filters(project_ids=(1, 2))
    )
    assert ask(ours, start_date="2026-03-01", end_date="2026-03-02").scope == Scope(
        "time_entries", window("2026-03-01", "2026-03-02"), Filters(project_ids=(1, 2))
    )
    with pytest.raises(OptionsError) as refused:
        ask(ours, project_ids=[3])
    assert str(refused.value) == (
        "The dataset ours fixes project_ids in harvest.yaml; remove project_ids from "
        "report_options of the launch."
    )


def test_partitions_are_the_days_whatever_window_the_dataset_has() -> None:
    ours = dataset("daily", days_back_to_start_from=10, days_back_to_end_at=5)
    run = window("2026-11-10", "2026-11-15")
    assert ask(ours, run=run).scope.window == run


def test_a_table_of_its_own_has_no_partitions_so_its_window_counts_from_today() -> None:
    ours = dataset("invoices", "replace", days_back=3)
    assert ask(ours).scope.window == window("2026-11-17", "2026-11-20")
    assert ask(ours, days_back_to_start_from=10, days_back_to_end_at=5).scope.window == window(
        "2026-11-10", "2026-11-15"
    )
    assert ask(dataset("invoices", "replace")).scope.window == EVERY
    changed = ask(dataset("daily", updated_since_days_back=1)).scope
    assert changed.window == EVERY
    assert changed.filters.updated_since == datetime(2026, 11, 19, tzinfo=UTC)


def test_a_window_on_a_record_without_a_day_is_that_of_its_changes() -> None:
    ours = dataset("clients", days_back=2)
    assert ours.update is Update.MERGE
    assert ask(ours, timezone="Europe/Berlin").scope == Scope(
        "clients",
        None,
        Filters(
            updated_since=datetime(2026, 11, 17, 23, tzinfo=UTC),
            updated_before=datetime(2026, 11, 20, 23, tzinfo=UTC),
        ),
    )


def test_a_day_without_a_time_begins_in_the_projects_time_zone() -> None:
    since = ask(report("clients"), timezone="Asia/Kolkata", updated_since="2026-11-02").scope
    assert since.filters.updated_since == datetime(2026, 11, 1, 18, 30, tzinfo=UTC)
    instant = ask(report("clients"), updated_since="2026-11-02T14:30:00+02:00").scope
    assert instant.filters.updated_since == datetime(2026, 11, 2, 12, 30, tzinfo=UTC)


def test_full_refresh_is_every_day_of_the_part_and_gives_up_what_was_merged() -> None:
    full = ask(dataset("daily", "replace", project_ids=[1], days_back=3), full_refresh=True)
    assert full.scope == Scope("time_entries", EVERY, Filters(project_ids=(1,)))
    merged = ask(dataset("daily", "merge", updated_since_days_back=1), full_refresh=True)
    assert merged == Resolved(Scope("time_entries", EVERY), full_refresh=True)


def test_what_only_others_of_the_run_take_is_ignored_and_said() -> None:
    other = dataset("daily", "merge")
    some = ask(report("clients"), other, project_ids="5, 5", days_back=3)
    assert some == Resolved(Scope("clients"), ignored=("days_back", "project_ids"))
    with pytest.raises(OptionsError) as refused:
        ask(report("clients"), report("tasks"), project_ids="5")
    assert str(refused.value) == (
        "The report clients has no project_ids; it takes updated_since, updated_since_days_back, "
        "full_refresh. Remove project_ids from report_options of the launch."
    )


def test_a_run_may_not_leave_only_changes_in_a_table_that_is_replaced() -> None:
    with pytest.raises(OptionsError, match="would leave only what changed"):
        ask(dataset("invoices", "replace"), updated_since_days_back=1)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        (
            {"days_back": 3, "start_date": "today"},
            "days_back and start_date both say which days are read; keep one",
        ),
        ({"end_date": "today"}, "end_date needs start_date"),
        ({"days_back_to_end_at": 5}, "days_back_to_end_at needs days_back_to_start_from"),
        (
            {"days_back_to_start_from": 5, "days_back_to_end_at": 10},
            "days_back_to_end_at is the larger number, so the window would end before it begins; "
            "exchange it with days_back_to_start_from",
        ),
        (
            {"updated_since": "2026-11-02", "updated_since_days_back": 3},
            "updated_since and updated_since_days_back both say since when; keep one",
        ),
        (
            {"full_refresh": True, "days_back": 3},
            "full_refresh reads everything; leave out days_back",
        ),
        (
            {"start_date": "soon"},
            "start_date: this is no day; write 2026-11-02, today, yesterday, or 10 days back",
        ),
        (
            {"project_ids": "1, x"},
            "project_ids: number 2 of these is no id; ids are numbers such as 14307913",
        ),
        ({"project_ids": True}, "project_ids: this is no id; ids are numbers such as 14307913"),
        (
            {"invoice_status": "late"},
            "invoice_status: choose one of none, draft, open, paid, closed",
        ),
        ({"dayz": 1}, "'dayz' is no parameter of a run"),
    ],
)
def test_what_cannot_work_is_one_sentence(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OptionsError) as refused:
        ask(report("invoices"), **parameters)
    assert str(refused.value) == f"{sentence}; it is set in report_options of the launch."


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        (
            {"start_date": "2025-12-31", "end_date": "today"},
            "start_date is 2025-12-31, and the first partition is 2026-01-01; choose a later day, "
            "or set HARVEST_START_DATE to an earlier one.",
        ),
        (
            {"start_date": "2026-03-02", "end_date": "2026-03-01"},
            "The window 2026-03-02 to 2026-03-01 ends before it begins.",
        ),
        (
            {"days_back_to_start_from": 900, "days_back_to_end_at": 800},
            "No day of the window has a partition: these are 2026-01-01 to 2026-11-20; choose "
            "other days, or set HARVEST_START_DATE to an earlier one.",
        ),
    ],
)
def test_days_that_cannot_be_read_are_refused(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OptionsError) as refused:
        ask(dataset("invoices", "merge"), **parameters)
    assert str(refused.value) == sentence


def test_relative_days_before_the_first_partition_and_days_to_come_are_left_out() -> None:
    ours = dataset("daily", "merge")
    assert ask(ours, days_back=3000).scope.window == EVERY
    future = ask(ours, start_date="2026-11-19", end_date="2027-01-01")
    assert future.scope.window == window("2026-11-19", "2026-11-20")
