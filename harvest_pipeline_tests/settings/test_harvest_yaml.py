"""`harvest.yaml`: whatever is wrong in it is a sentence with its line and with what is allowed."""

import re
from pathlib import Path

import pytest

from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.settings import SettingsError, load_project
from harvest_pipeline_tests.settings.written import project_of, refusal_of

ALL = ", ".join(REPORTS)
NO_SUCH = "there is no such setting"
CREDENTIALS = (
    "Credentials are not kept in this file: run `harvest-pipeline connect`, or set variables such "
    "as HARVEST_ACME_ACCESS_TOKEN."
)
NAME = (
    "a name is made of small letters, digits and underscores (40 at most), and begins with a "
    "letter."
)
TAKEN = "is the name of another dataset, report, table or job; choose another name."
TWICE = "is there twice at the same place, and only one of them would count; put them together."
CRON = (
    "is no cron expression; write minute, hour, day of the month, month and day of the week, such "
    'as "0 6 * * 1-5".'
)
FIELDS = "name, report, account, filters, window, schedule, update, retry"
FILTERS = "updated_since, updated_since_days_back, invoice_status, project_ids, user_ids"
WINDOW = "days_back, days_back_to_start_from, days_back_to_end_at, start_date, end_date"
MISSING = "it is missing, and there is no default."


def with_account(*lines: str) -> str:
    """A file with one account; the lines that are given are line 3 and those after it."""
    return "\n    ".join(("accounts:\n  - name: acme", *lines)) + "\n"


