"""How an account is reached: the variables of the environment, else what `connect` has stored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harvest_pipeline.accounts.credentials import (
    digest,
    environment_credentials,
    stored_credentials,
)
from harvest_pipeline.accounts.store import AccountStore
from harvest_pipeline.accounts.stored import StoredAccount, is_name
from harvest_pipeline.harvest.account import instance_host
from harvest_pipeline.harvest.auth import Credentials, PersonalAccessToken
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import AccountNotFound, CredentialsMissing
from harvest_pipeline.harvest.http import Patience
from harvest_pipeline.settings import Account
from harvest_pipeline.text import shown

OAUTH_FIELDS = ("client_id", "client_secret", "refresh_token")
CREDENTIAL_FIELDS = ("access_token", *OAUTH_FIELDS)
_TOKEN_FIELDS = ("access_token", "refresh_token")
_ACCOUNT_FIELDS = ("account_id", "instance")


def variables(account: Account, environment: Mapping[str, str]) -> dict[str, str]:
    """The names of the variables that are set for the account, by the field that they fill.

    The account's own (HARVEST_ACME_…) win over those of all accounts if they hold a token; the two
    are not mixed.
    """
    named = len(account.prefixes) > 1  # harvest.yaml says which account it is
    fields = CREDENTIAL_FIELDS if named else (*CREDENTIAL_FIELDS, *_ACCOUNT_FIELDS)
    found: dict[str, str] = {}
    for prefix in account.prefixes:
        names = {field: f"{prefix}{field.upper()}" for field in fields}
        found = {key: name for key, name in names.items() if environment.get(name, "").strip()}
        if _holds_token(found):
            break
    return found


def winning_variables(account: Account, environment: Mapping[str, str]) -> list[str]:
    """The variables whose credentials win over a stored account of these settings.

    A client id and secret by themselves do not: they are what an account is connected with.
    """
    found = variables(account, environment)
    return [found[field] for field in _TOKEN_FIELDS if field in found]


def is_connected(account: Account, environment: Mapping[str, str]) -> bool:
    """Whether there are any credentials for the account, at its hosts. Raises StoreUnusable."""
    if winning_variables(account, environment):
        return True
    _, stored = _stored(account, environment)
    return stored is not None and stored.api_url == account.project.api_url


def client_of(
    account: Account,
    given: Mapping[str, str],
    environment: Mapping[str, str],
    log: Callable[[str], None],
    patience: Patience | None = None,
) -> HarvestClient:
    """The client of an account. Nothing is sent to Harvest yet.

    `given` are the values of the fields, those of `variables` and of the account. Raises
    CredentialsMissing if there is neither a token nor all three OAuth 2 values nor a stored
    account, AccountNotFound for an account id that is no number or not that of the stored account,
    CredentialsMalformed, and StoreUnusable.
    """
    access = _access(account, given, environment)
    return HarvestClient(
        api_url=account.project.api_url,
        id_url=account.project.id_url,
        credentials=access.credentials,
        account_id=access.account_id,
        instance=access.instance,
        contact=account.project.contact,
        state_folder=account.project.state_folder,
        log=log,
        patience=patience,
    )


def client_from_environment(
    account: Account,
    environment: Mapping[str, str],
    log: Callable[[str], None],
    patience: Patience | None = None,
) -> HarvestClient:
    """The client of an account as a run would make it, for what is no run of Dagster. Raises as
    `client_of` does."""
    given = _values(account, environment)
    if account.account_id:
        given["account_id"] = account.account_id
    if account.instance:
        given["instance"] = account.instance
    return client_of(account, given, environment, log, patience)


def credentials_from_environment(account: Account, environment: Mapping[str, str]) -> Credentials:
    """The credentials of that client. Raises as `client_of` does."""
    return _access(account, _values(account, environment), environment).credentials


def renewed_variable(account: Account, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable with the refresh token that is used for the account, and the digest by which the
    store knows what it was renewed to; None if another kind of credentials is used."""
    names, given = variables(account, environment), _values(account, environment)
    if "access_token" in given or not all(field in given for field in OAUTH_FIELDS):
        return None
    return names["refresh_token"], digest(given, account.project.id_url)


