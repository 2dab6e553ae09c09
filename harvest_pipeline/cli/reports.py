"""`harvest-pipeline reports`: lists what can be loaded, and when it was last loaded.

It only reads the settings and the database, without Dagster, so it answers at once.
"""

from collections.abc import Sequence
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import click

from harvest_pipeline.cli.choice import chosen_accounts, takes
from harvest_pipeline.cli.completion import account_option
from harvest_pipeline.cli.declared import accounts_of
from harvest_pipeline.cli.output import columns, document, folded, json_option, table
from harvest_pipeline.settings import Account
from harvest_pipeline.settings.datasets import Dataset
from harvest_pipeline.settings.parameters import RunOptions
from harvest_pipeline.warehouse.database import warehouse_of
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.ledger import LastLoad, last_loads

#: Seconds to wait for a program that holds the database: a person is waiting.
_WAIT = 2.0
#: Below this width of the terminal, each report is a paragraph.
_TABLE = 80


@click.command("reports")
@account_option
@json_option
def command(account: str | None, as_json: bool) -> int:
    """List reports and datasets, and when each was last loaded.

    Several reports can show one table: connectors name time by project, by person and by day, and
    Harvest has one list of it. `--json` also has each report's table, parameters and last run. The
    exit code is 0 even if the database cannot be read now, which standard error says.

    \b
    Example:
      harvest-pipeline reports
    """
    accounts = chosen_accounts(accounts_of(), account)
    rows = [row for account in accounts for row in _rows(account)]
    for problem in dict.fromkeys(row["problem"] for row in rows if row["problem"]):
        click.echo(f"The last loads are not known: {problem}", err=True)
    if as_json:
        click.echo(document(rows))
    else:
        zone = ZoneInfo(accounts[0].project.timezone)
        click.echo(_listing(rows, zone, several=len(accounts) > 1))
    return 0


def _rows(account: Account) -> list[dict[str, Any]]:
    """The datasets of an account with their ledger entries, as `--json` prints them."""
    warehouse = warehouse_of(account, lambda _: None, wait_seconds=_WAIT, left=True)
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
                "table": dataset.name if dataset.has_own_table else dataset.record.name,
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
    """The rows as text: a table, or one paragraph each if the terminal is narrow."""
    cells = [
        {
            **({"account": row["account"]} if several else {}),
            "report": row["name"],
            "read": "by day" if row["days"] else "whole",
            f"loaded ({zone.key})": _time(row, zone),
            "rows": "" if row["rows"] is None else f"{row['rows']:,}",
            "shows": row["shows"],
        }
        for row in rows
    ]
    if columns() >= _TABLE:
        listed = table([*cells[0]], [[*row.values()] for row in cells], right=["rows"])
    else:
        listed = "\n".join(
            folded(", ".join(f"{name}: {text}" for name, text in row.items() if text), indent=4)
            for row in cells
        )
    return "\n\n".join(filter(None, (listed, _other_names(rows))))


def _other_names(rows: Sequence[dict[str, Any]]) -> str:
    """Which reports show the rows of a table that has another name."""
    names: dict[str, dict[str, None]] = {}
    for row in rows:
        if row["name"] != row["table"]:
            names.setdefault(row["table"], {})[row["name"]] = None
    if not names:
        return ""
    shown = "; ".join(f"{table} by {', '.join(of)}" for table, of in names.items())
    return folded(f"Tables that are shown under other names, and read once: {shown}.", indent=0)


def _time(row: dict[str, Any], zone: ZoneInfo) -> str:
    if row["loaded_at"]:
        return f"{row['loaded_at'].astimezone(zone):%Y-%m-%d %H:%M}"
    return "not known" if row["problem"] else "never"