def with_dataset(*lines: str, report: str = "daily") -> str:
    """A file with one dataset; the lines that are given are line 4 and those after it."""
    return "\n    ".join(("datasets:\n  - name: mine", f"report: {report}", *lines)) + "\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("accounts:\n  - name: Acme Inc\n", f"line 2: accounts.0.name: {NAME}"),
        (f"accounts:\n  - name: {'a' * 41}\n", f"line 2: accounts.0.name: {NAME}"),
        (
            "accounts:\n  - name: no\n",
            "line 2: accounts.0.name: text is expected here; put it into quotes.",
        ),
        (
            with_account("account_id: many"),
            "line 3: accounts.0.account_id: a whole number is expected here.",
        ),
        (
            with_account("instance: acme_inc"),
            "line 3: accounts.0.instance: this is not the acme of acme.harvestapp.com.",
        ),
        (
            with_account("acount_id: 4"),
            f"line 3: accounts.0.acount_id: {NO_SUCH} (did you mean account_id?); there are: "
            f"name, account_id, instance. {CREDENTIALS}",
        ),
        ("accounts:\n  - account_id: 4\n", f"line 2: accounts.0.name: {MISSING}"),
        (
            "accounts:\n  - name: a\n\n  - name: a\n",
            "line 1: accounts: the name 'a' is there 2 times; each needs its own.",
        ),
        (
            "accounts:\n  - name: io_manager\n",
            "line 2: accounts.0.name: 'io_manager' is taken; choose another name.",
        ),
        (
            "acounts:\n  - name: acme\n",
            f"line 1: acounts: {NO_SUCH} (did you mean accounts?); there are: disabled_reports, "
            f"datasets, accounts, alerts, owners. {CREDENTIALS}",
        ),
        (
            "owners: [ada]\n",
            "line 1: owners.0: an owner is an e-mail address, or a team as team:finance.",
        ),
        (
            "accounts:\n  acme:\n    account_id: 4\n",
            "line 1: accounts: a list is expected here, such as [{name: acme}].",
        ),
        (
            "accounts:\n  - acme\n",
            "line 2: accounts.0: settings are expected here, such as {name: acme}.",
        ),
        (
            "just some words\n",
            "line 1: settings are expected here, such as {accounts: [{name: acme}]}.",
        ),
        (with_account() + "\naccounts:\n  - name: blue\n", f"line 4: accounts {TWICE}"),
        (with_account("name: blue"), f"line 3: name {TWICE}"),
        (
            "accounts:\n  - name: [acme\n",
            "line 3: expected ',' or ']', but got '<stream end>'; correct the YAML.",
        ),
        (
            "accounts:\n\t- name: acme\n",
            "line 2: found character '\\t' that cannot start any token; correct the YAML.",
        ),
        (
            "accounts: !!python/object:os.system\n",
            "line 1: could not determine a constructor for the tag '…'; correct the YAML.",
        ),
        (
            "accounts: &all [*all]\n",
            "line 1: accounts.0: settings are expected here, such as {name: acme}.",
        ),
        (
            with_dataset(report="dayly"),
            "line 3: datasets.0.report: there is no such report; did you mean daily?",
        ),
        (
            with_dataset(report="profits"),
            f"line 3: datasets.0.report: there is no such report; choose one of {ALL}.",
        ),
        ("datasets:\n  - name: mine\n", f"line 2: datasets.0.report: {MISSING}"),
        (
            "datasets:\n  - name: mine\n    reprt: daily\n",
            f"line 3: datasets.0.reprt: {NO_SUCH} (did you mean report?); there are: {FIELDS}.",
        ),
        (
            "datasets:\n  - {name: a, report: daily}\n  - {name: people, report: people}\n",
            f"line 3: datasets.1.name: 'people' {TAKEN}",
        ),
        (
            "datasets:\n  - name: invoice_line_items\n    report: invoices\n",
            f"line 2: datasets.0.name: 'invoice_line_items' {TAKEN}",
        ),
        (
            "datasets:\n  - {name: mine, report: daily}\n  - name: mine\n    report: tasks\n",
            f"line 3: datasets.1.name: 'mine' {TAKEN}",
        ),
        (
            "accounts: [{name: a}, {name: a_b}]\ndatasets:\n"
            "  - {report: daily, account: a_b, name: time}\n"
            "  - {report: daily, account: a, name: b_time}\n",
            f"line 4: datasets.1.name: 'b_time' {TAKEN}",
        ),
        (
            "accounts: [{name: a}, {name: a__b}]\n"
            "datasets: [{report: tasks, account: a, name: b__daily}]\n",
            f"line 2: datasets.0.name: 'b__daily' {TAKEN}",
        ),
        ("datasets:\n  - name: _loads\n    report: daily\n", f"line 2: datasets.0.name: {NAME}"),
        (
            "datasets:\n  mine: {report: daily}\n",
            "line 1: datasets: a list is expected here, such as [{name: support_time, report: "
            "daily}].",
        ),
        (
            with_dataset("filters:", "  user_ids: 3", "  invoice_status: paid"),
            "line 6: datasets.0.filters.invoice_status: the report daily has no invoice_status; "
            f"it takes {WINDOW}, {FILTERS.replace('invoice_status, ', '')}, full_refresh.",
        ),
        (
            with_dataset("filters: {user_id: 3}"),
            f"line 4: datasets.0.filters.user_id: {NO_SUCH} (did you mean user_ids?); there are: "
            f"{FILTERS}.",
        ),
        (
            with_dataset("filters:", "  invoice_status: late", report="invoices"),
            "line 5: datasets.0.filters.invoice_status: choose one of none, draft, open, paid, "
            "closed.",
        ),
        (
            with_dataset("filters: {project_ids: [1, x]}"),
            "line 4: datasets.0.filters.project_ids: number 2 of these is no id; ids are numbers "
            "such as 14307913.",
        ),
        (
            with_dataset("filters: {updated_since: soon}"),
            "line 4: datasets.0.filters.updated_since: this is no instant; write 2026-11-02, or "
            "2026-11-02T14:30:00Z.",
        ),
        (
            with_dataset("filters: all"),
            "line 4: datasets.0.filters: settings are expected here, such as {project_ids: "
            "[14307913, 14308069]}.",
        ),
        (
            with_dataset("window: {days_back: 3, start_date: 2026-01-01}"),
            "line 4: datasets.0.window: days_back and start_date both say which days are read; "
            "keep one.",
        ),
        (
            with_dataset("window:", "  days_back: -1"),
            "line 5: datasets.0.window.days_back: it must be greater than or equal to 0.",
        ),
        (
            with_dataset("window:", "  start_date: 2026-02-30"),
            "line 5: datasets.0.window.start_date: this is no day; write 2026-11-02, "
            "today, yesterday, or 10 days back.",
        ),
        (
            with_dataset("1: daily"),
            f"line 4: datasets.0.1: {NO_SUCH}; there are: {FIELDS}.",
        ),
        (
            with_dataset('schedule: "0 6 * * 1-5"'),
            "line 4: datasets.0.schedule: settings are expected here, such as {cron: 0 6 * * 1-5, "
            "timezone: Europe/Berlin}.",
        ),
        (
            with_dataset("schedule:", '  cron: "0 25 * * *"'),
            f"line 5: datasets.0.schedule.cron: this {CRON}",
        ),
        (
            with_dataset('schedule: {cron: "*/90 * * * *"}'),
            f"line 4: datasets.0.schedule.cron: this {CRON}",
        ),
        (
            with_dataset("schedule:", "  cron: */5 * * * *"),
            "line 5: text that begins with * needs quotes; correct the YAML.",
        ),
        (
            with_dataset("schedule:", "  cron: 0 6 * * *", "  timezone: Berlin"),
            "line 6: datasets.0.schedule.timezone: this is not a time zone; use an IANA name "
            "such as Europe/Berlin or UTC.",
        ),
        (
            with_dataset("update: upsert"),
            "line 4: datasets.0.update: choose one of replace, append, merge, partition.",
        ),
        (
            with_dataset("filters: {project_ids: 1}", "update: partition", report="assignments"),
            "line 5: datasets.0.update: partition replaces days, and assignments has none; use "
            "replace, merge or append.",
        ),
        (
            with_dataset("filters: {updated_since_days_back: 1}", "update: partition"),
            "line 5: datasets.0.update: partition would delete the rows of each day that "
            "updated_since_days_back leaves out; use merge.",
        ),
        (
            with_dataset("update: replace", "filters: {updated_since: 2026-11-02}"),
            "line 4: datasets.0.update: replace would leave only what changed (updated_since) in "
            "the table; use merge, or append for a history.",
        ),
        (
            with_dataset("update: replace", "window: {days_back: 1}", report="clients"),
            "line 4: datasets.0.update: replace would leave only what changed (days_back: clients "
            "has no day, so its window is that of updated_at) in the table; use merge, or append "
            "for a history.",
        ),
        (
            with_dataset("retry: {attempts: 21}"),
            "line 4: datasets.0.retry.attempts: it must be less than or equal to 20.",
        ),
        (
            with_dataset("retry: {attempts: 2, wait_minutes: .nan}"),
            "line 4: datasets.0.retry.wait_minutes: it must be a finite number.",
        ),
        (
            with_dataset("account: acme"),
            "line 4: datasets.0.account: `accounts:` names none; name it there, or leave account "
            "out.",
        ),
        (
            "accounts: [{name: a}, {name: b}]\n" + with_dataset("account: c"),
            "line 5: datasets.0.account: there is no such account; choose one of a, b.",
        ),
        (
            "accounts: [{name: a}, {name: b}]\n" + with_dataset(),
            "line 3: datasets.0.account: there are several accounts; choose one of a, b.",
        ),
        (
            "disabled_reports:\n  - tasks\n  - dailly\n",
            "line 3: disabled_reports.1: there is no such report; did you mean daily?",
        ),
        (
            f"\ndisabled_reports: [{ALL}]\n",
            "line 2: disabled_reports: nothing is left: leave a report, or add a dataset.",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_what_is_allowed(
    text: str, sentence: str, tmp_path: Path
) -> None:
    assert refusal_of(tmp_path, text) == sentence


@pytest.mark.parametrize(
    "content",
    [
        b"accounts:\x00\n",
        b"accounts: \xff\n",
        b"accounts: " + 5000 * b"[",
        b"accounts: [{name: a, account_id: " + 5000 * b"9" + b"}]",
    ],
)
def test_a_file_that_is_no_yaml_at_all_is_refused_in_one_sentence(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "harvest.yaml").write_bytes(content)
    with pytest.raises(SettingsError, match="UTF-8"):
        load_project({"HARVEST_CONFIG": str(tmp_path / "harvest.yaml")})


def nested(leaf: str, around: str, levels: int = 30) -> str:
    """Lines that define a0 to a29, each of which repeats the one before nine times."""
    lines = [f"  - &a0 {leaf}"]
    for number in range(1, levels):
        parts = ", ".join([f"*a{number - 1}"] * 9)
        lines.append(f"  - &a{number} {around.replace('...', parts)}")
    return "\n".join(("accounts:", *lines, ""))


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        nested("[x]", "[...]"),
        nested("{x: 1}", "{x: [...]}"),
        nested("{x: 1}", "{<<: [...]}"),
        nested("{x: 1}", "{? [...] : x}"),
    ],
    ids=["lists", "mappings", "merge keys", "keys"],
)
def test_aliases_of_aliases_are_refused_at_once(text: str, tmp_path: Path) -> None:
    """A billion laughs: each line would be nine times the one above."""
    assert re.fullmatch(
        r"line 7: with what aliases \(\*\) repeat, these are more than 50,000 values; write out "
        "what is meant.",
        refusal_of(tmp_path, text),
    )


