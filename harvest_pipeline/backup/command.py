"""The commands `harvest-pipeline backup FILE` and `harvest-pipeline restore FILE`.

Belongs here: their arguments, what they refuse, and what they say.
Does not belong here: copying (copying.py).
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import click

from harvest_pipeline.backup.copying import Contents, back_up, restore
from harvest_pipeline.config import account_settings
from harvest_pipeline.doctor.holder import holder_of
from harvest_pipeline.settings import load_environment
from harvest_pipeline.warehouse.errors import WarehouseError

#: Seconds that are waited for a run that is writing; a load holds the database for a few.
_WAIT = 60.0


def add_backup_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `backup` to a parser."""
    parser.add_argument("file", metavar="FILE", type=Path, help="the backup, a DuckDB file")
    parser.add_argument("--force", action="store_true", help="replace FILE if it is there")
    parser.set_defaults(run=run_backup)


def add_restore_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `restore` to a parser."""
    parser.add_argument("file", metavar="FILE", type=Path, help="a backup that `backup` has made")
    parser.add_argument("--force", action="store_true", help="replace the database that is there")
    parser.set_defaults(run=run_restore)


def run_backup(arguments: argparse.Namespace) -> int:
    """Copy the database into a new file; 0 if that was done."""
    database, file = _database(), arguments.file.absolute()
    if not database.exists():
        raise click.ClickException(f"There is no database {database} to back up; load it first.")
    if file.exists() and (not arguments.force or file.samefile(database)):
        raise click.ClickException(f"{file} exists; give another name, or --force to replace it.")
    contents = _explained(lambda: back_up(database, file, _WAIT))
    print(
        f"Backed up {database} into {file}: {file.stat().st_size / 2**20:.1f} MiB, {_of(contents)}."
    )
    return 0


def run_restore(arguments: argparse.Namespace) -> int:
    """Put a backup in the place of the database; 0 if that was done."""
    database, file = _database(), arguments.file.absolute()
    if not file.is_file():
        raise click.ClickException(f"There is no file {file}; name a backup.")
    if database.exists():
        if not arguments.force or file.samefile(database):
            raise click.ClickException(
                f"The database {database} exists; move it away, or give --force to replace it."
            )
        if holder := holder_of(database):
            raise click.ClickException(
                f"The database {database} is open in {holder}; close it there first."
            )
    contents = _explained(lambda: restore(file, database))
    print(f"Restored {database} from {file}: {_of(contents)}.")
    print("What was loaded later is missing: `harvest-pipeline doctor` names the days.")
    return 0


def _database() -> Path:
    """The file that all accounts of the project share. Raises SettingsError."""
    return account_settings(load_environment())[0].duckdb


def _explained(work: Callable[[], Contents]) -> Contents:
    try:
        return work()
    except WarehouseError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(
            f"{error.filename or 'A file'} cannot be written ({error.strerror}); look at its "
            "folder, and at the room on its disk."
        ) from None


def _of(contents: Contents) -> str:
    if contents.last is None:
        return "nothing was ever loaded"
    return f"{contents.loads} loads, the last on {contents.last:%Y-%m-%d %H:%M} UTC"
