"""`harvest-pipeline demo`: loads all reports into DuckDB, prints a summary, and serves the UI.

Each step is a `dagster` command of the README, run as a child process.
"""

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import date, timedelta

import click
from tabulate import tabulate

from harvest_pipeline.cli.local import dagster, dagster_environment, ui
from harvest_pipeline.harvest.access import is_connected
from harvest_pipeline.sandbox.server import SandboxServer
from harvest_pipeline.settings import Account, load_project, project_folder
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.statistics import row_counts

#: Dagster writes two events for each partition of each asset; a year of them takes minutes.
_DAYS = 365
_QUIET = {"loggers": {"console": {"config": {"log_level": "INFO"}}}}


@click.command("demo")
@click.option("--once", is_flag=True, help="Without the UI: load, show, end.")
def command(once: bool) -> int:
    """Load all reports into DuckDB, show them, and serve the UI until Ctrl-C.

    With credentials in the environment or in .env, or stored by `connect`, it reads their account,
    otherwise the sandbox.
    """
    accounts = load_project().accounts
    if any(is_connected(account, os.environ) for account in accounts):
        print(f"Reading your Harvest data: {', '.join(each.name for each in accounts)}.")
        return _demonstrate(dagster_environment(os.environ, project_folder() / ".dagster"), once)
    with _sandbox_environment() as environment:
        return _demonstrate(environment, once)


@contextmanager
def _sandbox_environment() -> Generator[dict[str, str]]:
    """The environment of child processes that use a sandbox account, served during the block.

    The sandbox has its own database and Dagster home, so that the user's are not touched.
    """
    with SandboxServer() as sandbox:
        print(f"No credentials are set: this is the sandbox account, served at {sandbox.api_url}.")
        start = os.environ.get("HARVEST_START_DATE") or max(
            sandbox.first_day, date.today() - timedelta(days=_DAYS - 1)
        )
        others = {
            name: "" for name in os.environ if name.startswith("HARVEST_") or name == "DAGSTER_HOME"
        }
        yield dagster_environment(
            {
                **os.environ,
                **others,
                **sandbox.environment(),
                "HARVEST_CONFIG": os.devnull,
                "HARVEST_TOKEN_STORE": str(project_folder() / "data" / "sandbox" / "accounts"),
                "HARVEST_DUCKDB": "data/sandbox/warehouse.duckdb",
                "HARVEST_START_DATE": str(start),
                # `.env` is about the user's own account.
                "PYTHON_DOTENV_DISABLED": "1",
            },
            project_folder() / ".dagster" / "sandbox",
        )


def _demonstrate(environment: dict[str, str], once: bool) -> int:
    accounts = load_project(environment).accounts
    account = accounts[0]  # all accounts have the same days and database
    first, last = account.project.start_date, account.project.today()
    if not environment.get("HARVEST_START_DATE"):
        first = max(first, last - timedelta(days=_DAYS - 1))
    reports = len(account.datasets)
    print(f"Materializing all {reports} reports, {first} to {last}, in one run.")
    print("Dagster writes down every day of it first: a minute or two for a year ...", flush=True)
    failed = dagster(
        environment,
        *("asset", "materialize", "-m", "harvest_pipeline.definitions", "--select", "*"),
        *("--partition-range", f"{first}...{last}", "--config-json", json.dumps(_QUIET)),
    )
    for each in accounts:
        print(_what_is_there(each))
    if failed or once:
        return failed
    print("\nStarting the Dagster UI ...", flush=True)
    return ui(environment)


def _what_is_there(account: Account) -> str:
    datasets = {dataset.name: dataset for dataset in account.datasets}
    with Warehouse(account.project.duckdb, account.name).reader() as connection:
        counts = row_counts(connection, datasets)
    rows = [
        (name, dataset.record.name, counts.get(name, "not loaded"))
        for name, dataset in datasets.items()
    ]
    table = tabulate(rows, headers=["report", "record", "rows"], intfmt=",")
    return f"\n{table}\n\nDuckDB: {account.project.duckdb}, schema {account.name}"
