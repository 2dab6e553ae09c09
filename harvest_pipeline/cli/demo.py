"""`harvest-pipeline demo`: loads all reports into DuckDB, counts their rows, and serves the UI."""

import os
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from datetime import date, timedelta

import click
from tabulate import tabulate

from harvest_pipeline.cli.choice import Run, runs_of
from harvest_pipeline.cli.dashboard import write_dashboard
from harvest_pipeline.cli.declared import refuse_components
from harvest_pipeline.cli.local import CANCELLED, dagster_environment, ui
from harvest_pipeline.dashboard.file import parts_of, path_of
from harvest_pipeline.harvest.access import client_from_environment, is_connected
from harvest_pipeline.loading.history import proposal
from harvest_pipeline.sandbox.server import SandboxServer
from harvest_pipeline.settings import Account, load_project, project_folder
from harvest_pipeline.settings.parameters import RunOptions
from harvest_pipeline.warehouse.database import warehouse_of
from harvest_pipeline.warehouse.statistics import row_counts

#: Enough to look at, and loaded within a minute.
_DAYS = 365


@click.command("demo")
@click.option("--once", is_flag=True, help="Without the UI: load, show, end.")
@click.option("--fresh", is_flag=True, help="Load again what an earlier demo has loaded.")
def command(once: bool, fresh: bool) -> int:
    """Load all reports into DuckDB, show what is there, and serve the UI until Ctrl-C.

    With credentials in the environment or in .env, or stored by `connect`, it reads their account,
    otherwise the sandbox. What an earlier demo has loaded is shown as it is.

    \b
    Example:
      harvest-pipeline demo --once
    """
    accounts = load_project().accounts
    refuse_components("`dg dev`")
    if any(is_connected(account, os.environ) for account in accounts):
        print(f"Reading your Harvest data: {', '.join(each.name for each in accounts)}.")
        environment = dagster_environment(os.environ, project_folder() / ".dagster")
        return _demonstrate(environment, once, fresh, night=False)
    with _sandbox_environment() as environment:
        # Of an account of one's own, a night loads all days since HARVEST_START_DATE.
        return _demonstrate(environment, once, fresh, night=True)


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


def _demonstrate(environment: Mapping[str, str], once: bool, fresh: bool, *, night: bool) -> int:
    os.environ.update(environment)  # the run in this process reads it too
    code = 0
    for account in load_project(environment).accounts:
        if fresh or len(_row_counts(account)) < len(account.datasets) + len(account.models):
            loaded = _load(account, environment)
            if loaded == 0 and night:
                loaded = _reconcile(account)
            code = max(code, loaded)
        else:
            print("Loaded before; `make demo FRESH=1` loads it again.")
        print(_what_is_there(account))
        if parts_of(account):
            if not night or not path_of(account).exists():
                write_dashboard(account)
            print(f"Dashboard: {path_of(account).absolute().as_uri()}")
    if once or code == CANCELLED:
        return code
    print("\nStarting the Dagster UI ...", flush=True)
    return ui(environment)


def _load(account: Account, environment: Mapping[str, str]) -> int:
    """Load all reports in one run; returns the exit code that `sync` would have."""
    first, last = account.project.start_date, account.project.today()
    if not environment.get("HARVEST_START_DATE"):
        with closing(client_from_environment(account, environment, print)) as client:
            if said := proposal(client, account.records, first):
                print(said)
        first = max(first, last - timedelta(days=_DAYS - 1))
    print(f"Materializing all {len(account.datasets)} reports, {first} to {last}.", flush=True)
    # Importing Dagster takes seconds.
    from harvest_pipeline.cli.running import run_now

    options = RunOptions(start_date=first, end_date=last)
    names = [dataset.name for dataset in account.datasets]
    runs = runs_of(account, names, options)
    return max(run_now(run, verbose=False, summary=False) for run in runs)


def _reconcile(account: Account) -> int:
    """Run the job of the night, which compares with Harvest's own reports; returns the exit code
    that `sync` would have."""
    from harvest_pipeline.cli.running import run_now
    from harvest_pipeline.orchestration.reconcile import reconcile_job

    print("Comparing with Harvest's own reports, as every night.", flush=True)
    run = Run(account, (), None, {}, job=reconcile_job(account.name))
    return run_now(run, verbose=False, summary=False)


def _row_counts(account: Account) -> dict[str, int]:
    """The rows of each dataset and model that has a table or view, which its first load makes."""
    names = [each.name for each in (*account.datasets, *account.models)]
    with warehouse_of(account, print).reader() as connection:
        return row_counts(connection, names)


def _what_is_there(account: Account) -> str:
    counts = _row_counts(account)
    rows = [
        (dataset.name, dataset.record.name, counts.get(dataset.name, "not loaded"))
        for dataset in account.datasets
    ]
    table = tabulate(rows, headers=["report", "record", "rows"], intfmt=",")
    created = [(model.name, counts.get(model.name, "not created")) for model in account.models]
    table += "\n\n" + tabulate(created, headers=["model", "rows"], intfmt=",")
    return f"\n{table}\n\nDuckDB: {account.project.duckdb}, schema {account.name}"
