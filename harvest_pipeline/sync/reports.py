"""The command `harvest-pipeline reports`: what there is, and when it was last loaded.

It reads the settings and the database file only, and needs no Dagster: it answers at once.

Belongs here: the listing. Does not belong here: what a report is (the catalogue).
"""

import argparse
import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from tabulate import MIN_PADDING, tabulate

from harvest_pipeline.settings import Account, load_project
from harvest_pipeline.settings.datasets import Dataset
from harvest_pipeline.settings.parameters import RunOptions, parameter_of
from harvest_pipeline.sync.choice import chosen_accounts, takes
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.last_loads import LastLoad, last_loads

#: Seconds that are waited for a program that holds the database: a person looks on.
_WAIT = 2.0
#: Columns: where nobody can say how wide it may be, and the least for a sentence.
_WIDE, _NARROWEST = 160, 24


@dataclass(frozen=True, slots=True)
class Row:
    """One report or dataset. `parameters` are those that `sync` takes for it (fields of
    RunOptions), `days` whether it is read by days.

    `loaded_at` is an instant in UTC, None if it has never been loaded; `rows` came with the run
    `run_id`, the last one that loaded any of it. `problem` is the sentence that says why this is
    not known.
    """

    account: str
    name: str
    shows: str
    parameters: tuple[str, ...]
    days: bool
    loaded_at: datetime | None
    rows: int | None
    run_id: str | None
    problem: str | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to a parser."""
    parser.add_argument("--account", metavar="NAME", help="one account of harvest.yaml")
    parser.add_argument("--json", action="store_true", help="the same for programs")


def run(arguments: argparse.Namespace) -> int:
    """Print them; 0 even if the database cannot be read now, which is said on standard error."""
    accounts = chosen_accounts(load_project().accounts, arguments.account)
    rows = [row for settings in accounts for row in _rows(settings)]
    for problem in dict.fromkeys(row.problem for row in rows if row.problem):
        print(f"The last loads are not known: {problem}", file=sys.stderr)
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2, default=datetime.isoformat))
    else:
        zone = ZoneInfo(accounts[0].project.timezone)
        print(_listing(rows, zone, several=len(accounts) > 1))
    return 0


def _rows(settings: Account) -> list[Row]:
    """The datasets of an account with what the ledger has of them."""
    warehouse = Warehouse(settings.project.duckdb, settings.name, wait_seconds=_WAIT, log=_silently)
    loads, problem = list[LastLoad](), None
    try:
        with warehouse.reader() as connection:
            loads = last_loads(connection)
    except WarehouseError as error:
        problem = str(error)
    return [_row(dataset, settings.name, loads, problem) for dataset in settings.datasets]


def _row(dataset: Dataset, schema: str, loads: Sequence[LastLoad], problem: str | None) -> Row:
    last = _last(dataset, loads)
    return Row(
        account=schema,
        name=dataset.name,
        shows=_one_sentence(dataset.description) if dataset.is_report else dataset.description,
        parameters=tuple(name for name in RunOptions.model_fields if takes(dataset, name)),
        days=dataset.has_partitions,
        loaded_at=last and last.loaded_at.astimezone(UTC),
        rows=last and last.rows,
        run_id=last and last.run_id,
        problem=problem,
    )


def _last(dataset: Dataset, loads: Sequence[LastLoad]) -> LastLoad | None:
    """The latest load that brought rows to it: a view shows whatever came for its record."""
    own = dataset.has_own_table
    return next(
        (
            load
            for load in loads
            if load.record == dataset.record.name and (load.report == dataset.name or not own)
        ),
        None,
    )


def _silently(line: str) -> None:
    """For the line that tells of waiting: it takes two seconds."""


def _one_sentence(text: str) -> str:
    return f"{text.split('. ')[0].rstrip('.')}."


def _takes(row: Row) -> str:
    """The parameters in few words: all ways to say days are one."""
    words = dict.fromkeys(filter(None, map(parameter_of, row.parameters)))
    return ", ".join(words).replace("_", "-")


def _listing(rows: Sequence[Row], zone: ZoneInfo, *, several: bool) -> str:
    """The rows for a person: a table, or where that is too wide a paragraph each."""
    columns = shutil.get_terminal_size((_WIDE, 24)).columns
    cells = [
        {
            **({"account": row.account} if several else {}),
            "report": row.name,
            "read": "by day" if row.days else "whole",
            f"last load ({zone.key})": _time(row, zone),
            "rows": "" if row.rows is None else f"{row.rows:,}",
            "run": (row.run_id or "")[:8],
            "takes": _takes(row),
            "shows": row.shows,
        }
        for row in rows
    ]
    left = columns - sum(
        2 + max(len(header) + MIN_PADDING, *(len(row[header]) for row in cells))
        for header in list(cells[0])[:-2]
    )
    if left >= 2 * _NARROWEST:
        widths = [*[None] * (len(cells[0]) - 2), left // 2 - 2, left - left // 2]
        return tabulate(cells, headers="keys", maxcolwidths=widths, disable_numparse=True)
    return "\n".join(
        textwrap.fill(
            ", ".join(f"{name}: {text}" for name, text in row.items() if text),
            columns,
            subsequent_indent="    ",
        )
        for row in cells
    )


def _time(row: Row, zone: ZoneInfo) -> str:
    if row.loaded_at:
        return f"{row.loaded_at.astimezone(zone):%Y-%m-%d %H:%M}"
    return "not known" if row.problem else "never"
