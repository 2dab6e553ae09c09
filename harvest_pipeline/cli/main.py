"""The command group, and what all commands share: errors, exit codes, file modes."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import click

from harvest_pipeline.safety import disk_full

#: The commands with their short help. The module of each, `harvest_pipeline.cli.<name>`, has a
#: `command`. Importing all of them would take seconds, even for `--help` and `--version`.
COMMANDS = {
    "demo": "Load all reports into DuckDB and show them in the Dagster UI.",
    "dev": "Serve the Dagster UI on your own account.",
    "sync": "Load reports now, as a run of Dagster.",
    "reports": "List reports and datasets, their parameters and their last load.",
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
    "safety": "DiskFull",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return import_module(f"harvest_pipeline.cli.{cmd_name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("harvest_pipeline"), prog_name="harvest-pipeline")
def harvest_pipeline() -> None:
    """Harvest in DuckDB."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors that a person can fix are one sentence.

    A command returns its exit code, or None for 0.
    """
    # What commands and their child processes write shows who worked on what.
    os.umask(0o077)
    try:
        return (
            harvest_pipeline.main(arguments, prog_name="harvest-pipeline", standalone_mode=False)
            or 0
        )
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    except Exception as error:
        if (sentence := sentence_of(error)) is None:
            raise
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
