"""`harvest-pipeline sync`: checks the request before there is a run, then runs Dagster."""

import os
from typing import Any

import click

from harvest_pipeline.cli.choice import chosen_accounts, ignored, options_of, run_options, runs_of
from harvest_pipeline.cli.completion import account_option, names_of_reports
from harvest_pipeline.cli.declared import refuse_components
from harvest_pipeline.cli.local import CANCELLED, dagster_environment
from harvest_pipeline.harvest.access import client_from_environment
from harvest_pipeline.settings import load_environment, load_project, project_folder


@click.command("sync")
@click.argument("reports", nargs=-1, metavar="[REPORT]...", shell_complete=names_of_reports)
@account_option
@run_options
@click.option("-v", "--verbose", is_flag=True, help="Show Dagster's log lines as well.")
def command(reports: tuple[str, ...], account: str | None, verbose: bool, **given: Any) -> int:
    """Load reports (or datasets of harvest.yaml) now, as a run of Dagster; all reports if none is
    named. Without options for days: the last HARVEST_DAYS_BACK days and today.

    Ctrl-C cancels the run, and what had been loaded stays. The exit code is 0 if all was loaded,
    1 if something failed, 130 if it was cancelled.

    \b
    Example:
      harvest-pipeline sync invoices --days-back 90 --invoice-status open
    """
    environment = load_environment()
    refuse_components("`dg launch --assets 'key:\"{name}/*\"'`, or the UI of `dg dev`")
    accounts = chosen_accounts(load_project(environment).accounts, account, reports)
    options = options_of(given)
    runs = [run for settings in accounts for run in runs_of(settings, reports, options)]
    for settings in accounts:  # missing credentials are reported by the code that uses them
        client_from_environment(settings, environment, click.echo).close()
    os.environ.update(dagster_environment(environment, project_folder() / ".dagster"))
    for line in ignored(runs, options, named=bool(reports)):
        click.echo(line, err=True)
    # Importing Dagster takes a second or two, so mistakes are reported before that.
    from harvest_pipeline.cli.running import run_now

    code = 0
    for run in runs:
        if len(runs) > 1:
            names = ", ".join(dataset.name for dataset in run.datasets)
            days = f", {run.window}" if run.window else ""
            click.echo(f"{run.account.name}: {names}{days}", err=True)
        code = max(code, run_now(run, verbose=verbose))
        if code == CANCELLED:
            break
    return code
