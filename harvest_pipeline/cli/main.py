"""The command group, and what all commands share: errors, exit codes, file modes."""

import json
import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import click

from harvest_pipeline import __version__
from harvest_pipeline.safety.files import disk_full
from harvest_pipeline.safety.text import without_secrets

#: The commands with their short help. The module of each, `harvest_pipeline.cli.<name>`, has a
#: `command`. Importing all of them would take seconds, even for `--help` and `--version`.
COMMANDS = {
    "demo": "Load all reports into DuckDB and show them in the Dagster UI.",
    "dev": "Serve the Dagster UI on your own account.",
    "sync": "Load reports now, as a run of Dagster.",
    "reports": "List reports and datasets, and when each was last loaded.",
    "dashboard": "Write the page of charts and tables, and open it.",
    "export": "Write tables and models to Excel, CSV or Parquet.",
    "query": "Ask the warehouse in SQL.",
    "verify": "Compare the warehouse with Harvest's own reports, month by month.",
    "connect": "Connect your Harvest account.",
    "accounts": "List, test or remove connected accounts.",
    "alerts": "Try the addresses of `alerts:` in harvest.yaml.",
    "doctor": "Check settings, accounts, database and Dagster, and say what to do.",
    "sandbox": "Serve the sandbox account.",
}
#: The exceptions whose text is for a person.
_ERRORS = {
    "harvest.errors": "HarvestError",
    "warehouse.errors": "WarehouseError",
    "safety.files": "DiskFull",
}
#: The exit code that shells use for a program that writes where nobody reads any more (SIGPIPE).
_UNREAD = 141


@contextmanager
def _while_read() -> Generator[None]:
    """End the command as soon as what reads its output has ended, as `head` does early."""
    try:
        yield
    except BrokenPipeError:  # click would make the exit code 1 of it, which has a meaning here
        raise click.exceptions.Exit(_UNREAD) from None


_COMPLETION = """\b
Names are completed by the TAB key after this line in ~/.bashrc (zsh_source, fish_source: others):
  eval "$(_HARVEST_PIPELINE_COMPLETE=bash_source harvest-pipeline)"
Colours are for terminals; NO_COLOR=1 switches them off."""


class _Lazy(click.Group):
    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _while_read():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _while_read():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return import_module(f"harvest_pipeline.cli.{cmd_name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_COMPLETION
)
@click.version_option(__version__, prog_name="harvest-pipeline")
def harvest_pipeline() -> None:
    """Harvest in DuckDB: load it, compare it with Harvest, ask it.

    \b
    Example:
      harvest-pipeline sync --days-back 7 && harvest-pipeline verify
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors that a person can fix are one sentence.

    A command returns its exit code, or None for 0.
    """
    # What commands and their child processes write shows who worked on what.
    os.umask(0o077)
    try:
        code = _run(arguments)
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None: closed from the beginning
            stream.flush()
    except BrokenPipeError:
        code = _UNREAD
    if code == _UNREAD:
        _forget_output()
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        return (
            harvest_pipeline.main(
                arguments,
                prog_name="harvest-pipeline",
                standalone_mode=False,
                color=False if os.environ.get("NO_COLOR") else None,  # None: where a terminal is
            )
            or 0
        )
    except click.ClickException as error:
        error.show(told := StringIO())
        sentence, text = error.format_message(), told.getvalue()
        if isinstance(error, click.UsageError):  # click repeats what was typed
            sentence, text = without_secrets(sentence), without_secrets(text)
        _for_programs(arguments, sentence)
        click.echo(text, err=True, nl=False)
        return error.exit_code
    except click.Abort:
        return 130
    except Exception as error:
        if (sentence := sentence_of(error)) is None:
            raise
        _for_programs(arguments, sentence)
        click.echo(f"Error: {sentence}", err=True)
        return 1


def sentence_of(error: Exception) -> str | None:
    """What to say of an error that a person can fix, None for any other."""
    # The modules that define our errors are loaded only if the command uses them.
    ours = tuple(
        getattr(module, name)
        for path, name in _ERRORS.items()
        if (module := sys.modules.get(f"harvest_pipeline.{path}"))
    )
    if isinstance(error, ours):
        return str(error)
    from harvest_pipeline.settings import project_folder  # takes a third of a second

    home = os.environ.get("DAGSTER_HOME") or project_folder() / ".dagster"
    return disk_full(error, Path(home), project_folder() / "data", Path.cwd())


def _forget_output() -> None:
    """Let nothing be left that Python would write, and complain of, when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError, ValueError):  # no file at all
            os.dup2(nowhere, stream.fileno())


def _for_programs(arguments: Sequence[str] | None, sentence: str) -> None:
    """Print why there is no document to a program that has asked for one with --json."""
    if "--json" in (sys.argv[1:] if arguments is None else arguments):
        click.echo(json.dumps({"error": sentence}, indent=2))
