"""`harvest-pipeline export`: writes tables, reports and models to Excel, CSV or Parquet files."""

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import duckdb
from tabulate import tabulate

from harvest_pipeline.catalogue.records import RECORDS, records_inside
from harvest_pipeline.cli.choice import one_account
from harvest_pipeline.cli.completion import account_option, names_of_tables
from harvest_pipeline.cli.declared import accounts_of
from harvest_pipeline.models import models, tables_of
from harvest_pipeline.safety.files import disk_full, replaced
from harvest_pipeline.safety.text import one_line, shown
from harvest_pipeline.settings import Account
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.database import warehouse_of
from harvest_pipeline.warehouse.errors import NotLoaded, WarehouseError
from harvest_pipeline.warehouse.export import Export, Format, copy, workbook

#: What is exported if nothing is named: the models of this group.
_ANSWERS = "answers"


@click.command("export")
@click.argument(
    "names", nargs=-1, metavar="[TABLE|REPORT|MODEL]...", shell_complete=names_of_tables
)
@account_option
@click.option(
    "--format",
    "kind",
    type=click.Choice([each.value for each in Format]),
    help="The kind of file; without it, what the suffix of --to says, else xlsx.",
)
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The file, or a folder; without it, one in this folder named after account and day. What "
    "is there is replaced.",
)
def command(names: tuple[str, ...], account: str | None, kind: str | None, to: Path | None) -> int:
    """Write tables and models to Excel, CSV or Parquet; all that answer questions if none is named.

    Excel gets one workbook with a sheet for each, and one that says what they are and how fresh.
    CSV and Parquet get a file for each, with exact values.

    \b
    Example:
      harvest-pipeline export receivables revenue --to month-end.xlsx
    """
    settings = one_account(accounts_of(), account)
    zone = ZoneInfo(settings.project.timezone)
    wanted = [*dict.fromkeys(names)] or [m.name for m in settings.models if m.group == _ANSWERS]
    if not wanted:
        raise click.ClickException(
            f"The reports that the models of {settings.name} read are switched off; name a table."
        )
    format = _format(kind, to)
    day = str(settings.project.today())
    stem = "_".join([settings.name, *([wanted[0]] if len(names) == 1 else []), day])
    paths = _paths(to, format, wanted, stem)
    title = f"{settings.name}, exported on {datetime.now(zone):%Y-%m-%d at %H:%M}"
    warehouse = warehouse_of(settings, partial(click.echo, err=True))
    cut = 0
    with warehouse.reader() as connection:
        exports = _exports(settings, wanted, tables.column_comments(connection))
        try:
            with replaced(paths) as written:
                if format is Format.XLSX:
                    book = workbook(connection, exports, written[0], title, zone)
                    rows, cut = book.rows, book.cut
                else:
                    rows = [
                        copy(connection, each, path, format)
                        for each, path in zip(exports, written, strict=True)
                    ]
        except (OSError, duckdb.Error) as error:
            full = disk_full(error, paths[0].parent)
            reason = full or getattr(error, "strerror", None) or str(error)
            raise click.ClickException(
                f"Nothing was written to {to or Path.cwd()}: {one_line(reason).rstrip('.')}."
            ) from error
    table = [(one_line(each.name), count) for each, count in zip(exports, rows, strict=True)]
    click.echo(tabulate(table, headers=["table", "rows"], intfmt=","))
    if cut:
        click.echo(
            f"Texts that are longer than a cell of Excel holds: {cut:,}; they end with …, and CSV "
            "and Parquet have all of them.",
            err=True,
        )
    click.echo(f"\n{paths[0] if len(paths) == 1 else paths[0].parent}")
    return 0


def _format(kind: str | None, to: Path | None) -> Format:
    """The kind of the files. Raises ClickException for a path that says something else."""
    suffix = "" if to is None or to.is_dir() else to.suffix.lower().removeprefix(".")
    if suffix and suffix not in [*Format]:
        raise click.ClickException(
            f"--to ends in {shown(f'.{suffix}')}; a file ends in .{', .'.join(Format)}, and a "
            "folder with a dot in its name has to be there."
        )
    if suffix and kind and suffix != kind:
        raise click.ClickException(
            f"--to ends in .{suffix} and --format is {kind}; leave one of them out."
        )
    return Format(kind or suffix or Format.XLSX)


def _paths(to: Path | None, format: Format, names: Sequence[str], stem: str) -> list[Path]:
    """The files: one workbook, or one file for each name. Raises ClickException if `to` is one file
    and cannot hold all of them."""
    several = len(names) > 1 and format is not Format.XLSX
    if to is not None and to.suffix and not to.is_dir():
        if several:
            raise click.ClickException(
                f"A {format} file holds one table, and these are {len(names)}; name a folder with "
                "--to, and the format with --format."
            )
        return [to]
    if several:
        return [(to or Path(stem)) / f"{_file_name(name)}.{format}" for name in names]
    return [(to or Path()) / f"{_file_name(stem)}.{format}"]


def _file_name(name: str) -> str:
    return re.sub(r"[^\w -]", "_", name)


def _exports(account: Account, names: Iterable[str], there: Collection[str]) -> list[Export]:
    """What these names are. Raises NotLoaded, and WarehouseError for a name that nothing has."""
    records = {each.name: each.record.name for each in account.datasets}
    for each in account.datasets:
        records |= {r.name: r.name for r in (each.record, *records_inside(each.record))}
    for name in names:
        if name not in there:
            raise _missing(account, name, records, there)
    return [
        Export(name, models()[name].grain, frozenset(tables_of(name)))
        if name in models()
        else Export(name, records=_of_records(records.get(name, name.removesuffix("_deleted"))))
        for name in names
    ]


def _of_records(name: str) -> frozenset[str]:
    """A record and the one that it is inside of, with which it is loaded; of another table none."""
    return frozenset(filter(None, (name, RECORDS[name].inside))) if name in RECORDS else frozenset()


def _missing(
    account: Account, name: str, records: dict[str, str], there: Collection[str]
) -> WarehouseError:
    several = len(account.project.accounts) > 1
    sync = "harvest-pipeline sync" + (f" --account {account.name}" if several else "")
    if name in {model.name for model in account.models}:
        return NotLoaded(
            f"The model {name} is not created yet; run `{sync}`, which loads all reports and then "
            "creates the models."
        )
    if name in records:
        # A table is loaded by the reports that show it, or that show what it is inside of.
        outer = RECORDS[records[name]].inside or records[name]
        report = name if name in {each.name for each in account.datasets} else None
        report = report or next(d.name for d in account.datasets if d.record.name == outer)
        return NotLoaded(f"{name} is not loaded yet; run `{sync} {report}`.")
    known = sorted({*records, *there, *(model.name for model in account.models)})
    close = get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else "`harvest-pipeline reports` lists "
    hint += "" if close else "the reports, and docs/models.md the models."
    return WarehouseError(f"{account.name} has no table, report or model {shown(name)}; {hint}")
