"""`harvest-pipeline reports`: lists what can be loaded, and when it was last loaded.

It only reads the settings and the database, without Dagster, so it answers at once.
"""

import json
import shutil
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import click
from tabulate import MIN_PADDING, tabulate

from harvest_pipeline.cli.choice import chosen_accounts, takes
from harvest_pipeline.cli.declared import accounts_of
from harvest_pipeline.settings import Account
from harvest_pipeline.settings.datasets import Dataset
from harvest_pipeline.settings.parameters import RunOptions, parameter_of
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.ledger import LastLoad, last_loads

#: Seconds to wait for a program that holds the database: a person is waiting.
_WAIT = 2.0
#: Columns of the terminal: the default if its width is unknown, and the least for a sentence.
_WIDE, _NARROWEST = 160, 24


@click.command("reports")
@click.option("--account", metavar="NAME", help="One account of harvest.yaml.")
@click.option("--json", "as_json", is_flag=True, help="The same for programs.")
def command(account: str | None, as_json: bool) -> int:
    """List reports and datasets, their parameters and their last load.

    The exit code is 0 even if the database cannot be read now, which standard error says.
    """
    accounts = chosen_accounts(accounts_of(), account)
    rows = [row for account in accounts for row in _rows(account)]
    for problem in dict.fromkeys(row["problem"] for row in rows if row["problem"]):
        click.echo(f"The last loads are not known: {problem}", err=True)
    if as_json:
        click.echo(json.dumps(rows, indent=2, default=datetime.isoformat))
    else:
        zone = ZoneInfo(accounts[0].project.timezone)
        click.echo(_listing(rows, zone, several=len(accounts) > 1))
    return 0


def _rows(account: Account) -> list[dict[str, Any]]:
    """The datasets of an account with their ledger entries, as `--json` prints them."""
    warehouse = Warehouse(
        account.project.duckdb, account.name, wait_seconds=_WAIT, log=lambda _: None, left=True
    )
    loads, problem = list[LastLoad](), None
    try:
        with warehouse.reader() as connection:
            loads = last_loads(connection)
    except WarehouseError as error:
        problem = str(error)
    rows: list[dict[str, Any]] = []
    for dataset in account.datasets:
        last = next((load for load in loads if _shows(dataset, load)), None)
        first_sentence = f"{dataset.description.split('. ')[0].rstrip('.')}."
        rows.append(
            {
                "account": account.name,
                "name": dataset.name,
                "shows": first_sentence if dataset.is_report else dataset.description,
                "parameters": [name for name in RunOptions.model_fields if takes(dataset, name)],
                "days": dataset.has_partitions,
                "loaded_at": last and last.loaded_at.astimezone(UTC),
                "rows": last and last.rows,
                "run_id": last and last.run_id,
                "problem": problem,
            }
        )
    return rows


def _shows(dataset: Dataset, load: LastLoad) -> bool:
    """Whether a load brought rows to the dataset: a view shows every load of its record."""
    mine = load.report == dataset.name or not dataset.has_own_table
    return mine and load.record == dataset.record.name


def _listing(rows: Sequence[dict[str, Any]], zone: ZoneInfo, *, several: bool) -> str:
    """The rows as text: a table, or one paragraph each if the table is too wide."""
    columns = shutil.get_terminal_size((_WIDE, 24)).columns
    cells = [
        {
            **({"account": row["account"]} if several else {}),
            "report": row["name"],
            "read": "by day" if row["days"] else "whole",
            f"last load ({zone.key})": _time(row, zone),
            "rows": "" if row["rows"] is None else f"{row['rows']:,}",
            "run": (row["run_id"] or "")[:8],
            # All the ways to give days are one parameter.
            "takes": ", ".join(
                dict.fromkeys(filter(None, map(parameter_of, row["parameters"])))
            ).replace("_", "-"),
            "shows": row["shows"],
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


def _time(row: dict[str, Any], zone: ZoneInfo) -> str:
    if row["loaded_at"]:
        return f"{row['loaded_at'].astimezone(zone):%Y-%m-%d %H:%M}"
    return "not known" if row["problem"] else "never"
