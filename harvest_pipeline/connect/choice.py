"""Which of the token's accounts is connected, and what is known of it.

Belongs here: how it is named, the question where it is not, and the entry for the store.
Does not belong here: asking Harvest (harvest/account.py).
"""

import argparse
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from harvest_pipeline import settings as configured
from harvest_pipeline.accounts.stored import Secrets, StoredAccount, VaultKind
from harvest_pipeline.connect.terminal import Terminal
from harvest_pipeline.harvest.account import Account, AccountFinder, listed
from harvest_pipeline.harvest.auth import PersonalAccessToken
from harvest_pipeline.harvest.calls import Caller
from harvest_pipeline.harvest.errors import AccountNotFound, one_line
from harvest_pipeline.harvest.http import Transport
from harvest_pipeline.harvest.limits import Limiter
from harvest_pipeline.text import shown


@dataclass(frozen=True, slots=True)
class Wish:
    """The account that was named, by id or by instance, and `source`: where that was said."""

    text: str
    source: str
    is_id: bool

    @classmethod
    def of(
        cls,
        arguments: argparse.Namespace,
        environment: Mapping[str, str],
        entry: configured.Account | None,
    ) -> Self | None:
        """What the arguments say, else the environment, else the `entry` of the project."""
        said = (
            (arguments.account_id, "--account-id", True),
            (arguments.instance, "--instance", False),
            (environment.get("HARVEST_ACCOUNT_ID"), "HARVEST_ACCOUNT_ID", True),
            (environment.get("HARVEST_INSTANCE"), "HARVEST_INSTANCE", False),
            (entry and entry.account_id, "account_id in harvest.yaml", True),
            (entry and entry.instance, "instance in harvest.yaml", False),
        )
        for text, source, is_id in said:
            if text and text.strip():
                return cls(text.strip(), source, is_id)
        return None


def examined(
    name: str,
    settings: configured.Account,
    transport: Transport,
    secrets: Secrets,
    vault: VaultKind,
    wish: Wish | None,
    terminal: Terminal,
) -> StoredAccount:
    """The account as it is to be stored: read with the very credentials, hence verified.

    Raises AccountNotFound, SettingsError if nobody is there to choose, and what `Caller.get`
    raises.
    """
    origin = "Harvest's answer" if secrets.refresh_token else "standard input"
    credentials = PersonalAccessToken(secrets.access_token or "", origin)
    with closing(Limiter(settings.project.state_folder)) as limiter:
        caller = Caller(transport, credentials, limiter, terminal.tell)
        finder = AccountFinder(caller, settings.project.api_url, settings.project.id_url)
        account = _chosen(finder, wish, terminal)
        identity = finder.identify(str(account.id), account.name)
        instance = finder.instance_of(str(account.id))
    return StoredAccount(
        name=name,
        kind="oauth2" if secrets.refresh_token else "token",
        api_url=settings.project.api_url,
        id_url=settings.project.id_url,
        account_id=identity.account_id,
        account_name=one_line(account.name),
        instance=instance,
        user_name=identity.user_name,
        role=identity.role,
        connected_at=datetime.now(UTC),
        vault=vault,
    )


def _chosen(finder: AccountFinder, wish: Wish | None, terminal: Terminal) -> Account:
    """The account that was wished for, else the only one, else the one that the person chooses."""
    accounts = finder.reachable()
    if not accounts:
        raise AccountNotFound(
            "This token reaches no Harvest account (Forecast does not count), so nothing was "
            "stored; sign in as a person who has one."
        )
    if wish is not None:
        return _wished(finder, wish, accounts)
    if len(accounts) == 1:
        return accounts[0]
    missing = f"{listed(accounts)} Say which one you want with --account-id."
    return accounts[terminal.choice("Which account?", accounts, missing)]


def _wished(finder: AccountFinder, wish: Wish, accounts: list[Account]) -> Account:
    if wish.is_id:
        found = next((account for account in accounts if str(account.id) == wish.text), None)
    else:
        found = finder.at(wish.text, accounts)
    if found is None:
        raise AccountNotFound(
            f"{wish.source} is {shown(wish.text)}, which this token is not known to reach. "
            f"{listed(accounts)} Correct it, or choose on Harvest's page what it may reach."
        )
    return found
