"""`harvest-pipeline verify`: compares the warehouse with Harvest now, and prints a statement.

It starts no Dagster run, and only reads the database unless it repairs differences.
"""

import sys
from collections.abc import Mapping
from contextlib import closing
from datetime import date
from functools import partial

import click

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.cli.choice import chosen_accounts
from harvest_pipeline.cli.completion import account_option
from harvest_pipeline.cli.declared import accounts_of
from harvest_pipeline.cli.output import coloured, document, json_option
from harvest_pipeline.harvest.access import client_from_environment
from harvest_pipeline.harvest.errors import HarvestError
from harvest_pipeline.harvest.http import AT_TERMINAL
from harvest_pipeline.loading.figures import RECORDS as COMPARED
from harvest_pipeline.loading.figures import themes
from harvest_pipeline.loading.history import left_out
from harvest_pipeline.loading.reconcile import Reconciliation
from harvest_pipeline.loading.statement import Statement
from harvest_pipeline.loading.verify import Verdict, compare, compare_and_repair
from harvest_pipeline.loading.window import Loads, spool_folder
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import Account, SettingsError, load_environment
from harvest_pipeline.warehouse.database import warehouse_of
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.ledger import LoadContext

#: Months before the current one.
_MONTHS = 5
#: For messages about waiting: for Harvest's limit, or for the database.
_say = partial(click.echo, err=True)


class _Unusable(click.ClickException):
    """Nothing can be compared, which is not a difference."""

    exit_code = 2


def _day(context: click.Context, parameter: click.Parameter, value: str | None) -> date | None:
    try:
        return date.fromisoformat(value) if value else None
    except ValueError:
        raise click.BadParameter("a day is written as 2026-01-31") from None


@click.command("verify")
@click.option(
    "--from",
    "first",
    callback=_day,
    metavar="DAY",
    help="First day, such as 2026-01-01; without it, five months before that of the last day.",
)
@click.option("--to", "last", callback=_day, metavar="DAY", help="Last day; today without it.")
@account_option
@click.option("--repair", is_flag=True, help="Read what differs again, then compare once more.")
@json_option
def command(
    first: date | None, last: date | None, account: str | None, repair: bool, as_json: bool
) -> int:
    """Compare the warehouse with Harvest's own reports, month by month.

    The exit code is 0 if all accounts are equal, 1 if not, or if that is not proven, and 2 if
    nothing can be said.

    \b
    Example:
      harvest-pipeline verify --from 2026-01-01 --repair
    """
    try:
        environment = load_environment()
        accounts = chosen_accounts(accounts_of(environment), account)
        statements = [
            _statement(account, _days(account, first, last), environment, repair=repair)
            for account in accounts
        ]
    except (click.ClickException, HarvestError, WarehouseError) as error:
        raise _Unusable(str(error)) from None
    if as_json:
        click.echo(document([statement.data() for statement in statements]))
    else:
        click.echo("\n\n".join(map(_text, statements)))
    return 0 if all(each.verdict is Verdict.EQUAL for each in statements) else 1


def _text(statement: Statement) -> str:
    """The statement, the verdict at its end in a colour."""
    before, line, verdict = statement.text().rpartition("\n")
    return f"{before}{line}{coloured(verdict, str(statement.verdict))}"


def _statement(
    account: Account, days: Window, environment: Mapping[str, str], *, repair: bool
) -> Statement:
    """Compare the account. Raises HarvestError and WarehouseError."""
    warehouse = warehouse_of(account, _say)
    today, start = account.project.today(), account.project.start_date
    patience = AT_TERMINAL if sys.stderr.isatty() else None
    with (
        closing(client_from_environment(account, environment, _say, patience)) as client,
        spool_folder(account.project.state_folder) as folder,
    ):
        if not repair:
            outcomes = [
                compare(client, warehouse, theme, days, today, by_month=True)
                for theme in themes(account)
            ]
            return Statement(account, days, outcomes, left_out(client, account.records, start))
        identity = client.identity
        again = Reconciliation(
            Loads(client, warehouse, (), folder, _say),
            LoadContext("verify", "verify", int(identity.account_id), identity.reader),
            [RECORDS[name] for theme in themes(account) for name in COMPARED[theme]],
            Window(start, today),
            thorough=False,
        )
        outcomes = [
            compare_and_repair(
                client, warehouse, theme, days, today, again.read_again, by_month=True
            )
            for theme in themes(account)
        ]
        if again.refused:
            raise again.refused
        return Statement(account, days, outcomes, left_out(client, account.records, start))


def _days(account: Account, first: date | None, last: date | None) -> Window:
    """The requested days. Raises SettingsError for days that do not exist."""
    today = account.project.today()
    end = last or today
    start = first or max(_months_before(end, _MONTHS), account.project.start_date)
    if end > today:
        raise SettingsError(f"--to is {end}, which is in the future (today is {today}).")
    if start < account.project.start_date:
        raise SettingsError(
            f"--from is {start}, and nothing before HARVEST_START_DATE "
            f"({account.project.start_date}) is loaded; name a later day, or set that variable "
            "to an earlier one and load."
        )
    if start > end:
        raise SettingsError(f"The days {start} to {end} end before they begin; swap them.")
    return Window(start, end)


def _months_before(day: date, months: int) -> date:
    """The first day of the month that is that many months before the month of `day`."""
    count = day.year * 12 + day.month - 1 - months
    return date(count // 12, count % 12 + 1, 1)