def _values(account: Account, environment: Mapping[str, str]) -> dict[str, str]:
    names = variables(account, environment)
    return {field: environment[name] for field, name in names.items()}


@dataclass(frozen=True, slots=True)
class _Access:
    credentials: Credentials
    account_id: str | None
    instance: str | None


def _access(account: Account, given: Mapping[str, str], environment: Mapping[str, str]) -> _Access:
    account_id = given.get("account_id", "").strip() or None
    instance = given.get("instance", "").strip() or None
    prefix = _prefix(account, environment)
    if _holds_token(given):
        credentials = _credentials(given, prefix, account.project.id_url, environment)
        return _Access(credentials, account_id, instance)
    store, stored = _stored(account, environment)
    if stored is None:
        if given.get("client_id") or given.get("client_secret"):
            raise CredentialsMissing(_missing(given, prefix))
        raise CredentialsMissing(_nothing(account))
    _same_account(stored, account_id, instance)
    credentials = stored_credentials(store, stored, account.project.api_url, account.project.id_url)
    return _Access(credentials, stored.account_id, None)


def _stored(
    account: Account, environment: Mapping[str, str]
) -> tuple[AccountStore, StoredAccount | None]:
    store = AccountStore.from_environment(environment)
    # HARVEST_SCHEMA may be a word that `connect` would not take.
    return store, store.find(account.name) if is_name(account.name) else None


def _credentials(
    given: Mapping[str, str], prefix: str, id_url: str, environment: Mapping[str, str]
) -> Credentials:
    if token := given.get("access_token"):
        return PersonalAccessToken(token, f"{prefix}ACCESS_TOKEN")
    if not all(given.get(field) for field in OAUTH_FIELDS):
        raise CredentialsMissing(_missing(given, prefix))
    store = AccountStore.from_environment(environment)
    return environment_credentials(store, given, prefix, id_url)


def _holds_token(fields: Mapping[str, str]) -> bool:
    """Whether there is more than an application, which `connect` needs too."""
    return any(fields.get(field) for field in _TOKEN_FIELDS)


def _prefix(account: Account, environment: Mapping[str, str]) -> str:
    """How the names of the variables begin that hold the account's credentials."""
    names = tuple(variables(account, environment).values())
    return next(
        (prefix for prefix in account.prefixes if names and names[0].startswith(prefix)),
        account.prefixes[-1],
    )


def _same_account(stored: StoredAccount, account_id: str | None, instance: str | None) -> None:
    """Raise AccountNotFound if what was asked for is not what was connected under this name."""
    if account_id:
        same = account_id == stored.account_id
    elif instance:
        same = bool(stored.instance) and instance_host(instance) == instance_host(stored.instance)
    else:
        return
    if not same:
        raise AccountNotFound(
            f"The stored account {stored.name} is {stored.account_id} ({stored.instance or '?'}), "
            f"and {shown(account_id or instance or '')} is asked for (harvest.yaml or the "
            f"environment); correct that, or run `harvest-pipeline connect --name {stored.name}` "
            "for the other one."
        )


def _missing(given: Mapping[str, str], prefix: str) -> str:
    names = " and ".join(f"{prefix}{each.upper()}" for each in OAUTH_FIELDS if not given.get(each))
    return (
        f"{names} is not set: OAuth 2 needs {prefix}CLIENT_ID, {prefix}CLIENT_SECRET and "
        f"{prefix}REFRESH_TOKEN; or run `harvest-pipeline connect`."
    )


def _nothing(account: Account) -> str:
    prefix = account.prefixes[0]
    return (
        f"No Harvest credentials for {account.name}: run `harvest-pipeline connect"
        f"{'' if len(account.prefixes) == 1 else f' --name {account.name}'}`, or set "
        f"{prefix}ACCESS_TOKEN and the account id in the environment or in .env (a token is made "
        "at https://id.getharvest.com/developers); `make demo` needs none."
    )
