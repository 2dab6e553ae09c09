"""What `sync` makes of its arguments, before anything is started."""

from datetime import date, timedelta
from typing import Any

import pytest

from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.cli.choice import (
    Run,
    chosen_accounts,
    ignored,
    options_of,
    runs_of,
)
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import Account, SettingsError
from harvest_pipeline.settings.datasets import Dataset
from harvest_pipeline_tests.projects import dataset, project

OLD_TIME = dataset(
    "old_time",
    "all_projects_time_entries",
    project_ids=[1, 2],
    days_back_to_start_from=10,
    days_back_to_end_at=5,
)
HISTORY = dataset("history", "projects", "append", days_back=7)


def settings(*more: Dataset, without: tuple[str, ...] = ()) -> Account:
    """An account with the reports and these datasets, since the beginning of 2026."""
    return project(*more, without=without, start_date="2026-01-01").accounts[0]


ACCOUNT = settings(OLD_TIME, HISTORY)
TODAY = ACCOUNT.project.today()


def back(first: int, last: int = 0) -> Window:
    return Window(TODAY - timedelta(days=first), TODAY - timedelta(days=last))


def runs(*names: str, account: Account = ACCOUNT, **given: Any) -> list[Run]:
    return runs_of(account, names, options_of(given))


def names_of(run: Run) -> list[str]:
    return [dataset.name for dataset in run.datasets]


def refusal(*names: str, account: Account = ACCOUNT, **given: Any) -> str:
    with pytest.raises(SettingsError) as raised:
        runs(*names, account=account, **given)
    return raised.value.message


def test_without_arguments_all_reports_are_read_over_the_last_days_and_today() -> None:
    (run,) = runs()
    assert names_of(run) == list(REPORTS)
    assert run.window == back(30)
    assert run.config == {}


def test_reports_that_are_switched_off_are_left_out() -> None:
    (run,) = runs(account=settings(without=("daily", "people")))
    assert set(REPORTS) - set(names_of(run)) == {"daily", "people"}
    assert "no report 'daily'" in refusal("daily", account=settings(without=("daily",)))


@pytest.mark.parametrize(
    ("given", "window"),
    [
        ({"days_back": 3}, back(3)),
        ({"start_date": "2026-02-01", "end_date": "2026-02-03"}, None),
        ({"start_date": "10 days back", "end_date": "yesterday"}, back(10, 1)),
        ({"days_back_to_start_from": 10, "days_back_to_end_at": 5}, back(10, 5)),
        ({"days_back": 3660}, Window(date(2026, 1, 1), TODAY)),
        ({"full_refresh": True}, Window(date(2026, 1, 1), TODAY)),
    ],
)
def test_each_way_to_say_days(given: dict[str, Any], window: Window | None) -> None:
    (run,) = runs("invoices", **given)
    assert run.window == (window or Window(date(2026, 2, 1), date(2026, 2, 3)))
    assert run.config == {}  # a run over partitions refuses days beside them


def test_a_report_without_days_has_a_run_without_partitions() -> None:
    (run,) = runs("clients")
    assert run.window is None


def test_a_dataset_has_its_own_days_unless_the_command_names_some() -> None:
    assert [run.window for run in runs("old_time")] == [back(10, 5)]
    assert [run.window for run in runs("old_time", days_back=2)] == [back(2)]


def test_datasets_with_different_days_are_different_runs() -> None:
    first, second = runs("invoices", "clients", "old_time")
    assert (names_of(first), first.window) == (["invoices", "clients"], back(30))
    assert (names_of(second), second.window) == (["old_time"], back(10, 5))
    (both,) = runs("invoices", "old_time", days_back=2)
    assert names_of(both) == ["invoices", "old_time"]


def test_days_are_given_to_what_has_no_partitions_in_a_run_of_its_own() -> None:
    days = {"start_date": "2026-02-01", "end_date": "2026-02-03"}
    (run,) = runs("history", **days)
    assert run.window is None
    assert run.config == days
    of_days, other = runs("invoices", "clients", "history", **days, project_ids="1")
    assert (names_of(of_days), of_days.config) == (["invoices", "clients"], {"project_ids": [1]})
    assert (names_of(other), other.window) == (["history"], None)
    assert other.config == {"project_ids": [1], **days}
    every, other = runs("invoices", "history", full_refresh=True)
    assert (every.window, every.config) == (Window(date(2026, 1, 1), TODAY), {})
    assert (other.window, other.config) == (None, {"full_refresh": True})
    (together,) = runs("invoices", "history")
    assert names_of(together) == ["invoices", "history"]


