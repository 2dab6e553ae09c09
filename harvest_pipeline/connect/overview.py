"""All accounts that can be read from here: the stored ones, and those of the environment.

Belongs here: what is known of each without asking Harvest.
Does not belong here: how it is printed (accounts.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from harvest_pipeline.access import variables, winning_variables
from harvest_pipeline.accounts.store import AccountStore
from harvest_pipeline.accounts.stored import StoredAccount
from harvest_pipeline.harvest.account import is_instance
from harvest_pipeline.harvest.errors import StoreUnusable
from harvest_pipeline.settings import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One account; None where nothing is known. `kept_in` is keyring, file or environment.

    `expires_at` is the end of an access token that is renewed by itself. `problem` is the sentence
    that says why the secret cannot be read.
    """

    name: str
    company: str | None = None
    instance: str | None = None
    account_id: str | None = None
    person: str | None = None
    role: str | None = None
    kind: str
    expires_at: datetime | None = None
    kept_in: str
    api_url: str
    connected_at: datetime | None = None
    problem: str | None = None


def overview(
    store: AccountStore, project: Sequence[Account], environment: Mapping[str, str]
) -> list[Row]:
    """The accounts of the environment, which win, and then the stored ones.

    Raises StoreUnusable.
    """
    of_environment = [
        _of_environment(settings, environment)
        for settings in project
        if winning_variables(settings, environment)
    ]
    return of_environment + [_stored(store, account) for account in store.accounts()]


def _of_environment(settings: Account, environment: Mapping[str, str]) -> Row:
    found = variables(settings, environment)

    def value(field: str) -> str:
        return environment[found[field]].strip() if field in found else ""

    # What names no account is not shown: it may be a token in the wrong line.
    instance, account_id = value("instance"), value("account_id")
    return Row(
        name=settings.name,
        instance=instance if is_instance(instance) else settings.instance or None,
        account_id=account_id if account_id.isdecimal() else settings.account_id or None,
        kind="token" if "access_token" in found else "oauth2",
        kept_in="environment",
        api_url=settings.project.api_url,
    )


def _stored(store: AccountStore, account: StoredAccount) -> Row:
    row = Row(
        name=account.name,
        company=account.account_name,
        instance=account.instance,
        account_id=account.account_id,
        person=account.user_name,
        role=account.role,
        kind=account.kind,
        kept_in=account.vault,
        api_url=account.api_url,
        connected_at=account.connected_at,
    )
    try:
        expires_at = store.secrets(account).expires_at
    except StoreUnusable as error:
        return replace(row, problem=str(error))
    if expires_at is None:
        return row
    return replace(row, expires_at=datetime.fromtimestamp(expires_at, UTC))
