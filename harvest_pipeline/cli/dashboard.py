"""`harvest-pipeline dashboard`: writes the page of charts and tables, and opens it."""

from functools import partial

import click

from harvest_pipeline.cli.choice import chosen_accounts
from harvest_pipeline.cli.completion import account_option
from harvest_pipeline.cli.declared import accounts_of
from harvest_pipeline.settings import Account


@click.command("dashboard")
@account_option
@click.option("--open/--no-open", "opens", default=True, help="Open it in the browser, or not.")
def command(account: str | None, opens: bool) -> None:
    """Write the dashboard from what is loaded, and open it in the browser.

    One HTML file beside the database, with charts and tables of the models; it needs no network,
    and holds all names and amounts that it shows. The nightly run writes it too.

    \b
    Example:
      harvest-pipeline dashboard --no-open
    """
    for each in chosen_accounts(accounts_of(), account):
        address = write_dashboard(each)
        click.echo(address)
        if opens:
            click.launch(address)


def write_dashboard(account: Account) -> str:
    """Write the dashboard of an account; returns its address. Raises WarehouseError, and
    ClickException if there is nothing to show."""
    from harvest_pipeline.dashboard.file import parts_of, write
    from harvest_pipeline.warehouse.database import warehouse_of

    if not parts_of(account):
        raise click.ClickException(
            f"The account {account.name} has none of the reports that the dashboard shows; remove"
            " them from disabled_reports in harvest.yaml."
        )
    warehouse = warehouse_of(account, partial(click.echo, err=True))
    if not warehouse.place.may_exist():
        raise click.ClickException(
            f"Nothing is loaded yet: {account.project.duckdb} does not exist; load with"
            " `harvest-pipeline sync` first."
        )
    return write(account, warehouse).path.absolute().as_uri()