def test_filters_are_config_of_the_run() -> None:
    (run,) = runs("invoices", project_ids="2, 1,2", invoice_status="open")
    assert run.config == {"project_ids": [1, 2], "invoice_status": "open"}
    (run,) = runs("invoices", updated_since="2026-02-01T10:00:00Z", user_ids=None)
    assert run.config == {"updated_since": "2026-02-01T10:00:00Z"}
    (run,) = runs("invoices", updated_since="2026-02-01")
    assert run.config == {"updated_since": "2026-02-01"}


@pytest.mark.parametrize(
    ("names", "given", "sentence"),
    [
        (
            ["clients", "tasks"],
            {"invoice_status": "open"},
            "--invoice-status means nothing for clients, tasks; leave it out, or name other "
            "reports.",
        ),
        (
            ["old_time"],
            {"project_ids": "7"},
            "old_time: project_ids is fixed in harvest.yaml; leave --project-ids out.",
        ),
        (
            ["invoices"],
            {"start_date": "2025-12-31"},
            "--from is 2025-12-31, and the first partition is 2026-01-01; choose a later day, or "
            "set HARVEST_START_DATE to an earlier one.",
        ),
        (
            ["invoices"],
            {"start_date": "today", "end_date": "yesterday"},
            f"The window {TODAY} to {TODAY - timedelta(days=1)} ends before it begins.",
        ),
    ],
)
def test_what_cannot_be_is_refused(names: list[str], given: dict[str, Any], sentence: str) -> None:
    assert refusal(*names, **given) == sentence


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"days_back": 3, "start_date": "today"},
            "--days-back and --from both say which days are read; keep one; it is set in the "
            "command.",
        ),
        ({"end_date": "today"}, "--to needs --from; it is set in the command."),
        (
            {"start_date": "2026-13-01"},
            "--from: this is no day; write 2026-11-02, today, yesterday, or 10 days back; "
            "it is set in the command.",
        ),
        (
            {"full_refresh": True, "updated_since": "today"},
            "--updated-since: this is no instant; write 2026-11-02, or 2026-11-02T14:30:00Z; it "
            "is set in the command.",
        ),
    ],
)
def test_sentences_have_the_names_that_were_typed(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError) as raised:
        options_of(given)
    assert raised.value.message == sentence


def test_options_that_some_reports_ignore_are_named_with_these() -> None:
    given = {"start_date": "10", "end_date": "5", "invoice_status": "paid"}
    some = runs("invoices", "daily", "tasks", **given)
    assert ignored(some, options_of(given), named=True) == [
        "--from and --to mean nothing for tasks.",
        "--invoice-status means nothing for daily, tasks.",
    ]


def test_a_sync_of_all_does_not_warn_of_reports_that_have_no_days() -> None:
    days = {"start_date": "10", "end_date": "5"}
    assert ignored(runs(**days), options_of(days), named=False) == []
    part = {**days, "invoice_status": "paid"}
    (line,) = ignored(runs(**part), options_of(part), named=False)
    assert line.startswith("--invoice-status means nothing for all_projects_time_entries, ")


def test_the_days_that_are_read_are_told_also_where_they_are_those_of_the_dataset() -> None:
    (run,) = runs("history", "invoices", "clients")
    told = {each.name: run.days_of(each) for each in run.datasets}
    assert told == {"history": str(back(7)), "invoices": str(back(30)), "clients": "all"}
    ended = settings(dataset("ended", "projects", "append", start_date="2025-01-01"))
    assert refusal("ended", account=ended).startswith(
        "The window of ended in harvest.yaml: start_date is 2025-01-01, and the first partition is"
    )


def test_a_dataset_of_one_account_is_looked_for_in_that_account() -> None:
    other = settings()
    assert chosen_accounts([other, ACCOUNT], None, ["history"]) == [ACCOUNT]
    assert chosen_accounts([other, ACCOUNT], None, ["daily"]) == [other, ACCOUNT]
    assert chosen_accounts([other, ACCOUNT], None, ["nothing"]) == [other, ACCOUNT]
