"""`harvest.yaml`: every refusal of a dataset, as its whole sentence with the line."""

from pathlib import Path

import pytest

from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline_tests.test_config import refusal_of


def dataset_with(*lines: str, report: str = "daily") -> str:
    """A file with one dataset; the lines that are given are line 4 and those after it."""
    return "\n    ".join(("datasets:\n  - name: mine", f"report: {report}", *lines)) + "\n"


ALL = ", ".join(REPORTS)
CRON = (
    "is no cron expression; write minute, hour, day of the month, month and day of the week, such "
    'as "0 6 * * 1-5".'
)
FIELDS = "name, report, account, filters, window, schedule, update, retry"
FILTERS = "updated_since, updated_since_days_back, invoice_status, project_ids, user_ids"
WINDOW = "days_back, days_back_to_start_from, days_back_to_end_at, start_date, end_date"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            dataset_with(report="dayly"),
            "line 3: datasets.0.report: there is no report 'dayly'; did you mean daily?",
        ),
        (
            dataset_with(report="profits"),
            f"line 3: datasets.0.report: there is no report 'profits'; choose one of {ALL}.",
        ),
        (
            "datasets:\n  - name: mine\n",
            "line 2: datasets.0.report: it is missing, and there is no default.",
        ),
        (
            "datasets:\n  - name: mine\n    reprt: daily\n",
            "line 3: datasets.0.reprt: there is no such setting (did you mean report?); there "
            f"are: {FIELDS}.",
        ),
        (
            "datasets:\n  - {name: a, report: daily}\n  - {name: people, report: people}\n",
            "line 3: datasets.1.name: 'people' is the name of a report; choose another name.",
        ),
        (
            "datasets:\n  - name: invoice_line_items\n    report: invoices\n",
            "line 2: datasets.0.name: 'invoice_line_items' is the name of a table; choose another "
            "name.",
        ),
        (
            "datasets:\n  - name: reconcile\n    report: daily\n",
            "line 2: datasets.0.name: 'reconcile' is taken by a job or schedule; choose another "
            "name.",
        ),
        (
            "datasets:\n  - name: _loads\n    report: daily\n",
            "line 2: datasets.0.name: a name is made of small letters, digits and underscores (40 "
            "at most), and begins with a letter.",
        ),
        (
            "datasets:\n  - {name: mine, report: daily}\n  - name: mine\n    report: tasks\n",
            "line 3: datasets.1.name: another dataset is called 'mine' too; each needs a name.",
        ),
        (
            "datasets:\n  mine: {report: daily}\n",
            "line 1: datasets: a list is expected here, such as [{name: support_time, report: "
            "daily}].",
        ),
        (
            dataset_with("filters:", "  user_ids: 3", "  invoice_status: paid"),
            "line 6: datasets.0.filters.invoice_status: the report daily has no invoice_status; "
            f"it takes {WINDOW}, {FILTERS.replace('invoice_status, ', '')}, full_refresh.",
        ),
        (
            dataset_with("filters: {user_id: 3}"),
            "line 4: datasets.0.filters.user_id: there is no such setting (did you mean "
            f"user_ids?); there are: {FILTERS}.",
        ),
        (
            dataset_with("filters:", "  invoice_status: late", report="invoices"),
            "line 5: datasets.0.filters.invoice_status: choose one of none, draft, open, paid, "
            "closed.",
        ),
        (
            dataset_with("filters: {project_ids: [1, x]}"),
            "line 4: datasets.0.filters.project_ids: 'x' is no id; ids are numbers such as "
            "14307913.",
        ),
        (
            dataset_with("filters: {updated_since: soon}"),
            "line 4: datasets.0.filters.updated_since: 'soon' is no instant; write 2026-11-02, or "
            "2026-11-02T14:30:00Z.",
        ),
        (
            dataset_with("filters: all"),
            "line 4: datasets.0.filters: settings are expected here, such as {project_ids: "
            "[14307913, 14308069]}.",
        ),
        (
            dataset_with("window: {days_back: 3, start_date: 2026-01-01}"),
            "line 4: datasets.0.window: days_back and start_date both say which days are read; "
            "keep one.",
        ),
        (
            dataset_with("window:", "  days_back: -1"),
            "line 5: datasets.0.window.days_back: it must be greater than or equal to 0.",
        ),
        (
            dataset_with("window:", "  start_date: 2026-02-30"),
            "line 5: datasets.0.window.start_date: '2026-02-30' is no day; write 2026-11-02, "
            "today, yesterday, or 10 days back.",
        ),
        (
            dataset_with("1: daily"),
            f"line 4: datasets.0.1: there is no such setting; there are: {FIELDS}.",
        ),
        (
            dataset_with("window:", "  start: 2026-01-01"),
            "line 5: datasets.0.window.start: there is no such setting (did you mean start_date?);"
            f" there are: {WINDOW}.",
        ),
        (
            dataset_with('schedule: "0 6 * * 1-5"'),
            "line 4: datasets.0.schedule: settings are expected here, such as {cron: 0 6 * * 1-5, "
            "timezone: Europe/Berlin}.",
        ),
        (
            dataset_with("schedule:", '  cron: "0 25 * * *"'),
            f"line 5: datasets.0.schedule.cron: '0 25 * * *' {CRON}",
        ),
        (
            dataset_with('schedule: {cron: "* * * * * *"}'),
            f"line 4: datasets.0.schedule.cron: '* * * * * *' {CRON}",
        ),
        (
            dataset_with('schedule: {cron: "*/90 * * * *"}'),
            f"line 4: datasets.0.schedule.cron: '*/90 * * * *' {CRON}",
        ),
        (
            dataset_with("schedule:", "  cron: */5 * * * *"),
            "line 5: text that begins with * needs quotes; correct the YAML.",
        ),
        (
            dataset_with("schedule:", "  cron: 0 6 * * *", "  timezone: Berlin"),
            "line 6: datasets.0.schedule.timezone: 'Berlin' is no time zone; use an IANA name such "
            "as Europe/Berlin or UTC.",
        ),
        (
            dataset_with("update: upsert"),
            "line 4: datasets.0.update: choose one of replace, append, merge, partition.",
        ),
        (
            dataset_with("filters: {project_ids: 1}", "update: partition", report="assignments"),
            "line 5: datasets.0.update: partition replaces days, and assignments has none; use "
            "replace, merge or append.",
        ),
        (
            dataset_with("filters: {updated_since_days_back: 1}", "update: partition"),
            "line 5: datasets.0.update: partition would delete the rows of each day that "
            "updated_since_days_back leaves out; use merge.",
        ),
        (
            dataset_with("update: replace", "filters: {updated_since: 2026-11-02}"),
            "line 4: datasets.0.update: replace would leave only what changed (updated_since) in "
            "the table; use merge, or append for a history.",
        ),
        (
            dataset_with("update: replace", "window: {days_back: 1}", report="clients"),
            "line 4: datasets.0.update: replace would leave only what changed (days_back: clients "
            "has no day, so its window is that of updated_at) in the table; use merge, or append "
            "for a history.",
        ),
        (
            dataset_with("retry: {attempts: 0}"),
            "line 4: datasets.0.retry.attempts: it must be greater than or equal to 1.",
        ),
        (
            dataset_with("retry: {attempts: 21}"),
            "line 4: datasets.0.retry.attempts: it must be less than or equal to 20.",
        ),
        (
            dataset_with("retry: {wait_minutes: 5}"),
            "line 4: datasets.0.retry.attempts: it is missing, and there is no default.",
        ),
        (
            dataset_with("retry:", "  attempts: 2", "  wait_minutes: 1441"),
            "line 6: datasets.0.retry.wait_minutes: it must be less than or equal to 1440.",
        ),
        (
            dataset_with("retry: {attempts: 2, wait_minutes: .nan}"),
            "line 4: datasets.0.retry.wait_minutes: it must be a finite number.",
        ),
        (
            dataset_with("account: acme"),
            "line 4: datasets.0.account: `accounts:` names none; name it there, or leave account "
            "out.",
        ),
        (
            "accounts: [{name: a}, {name: b}]\n" + dataset_with("account: c"),
            "line 5: datasets.0.account: there is no account 'c'; choose one of a, b.",
        ),
        (
            "accounts: [{name: a}, {name: b}]\n" + dataset_with(),
            "line 3: datasets.0.account: there are several accounts; choose one of a, b.",
        ),
        (
            "accounts: [{name: a}, {name: a_b}]\n"
            "datasets:\n  - {report: daily, account: a, name: b_time}\n",
            "line 3: datasets.0.name: what is called a_b_time would be taken for the account "
            "a_b's; choose another name.",
        ),
        (
            "disabled_reports:\n  - tasks\n  - dailly\n",
            "line 3: disabled_reports.1: there is no report 'dailly'; did you mean daily?",
        ),
        (
            "disabled_reports: tasks, daily\n",
            "line 1: disabled_reports: a list is expected here, such as [invoice_messages, daily].",
        ),
        (
            f"\ndisabled_reports: [{ALL}]\n",
            "line 2: disabled_reports: nothing is left: leave a report, or add a dataset.",
        ),
        (
            "accounts: [{name: a}, {name: b}]\n"
            "datasets: [{name: mine, report: daily, account: a}]\n"
            f"disabled_reports: [{ALL}]\n",
            "line 3: disabled_reports: nothing of the account b is left: leave a report, or add a "
            "dataset.",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_what_is_allowed(
    text: str, sentence: str, tmp_path: Path
) -> None:
    assert refusal_of(tmp_path, text) == sentence
