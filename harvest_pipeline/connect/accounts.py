"""The command `harvest-pipeline accounts`: list, remove and test the connected accounts.

Belongs here: its arguments and what it prints.
Does not belong here: connecting an account (command.py).
"""

import argparse
import json
from contextlib import closing
from dataclasses import asdict, replace
from datetime import datetime

from tabulate import tabulate

from harvest_pipeline.access import renewed_variable
from harvest_pipeline.accounts.credentials import stored_credentials
from harvest_pipeline.accounts.store import AccountStore
from harvest_pipeline.accounts.stored import StoredAccount, is_name
from harvest_pipeline.connect.overview import Row, overview
from harvest_pipeline.connect.terminal import PATIENCE
from harvest_pipeline.harvest.account import Identity
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import HarvestError
from harvest_pipeline.settings import (
    Account,
    Project,
    SettingsError,
    load_environment,
    load_project,
)

_NONE = "No account is connected; run `harvest-pipeline connect`."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to a parser; without any it lists."""
    parser.add_argument("--json", action="store_true", help="the list for programs")
    parser.set_defaults(run=_list)
    actions = parser.add_subparsers(metavar="action")

    remove = actions.add_parser("remove", help="forget an account and its secret")
    remove.add_argument("name", metavar="NAME")
    remove.set_defaults(run=_remove)

    test = actions.add_parser("test", help="ask Harvest who each account is read as")
    test.add_argument("name", metavar="NAME", nargs="?", help="default: all")
    test.set_defaults(run=_test)


def _list(arguments: argparse.Namespace) -> int:
    """Print what is known without asking Harvest; 1 if the secret of one cannot be read."""
    environment = load_environment()
    store = AccountStore.from_environment(environment)
    rows = overview(store, load_project(environment).accounts, environment)
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2, default=datetime.isoformat))
    elif not rows:
        print(_NONE)
    else:
        print(tabulate([_cells(row) for row in rows], headers="keys", disable_numparse=True))
        if any(row.kept_in == "environment" for row in rows):
            print("\nCredentials in the environment win over a stored account of the same name.")
        for row in rows:
            if row.problem:
                print(f"\n{row.problem}")
    return 1 if any(row.problem for row in rows) else 0


def _cells(row: Row) -> dict[str, str | None]:
    return {
        "name": row.name,
        "company": row.company,
        "instance": row.instance,
        "account id": row.account_id,
        "person": row.person,
        "role": row.role,
        "credential": "OAuth 2" if row.kind == "oauth2" else "token",
        "expires": _expiry(row),
        "kept in": row.kept_in,
    }


def _expiry(row: Row) -> str:
    if row.problem:
        return "unusable, see below"
    if row.kind == "token":
        return "when revoked"
    if row.expires_at is None:
        return "renewed by itself"
    return f"{row.expires_at:%Y-%m-%d %H:%M} UTC, renewed by itself"


def _remove(arguments: argparse.Namespace) -> int:
    """Forget an account, and what a refresh token of the environment was renewed to for it.

    Raises SettingsError for an unknown name, and StoreUnusable.
    """
    environment = load_environment()
    store = AccountStore.from_environment(environment)
    settings = next(
        (s for s in load_project(environment).accounts if s.name == arguments.name), None
    )
    variable = settings and renewed_variable(settings, environment)
    if variable and store.remove_renewed(variable[1]):
        print(
            f"What {variable[0]} was renewed to is removed from this machine: set a new token "
            "before the next run, since Harvest may take each only once."
        )
        if not is_name(arguments.name) or store.find(arguments.name) is None:
            return 0
    if not store.remove(arguments.name):
        _named(store, arguments.name)
    print(
        f"The account {arguments.name} and its secret are removed from this machine. Harvest would "
        "still accept the secret: take the access back at https://id.getharvest.com."
    )
    return 0


def _test(arguments: argparse.Namespace) -> int:
    """Ask Harvest about each account; 1 if one of them cannot be read.

    Raises SettingsError for an unknown name, and StoreUnusable.
    """
    environment = load_environment()
    settings = Project.of(environment).accounts[0]
    store = AccountStore.from_environment(environment)
    failed = 0
    for account in _named(store, arguments.name):
        try:
            found = _identity(store, account, settings)
        except HarvestError as error:
            print(f"{account.name}: {error}")
            failed = 1
            continue
        current = replace(account, user_name=found.user_name, role=found.role)
        if current != account:
            store.update(current)
        print(f"{account.name}: ok; {found.user_name}, {found.role} of {account.account_name}")
    return failed


def _identity(store: AccountStore, account: StoredAccount, settings: Account) -> Identity:
    """Who the account is read as, with the settings that a run would have."""
    client = HarvestClient(
        api_url=settings.project.api_url,
        id_url=settings.project.id_url,
        credentials=stored_credentials(
            store, account, settings.project.api_url, settings.project.id_url
        ),
        account_id=account.account_id,
        instance=None,
        contact=settings.project.contact,
        state_folder=settings.project.state_folder,
        log=print,
        patience=PATIENCE,
    )
    with closing(client):
        return client.identity


def _named(store: AccountStore, name: str | None) -> list[StoredAccount]:
    """The account of that name, or all of them; never none. Raises SettingsError."""
    accounts = store.accounts()
    if not accounts:
        raise SettingsError(_NONE)
    found = [account for account in accounts if name in (None, account.name)]
    if not found:
        names = ", ".join(account.name for account in accounts)
        raise SettingsError(f"No account is connected as {name!r}; there are: {names}.")
    return found
