"""What all commands share: how they end, and how they answer options that they do not have."""

import os
import subprocess
import sys

import click
import dagster as dg
import pytest

from harvest_pipeline.cli.main import main
from harvest_pipeline_tests.cli.command import Place, every_command

COMMANDS = dict(every_command())
#: The exit code of shells for a program that SIGPIPE has ended.
UNREAD = 141


def unread(place: Place, *words: str, errors_too: bool = False) -> tuple[int, str]:
    """The exit code and standard error of a command whose output nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.Popen(
        [sys.executable, "-m", "harvest_pipeline.cli", *words],
        env=place.environment,
        stdout=writing,
        stderr=writing if errors_too else subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    told = process.communicate()[1]
    return process.returncode, told or ""


@pytest.mark.parametrize(
    "words",
    [
        *(("--version",), ("sync", "--help"), ("doctor", "--offline"), ("reports", "--json")),
        *(("query", "SELECT 1"), ("accounts", "test"), ("demo", "--once")),
    ],
    ids=" ".join,
)
def test_a_command_whose_reader_has_ended_ends_without_a_word(
    place: Place, words: tuple[str, ...]
) -> None:
    """`doctor | head -1`."""
    assert unread(place, *words) == (UNREAD, "")


def test_so_does_one_that_is_called_wrongly(place: Place) -> None:
    assert unread(place, "sync", "--4711", errors_too=True) == (UNREAD, "")


@pytest.mark.slow
def test_a_load_whose_reader_has_ended_is_cancelled(place: Place) -> None:
    assert unread(place, "sync", "clients", "tasks", errors_too=True)[0] == UNREAD
    assert place.last_run().status is dg.DagsterRunStatus.CANCELED


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_an_option_that_is_not_there_is_answered_with_the_usage_of_its_own_command(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--4711"]) == 2
    called = " ".join(("harvest-pipeline", *words))
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith(f"Usage: {called} [OPTIONS]")
    assert told[1:] == [f"Try '{called} --help' for help.", "", "Error: No such option '--4711'."]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_an_option_without_its_value_is_refused(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """`sync --days-back` loaded all reports."""
    for each in COMMANDS[words].params:
        if isinstance(each, click.Option) and not each.is_flag:
            assert main([*words, each.opts[0]]) == 2
            told = capsys.readouterr().err
            assert told == f"Error: Option '{each.opts[0]}' requires an argument.\n"


def test_a_setting_that_is_refused_leaves_nothing_that_python_complains_of(place: Place) -> None:
    """Fifty lines of `nanobind: leaked …`, because of a traceback that was kept."""
    done = place.run("doctor", "--offline", HARVEST_API_URL="https://api.example.com")
    assert (done.returncode, done.stderr) == (1, "")
    assert "it leads to another host" in " ".join(done.stdout.split())
