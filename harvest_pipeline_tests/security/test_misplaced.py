"""A token in the wrong place is not repeated: by no command, and not in Dagster's history."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harvest_pipeline.cli.main import main
from harvest_pipeline.safety.text import may_be_secret, shown, without_secrets
from harvest_pipeline.settings import VARIABLES, SettingsError
from harvest_pipeline_tests.cli.connect.person import Person
from harvest_pipeline_tests.conftest import Project
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.settings.written import refusal_of

#: Shorter than Harvest's own, as a test's or another service's.
TOKEN = "4711.pt.kX9canary"
COMMANDS = (
    *(("doctor",), ("doctor", "--json"), ("accounts",), ("accounts", "--json")),
    *(("accounts", "test"), ("reports",), ("verify",), ("connect", "--token", "-")),
)


@pytest.fixture(scope="module")
def account() -> Iterator[SandboxServer]:
    with SandboxServer(years=0.1, scale=0.3, rate_limit=None) as server:
        yield server


@pytest.mark.parametrize("variable", [*VARIABLES, "DAGSTER_HOME", "HARVEST_ACCES_TOKEN"])
@pytest.mark.long
def test_no_command_repeats_a_token_in_any_variable(
    variable: str, account: SandboxServer, tmp_path: Path
) -> None:
    person = Person(tmp_path / "store", account)
    person.environment |= {
        **account.environment(),
        "HARVEST_DUCKDB": str(tmp_path / "warehouse.duckdb"),
        # An account id and an instance would hide what the other is.
        **({"HARVEST_ACCOUNT_ID": ""} if variable == "HARVEST_INSTANCE" else {}),
        variable: TOKEN,
    }
    for words in COMMANDS:
        told = person.run(*words, typed=f"{account.tokens['manager']}\n").output
        assert told
        assert "canary" not in told.lower(), (words, told)


def test_no_run_stores_a_token_in_a_variable_in_its_history(project: Project) -> None:
    usual = {**project.sandbox.environment(), "HARVEST_DUCKDB": str(project.database)}
    usual["HARVEST_CONFIG"] = os.devnull
    for variable in VARIABLES:
        project.set(**{**dict.fromkeys(VARIABLES, ""), **usual})
        if variable == "HARVEST_INSTANCE":
            project.set(HARVEST_ACCOUNT_ID="")
        project.set(**{variable: TOKEN})
        try:
            project.materialize("clients")
        except SettingsError as error:
            assert "canary" not in error.message
    entries = [
        str(entry)
        for run in project.instance.get_runs()
        for entry in project.instance.all_logs(run.run_id)
    ]
    assert entries
    assert "canary" not in "".join(entries).lower()


@pytest.mark.parametrize(
    "text",
    [
        "accounts:\n  - name: TOKEN\n",
        "accounts:\n  - {name: acme, account_id: TOKEN}\n",
        "accounts:\n  - {name: acme, instance: TOKEN}\n",
        "accounts:\n  - {name: acme, TOKEN: x}\n",
        "alerts: [TOKEN]\n",
        "owners: [TOKEN]\n",
        "disabled_reports: [TOKEN]\n",
        "datasets:\n  - {name: TOKEN, report: daily}\n",
        "datasets:\n  - {name: a, report: TOKEN}\n",
        "datasets:\n  - {name: a, report: daily, account: TOKEN}\n",
        "accounts: [{name: b}]\ndatasets:\n  - {name: a, report: daily, account: TOKEN}\n",
        "datasets:\n  - {name: a, report: daily, schedule: {cron: TOKEN}}\n",
        "datasets:\n  - {name: a, report: daily, schedule: {cron: 1 * * * *, timezone: TOKEN}}\n",
        "datasets:\n  - {name: a, report: daily, filters: {user_ids: [1, TOKEN]}}\n",
        "datasets:\n  - {name: a, report: daily, filters: {updated_since: TOKEN}}\n",
        "datasets:\n  - {name: a, report: daily, filters: {invoice_status: TOKEN}}\n",
        "datasets:\n  - {name: a, report: daily, window: {start_date: TOKEN}}\n",
        "datasets:\n  - {name: a, report: daily, window: {days_back: TOKEN}}\n",
        "datasets:\n  - {name: a, report: daily, update: TOKEN}\n",
        "datasets:\n  - {name: a, report: daily, retry: {attempts: TOKEN}}\n",
    ],
)
def test_no_message_on_harvest_yaml_repeats_a_token(text: str, tmp_path: Path) -> None:
    assert "canary" not in refusal_of(tmp_path, text.replace("TOKEN", TOKEN)).lower()


@pytest.mark.parametrize(
    "words",
    [
        *(("TOKEN",), ("connect", "TOKEN"), ("connect", "--port", "TOKEN"), ("--TOKEN",)),
        *(("connect", "--token", "TOKEN"), ("connect", "--name", "TOKEN")),
        *(("sync", "TOKEN"), ("sync", "--account", "TOKEN"), ("sync", "--from", "TOKEN")),
        *(("sync", "--project-ids", "1,TOKEN"), ("accounts", "test", "TOKEN")),
        *(("verify", "--from", "TOKEN"), ("query", "SELECT 1", "--format", "TOKEN")),
        *(("export", "TOKEN"), ("dev", "--allow-host", "!TOKEN"), ("sandbox", "--today", "TOKEN")),
    ],
    ids=" ".join,
)
def test_no_command_repeats_a_token_among_its_arguments(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.replace("TOKEN", TOKEN) for word in words]) in (1, 2)
    told = "".join(capsys.readouterr())
    assert "Error: " in told
    assert "canary" not in told.lower()


@pytest.mark.parametrize(
    "text",
    [TOKEN, "5vVqgB2Mpi6Ru1jx", "d41d8cd98f00b204", "hunter2hunter2", "x" * 41, "ab AbCdEfGh"],
)
def test_what_may_be_a_secret_is_not_shown(text: str) -> None:
    assert may_be_secret(text)
    assert text not in shown(text)


@pytest.mark.parametrize("text", ["invoces", "acme2", "2026-02-30", "0 25 * * *", "Europe/Berlln"])
def test_what_people_mistype_is_shown(text: str) -> None:
    assert shown(text) == repr(text)


def test_only_the_word_that_may_be_a_secret_is_left_out_of_a_message() -> None:
    told = f"Error: Invalid value for '--port': '{TOKEN}' is not in the range 1<=x<=65535."
    assert without_secrets(told) == told.replace(TOKEN, "…")