def test_what_several_datasets_have_in_common_can_be_an_alias(tmp_path: Path) -> None:
    text = (
        "datasets:\n  - &mine {name: mine, report: daily, filters: &ours {user_ids: [1, 2]}}\n"
        "  - {<<: *mine, name: other}\n"
    )
    mine, other = project_of(tmp_path, text).accounts[0].datasets[-2:]
    assert (mine.filters, other.name) == (other.filters, "other")


@pytest.mark.parametrize(
    "text",
    [
        "accounts:\n  - name: acme\n    access_token: canary-4711\n",
        "accounts:\n  - name: acme\n    instance: canary_4711\n",
        "accounts:\n  - name: canary-4711\n",
        "access_token: canary-4711\n",
        "canary-4711\n",
        "accounts: canary-4711\n",
        "accounts: 'canary-4711\n",
        "accounts:\n  - name: acme\ndatasets:\n  - {name: a, report: daily, token: canary-4711}\n",
        "datasets:\n  - {name: a, report: daily, retry: {attempts: canary-4711}}\n",
        "datasets:\n  - {name: a, report: daily, update: canary-4711}\n",
        "datasets:\n  - {name: a, report: daily, schedule: canary-4711}\n",
        f"datasets:\n  - {{name: a, report: {'canary-4711' * 5}}}\n",
        f"datasets:\n  - {{name: a, report: daily, account: {'canary-4711' * 5}}}\n",
        f"datasets:\n  - {{name: a, report: daily, schedule: {{cron: {'canary-4711' * 5}}}}}\n",
        f"datasets:\n  - {{name: a, report: daily, filters: {{user_ids: {'canary-47' * 5}}}}}\n",
    ],
)
def test_a_credential_in_the_file_is_refused_without_being_shown(text: str, tmp_path: Path) -> None:
    assert "canary" not in refusal_of(tmp_path, text)
