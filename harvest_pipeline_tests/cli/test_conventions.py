"""What anybody expects of a command: help, version, completion, width, colours, JSON."""

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import click
import pytest
from rich.cells import cell_len

from harvest_pipeline import __version__
from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.cli.docs import commands
from harvest_pipeline.cli.main import COMMANDS, harvest_pipeline
from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.cli.command import Place, Terminal
from harvest_pipeline_tests.sandbox.server import SandboxServer

GREEN, YELLOW, RED = "\x1b[32m", "\x1b[33m", "\x1b[31m"
FOR_PROGRAMS = ("reports", "doctor", "verify", "accounts")


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A loaded month, in a folder with a short name: paths are not cut."""
    with SandboxServer(years=0.1, rate_limit=None) as sandbox, tempfile.TemporaryDirectory() as at:
        place = Place(sandbox, Path(at))
        place.environment |= {"HARVEST_TOKEN_STORE": f"{at}/accounts", "COLUMNS": "100"}
        yield place


def every(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from every(below, f"{path} {name}")


ALL = dict(every(harvest_pipeline, "harvest-pipeline"))


@pytest.mark.parametrize("path", ALL)
def test_the_help_says_what_a_command_does_with_an_example(path: str) -> None:
    # click keeps the help option that it makes first.
    context = click.Context(ALL[path], info_name=path, help_option_names=["-h", "--help"])
    said = ALL[path].get_help(context)
    usage, does, *_ = said.split("\n\n")
    assert usage.startswith(f"Usage: {path} ")
    assert re.fullmatch(r"  [A-Z].*[.:].*", does, re.DOTALL)
    assert re.search(rf"\n  Example:\n    {path}\b", said)
    assert all(len(line) <= 100 for line in said.splitlines())


def test_the_list_of_commands_says_the_same_as_their_help() -> None:
    for name, line in COMMANDS.items():
        first = (ALL[f"harvest-pipeline {name}"].help or "").split(". ")[0].split(".\n")[0]
        assert first.split()[0] == line.split()[0], name


def test_the_document_of_the_commands_is_up_to_date() -> None:
    there = (project_folder() / "docs" / "commands.md").read_text("utf-8")
    assert there == commands(), "run `make docs`"
    assert all(f"### `{path}`\n" in there for path in ALL)


def test_the_version_is_that_of_the_package(place: Place) -> None:
    said = place.run("--version")
    assert said.stdout == f"harvest-pipeline, version {__version__}\n"


# Completion


def completed(place: Place, *words: str, **variables: str) -> list[str]:
    """What the TAB key offers after these words, without the seconds that Dagster takes."""
    code = (
        "import atexit, sys; atexit.register(lambda: print('dagster' in sys.modules))\n"
        "from harvest_pipeline.cli.main import main; main()"
    )
    line = " ".join(["harvest-pipeline", *words])
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words))}
    done = place.run(code=code, _HARVEST_PIPELINE_COMPLETE="bash_complete", **asked, **variables)
    *offered, dagster = done.stdout.splitlines()
    assert (done.stderr, dagster) == ("", "False")
    return [each.partition(",")[2] for each in offered if each]


def test_a_shell_completes_commands_reports_models_and_accounts(
    place: Place, tmp_path: Path
) -> None:
    script = place.run(_HARVEST_PIPELINE_COMPLETE="bash_source").stdout
    assert "complete -o nosort -F" in script
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=True).returncode == 0
    assert completed(place, "re") == ["reports"]
    assert completed(place, "sync", "invoice_p") == ["invoice_payments"]
    assert completed(place, "sync", "invoices", "invoice") == [
        name for name in REPORTS if name.startswith("invoice") and name != "invoices"
    ]
    assert "receivables" in completed(place, "export", "re")
    file = tmp_path / "harvest.yaml"
    file.write_text("accounts: [{name: acme}, {name: globex}]")
    several = {"HARVEST_CONFIG": str(file), "HARVEST_ACCOUNT_ID": ""}
    assert completed(place, "sync", "--account", "", **several) == ["acme", "globex"]


def test_where_settings_are_wrong_the_shell_completes_nothing_and_says_nothing(
    place: Place,
) -> None:
    assert completed(place, "sync", "", HARVEST_TIMEZONE="Mars") == []


# Width and colours


@pytest.mark.slow
def test_nothing_that_a_command_prints_is_wider_than_100_columns(place: Place) -> None:
    reports = ("all_projects_logged_expenses", "daily", "clients")
    for words in (
        ("sync", *reports, "--days-back", "20"),
        ("reports",),
        ("doctor",),
        ("accounts",),
        ("verify",),
    ):
        done = place.run(*words)
        assert done.stderr.count("Error") == 0
        lines = done.stdout.splitlines()
        assert len(lines) > 2
        assert [line for line in lines if cell_len(line) > 100] == []
        assert "\x1b" not in done.stdout


@pytest.mark.slow
@pytest.mark.long
def test_states_are_coloured_on_a_terminal_unless_that_is_switched_off(place: Place) -> None:
    def printed(*words: str, **variables: str) -> str:
        with mock.patch.dict(place.environment, **{"TERM": "xterm", "NO_COLOR": "", **variables}):
            terminal = Terminal(place, *words)
            terminal.end()
        return terminal.output

    assert f"{GREEN}loaded" in printed("sync", "clients")
    assert f"{YELLOW}Not proven" in printed("verify")
    found = printed("doctor", "--offline", HARVEST_DAYS_BACK="many")
    assert f"{RED}wrong  " in found
    assert f"{YELLOW}warning" in found
    assert f"{GREEN}ok     " in found
    assert "\x1b[" not in printed("doctor", "--offline", NO_COLOR="1")


# For programs


def test_documents_for_programs_have_the_keys_that_are_documented(place: Place) -> None:
    promised = dict(
        re.findall(r"^\| `(\w+)` \| (.+) \|$", commands().partition("## JSON")[2], re.M)
    )

    def keys(document: Any) -> set[str]:
        if isinstance(document, list):
            return {key for each in document for key in keys(each)}
        if isinstance(document, dict):
            return {*document, *(key for each in document.values() for key in keys(each))}
        return set()

    for name in FOR_PROGRAMS:
        document = json.loads(place.run(name, "--json").stdout)
        missing = {key for key in keys(document) if f"`{key}`" not in promised[name]}
        assert missing - {"differences"} == set(), name


@pytest.mark.parametrize("name", FOR_PROGRAMS)
@pytest.mark.parametrize(
    ("variables", "words"),
    [({"HARVEST_TIMEZONE": "Mars"}, ()), ({}, ("--no-such-option",))],
    ids=["a wrong setting", "a wrong option"],
)
def test_what_fails_is_a_document_too(
    place: Place, name: str, variables: dict[str, str], words: tuple[str, ...]
) -> None:
    done = place.run(name, "--json", *words, **variables)
    assert done.returncode in (1, 2)
    document = json.loads(done.stdout)
    if name == "doctor" and variables:
        assert not document["ok"]
    else:
        assert set(document) == {"error"}
        assert "HARVEST_TIMEZONE: this is not a time zone" in document["error"] or words
        assert document["error"].rstrip(".") in done.stderr
