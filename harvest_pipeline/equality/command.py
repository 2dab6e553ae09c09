"""The command `harvest-pipeline verify`: compares now, and prints a statement.

It starts no Dagster run, and only reads the database, unless it is to repair what differs.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from contextlib import closing
from datetime import date

import click

from harvest_pipeline.access import client_from_environment
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.equality.comparison import compare, compare_and_repair
from harvest_pipeline.equality.questions import RECORDS as COMPARED
from harvest_pipeline.equality.questions import themes
from harvest_pipeline.equality.statement import Statement
from harvest_pipeline.equality.verdict import Verdict
from harvest_pipeline.harvest.errors import HarvestError
from harvest_pipeline.loads import Loads, spool_folder
from harvest_pipeline.reconcile.reconciliation import Reconciliation
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import Account, SettingsError, load_environment, load_project
from harvest_pipeline.sync.choice import chosen_accounts
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.ledger import LoadContext

#: Months before the current one.
_MONTHS = 5
#: What cannot be compared at all is no difference.
_UNUSABLE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to a parser."""
    parser.add_argument(
        "--from",
        dest="first",
        type=_day,
        metavar="DAY",
        help="first day, such as 2026-01-01; without it, five months before that of the last day",
    )
    parser.add_argument("--to", dest="last", type=_day, metavar="DAY", help="last day; today")
    parser.add_argument("--account", metavar="NAME", help="one account of harvest.yaml")
    parser.add_argument(
        "--repair", action="store_true", help="read what differs again, then compare once more"
    )
    parser.add_argument("--json", action="store_true", help="the same for programs")


def run(arguments: argparse.Namespace) -> int:
    """Print the statement of each account; 0 if all are equal, 1 if not, or if that is not proven,
    2 if nothing can be said."""
    try:
        environment = load_environment()
        accounts = chosen_accounts(load_project(environment).accounts, arguments.account)
        statements = [
            _statement(
                account,
                _days(account, arguments.first, arguments.last),
                environment,
                repair=arguments.repair,
            )
            for account in accounts
        ]
    except click.ClickException as error:
        error.show()
        return _UNUSABLE
    except (HarvestError, WarehouseError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return _UNUSABLE
    if arguments.json:
        print(json.dumps([statement.data() for statement in statements], indent=2))
    else:
        print("\n\n".join(statement.text() for statement in statements))
    return 0 if all(each.verdict is Verdict.EQUAL for each in statements) else 1


def _statement(
    account: Account, days: Window, environment: Mapping[str, str], *, repair: bool
) -> Statement:
    """Compare the account. Raises HarvestError and WarehouseError."""
    warehouse = Warehouse(account.project.duckdb, account.name, log=_say)
    today = account.project.today()
    with (
        closing(client_from_environment(account, environment, _say)) as client,
        spool_folder(account.project.state_folder) as folder,
    ):
        if not repair:
            outcomes = [
                compare(client, warehouse, theme, days, today, by_month=True)
                for theme in themes(account)
            ]
            return Statement(account, days, outcomes)
        identity = client.identity
        again = Reconciliation(
            Loads(client, warehouse, (), folder, _say),
            LoadContext("verify", "verify", int(identity.account_id), identity.reader),
            [RECORDS[name] for theme in themes(account) for name in COMPARED[theme]],
            Window(account.project.start_date, today),
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
    return Statement(account, days, outcomes)


def _days(account: Account, first: date | None, last: date | None) -> Window:
    """The days that are asked for. Raises SettingsError for those that cannot be there."""
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
    """The first day of the month so many months before that of `day`."""
    count = day.year * 12 + day.month - 1 - months
    return date(count // 12, count % 12 + 1, 1)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a day is written as 2026-01-31") from None


def _say(line: str) -> None:
    """Tell of waiting: for Harvest's limit, or for the database."""
    print(line, file=sys.stderr, flush=True)
