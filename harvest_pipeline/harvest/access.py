"""The credentials of an account: from environment variables, else from the token store."""

import hashlib
from collections.abc import Callable, Mapping

from harvest_pipeline.harvest.account import instance_host
from harvest_pipeline.harvest.auth import Credentials, PersonalAccessToken, RefreshedTokens
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import AccountNotFound, CredentialsMissing
from harvest_pipeline.harvest.http import Patience
from harvest_pipeline.harvest.oauth import DEVELOPERS, TokenSet, checked
from harvest_pipeline.harvest.token_store import StoredAccount, TokenStore, is_name
from harvest_pipeline.settings import Account

OAUTH_FIELDS = ("client_id", "client_secret", "refresh_token")
CREDENTIAL_FIELDS = ("access_token", *OAUTH_FIELDS)
_TOKEN_FIELDS = ("access_token", "refresh_token")
_ACCOUNT_FIELDS = ("account_id", "instance")


def variables(account: Account, environment: Mapping[str, str]) -> dict[str, str]:
    """The names of the variables that are set for the account, by the field that they set.

    The account's own (HARVEST_ACME_…) win over the general ones if they hold a token; the two are
    not mixed.
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
    """The variables whose credentials win over a stored account with these settings.

    A client id and secret alone do not win: they are only used to connect an account.
    """
    found = variables(account, environment)
    return [found[field] for field in _TOKEN_FIELDS if field in found]


def is_connected(account: Account, environment: Mapping[str, str]) -> bool:
    """Whether there are any credentials for the account, at its hosts. Raises StoreUnusable."""
    if winning_variables(account, environment):
        return True
    stored = _stored(TokenStore.from_environment(environment), account)
    return stored is not None and stored.api_url == account.project.api_url


def missing_credentials(account: Account, environment: Mapping[str, str]) -> str | None:
    """What a run of the account would say of credentials that are missing; None if there are some.
    Raises CredentialsMalformed and StoreUnusable."""
    try:
        _credentials(account, _values(account, environment), environment)
    except CredentialsMissing as error:
        return str(error)
    return None


def client_of(
    account: Account,
    given: Mapping[str, str],
    environment: Mapping[str, str],
    log: Callable[[str], None],
    patience: Patience | None = None,
) -> HarvestClient:
    """The client of an account. Nothing is sent to Harvest yet.

    `given` are the values of the fields, from `variables` and from the account. Raises
    CredentialsMissing if there is neither a token nor all three OAuth 2 values nor a stored
    account, AccountNotFound for an account id that is not a number or not that of the stored
    account, CredentialsMalformed, and StoreUnusable.
    """
    credentials, stored = _credentials(account, given, environment)
    account_id = stored.account_id if stored else given.get("account_id", "").strip() or None
    instance = None if stored else given.get("instance", "").strip() or None
    return client_with(account, credentials, log, patience, account_id, instance)


def client_with(
    account: Account,
    credentials: Credentials,
    log: Callable[[str], None],
    patience: Patience | None = None,
    account_id: str | None = None,
    instance: str | None = None,
) -> HarvestClient:
    """A client with these credentials, and the hosts and limits of the account's project."""
    return HarvestClient(
        api_url=account.project.api_url,
        id_url=account.project.id_url,
        credentials=credentials,
        account_id=account_id,
        instance=instance,
        contact=account.project.contact,
        state_folder=account.project.state_folder,
        state=account.project.state,
        log=log,
        patience=patience,
    )


def client_from_environment(
    account: Account,
    environment: Mapping[str, str],
    log: Callable[[str], None],
    patience: Patience | None = None,
) -> HarvestClient:
    """The client of an account as a Dagster run would make it, for use outside of a run. Raises
    the same exceptions as `client_of`."""
    given = _values(account, environment)
    if account.account_id:
        given["account_id"] = account.account_id
    if account.instance:
        given["instance"] = account.instance
    return client_of(account, given, environment, log, patience)


def stored_credentials(
    store: TokenStore, account: StoredAccount, api_url: str, id_url: str
) -> Credentials:
    """Credentials that send the token of `account` to these hosts.

    Raises CredentialsMissing if the account was connected at other hosts.
    """
    asked = tuple(url.rstrip("/") for url in (api_url, id_url))
    connected = tuple(url.rstrip("/") for url in (account.api_url, account.id_url))
    command = f"harvest-pipeline connect --name {account.name}"
    if asked != connected:
        raise CredentialsMissing(
            f"The stored account {account.name} was connected at {' and '.join(connected)}, and "
            f"its token is not sent to {' and '.join(asked)}: correct HARVEST_API_URL and "
            f"HARVEST_ID_URL, or run `{command}`."
        )
    if account.kind == "token":
        return PersonalAccessToken(
            account.tokens.access_token,
            origin=f"the stored account {account.name}",
            remedy=f"make a new one at {account.id_url.rstrip('/')}/developers, then run "
            f"`{command} --token -`",
        )
    return RefreshedTokens(
        store,
        account.name,
        account.id_url,
        given=None,
        origin=f"the refresh token of the stored account {account.name}",
        application=f"the application of the stored account {account.name} with its secret",
        remedy=f"run `{command}` again",
    )


def environment_credentials(
    store: TokenStore, given: Mapping[str, str], prefix: str, id_url: str
) -> RefreshedTokens:
    """Credentials from the OAuth 2 variables that begin with `prefix`.

    The store keeps the tokens that they are renewed to: Harvest may accept each refresh token only
    once. Raises CredentialsMalformed.
    """
    tokens = TokenSet(
        client_id=checked(given["client_id"], f"{prefix}CLIENT_ID"),
        client_secret=checked(given["client_secret"], f"{prefix}CLIENT_SECRET"),
        refresh_token=checked(given["refresh_token"], f"{prefix}REFRESH_TOKEN"),
    )
    return RefreshedTokens(
        store,
        _digest(given, id_url),
        id_url,
        given=tokens,
        origin=f"the refresh token of {prefix}REFRESH_TOKEN, or what it was renewed to",
        application=f"{prefix}CLIENT_ID with this {prefix}CLIENT_SECRET",
        remedy="set a new one, or remove the variable and run `harvest-pipeline connect`",
    )


def renewed_variable(account: Account, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable with the refresh token in use for the account, and the key of its renewed tokens
    in the store; None if other credentials are used."""
    names, given = variables(account, environment), _values(account, environment)
    if "access_token" in given or not all(field in given for field in OAUTH_FIELDS):
        return None
    return names["refresh_token"], _digest(given, account.project.id_url)


def _digest(given: Mapping[str, str], id_url: str) -> str:
    """The key of a variable's refresh token in the store, which no account can have as its name.

    It depends on neither the account nor the variable: several of them may share one token. It
    depends on the host, so that no token goes to another one.
    """
    parts = (id_url.rstrip("/"), given["client_id"], given["refresh_token"])
    return f"environment-{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:32]}"


def _values(account: Account, environment: Mapping[str, str]) -> dict[str, str]:
    names = variables(account, environment)
    return {field: environment[name] for field, name in names.items()}


def _credentials(
    account: Account, given: Mapping[str, str], environment: Mapping[str, str]
) -> tuple[Credentials, StoredAccount | None]:
    """The credentials, and the stored account if they come from one."""
    prefix = _prefix(account, environment)
    if token := given.get("access_token"):
        return PersonalAccessToken(token, f"{prefix}ACCESS_TOKEN"), None
    store = TokenStore.from_environment(environment)
    if all(given.get(field) for field in OAUTH_FIELDS):
        return environment_credentials(store, given, prefix, account.project.id_url), None
    stored = None if given.get("refresh_token") else _stored(store, account)
    if stored is None:
        some = any(given.get(field) for field in OAUTH_FIELDS)
        raise CredentialsMissing(_incomplete(given, prefix) if some else _nothing(account))
    _check_same(stored, given)
    return stored_credentials(
        store, stored, account.project.api_url, account.project.id_url
    ), stored


def _stored(store: TokenStore, account: Account) -> StoredAccount | None:
    # HARVEST_SCHEMA may be a name that `connect` would reject.
    return store.find(account.name) if is_name(account.name) else None


def _holds_token(fields: Mapping[str, str]) -> bool:
    """Whether there is more than a client id and secret, which `connect` needs too."""
    return any(fields.get(field) for field in _TOKEN_FIELDS)


def _prefix(account: Account, environment: Mapping[str, str]) -> str:
    """The prefix of the variables that hold the account's credentials."""
    names = tuple(variables(account, environment).values())
    return next(
        (prefix for prefix in account.prefixes if names and names[0].startswith(prefix)),
        account.prefixes[-1],
    )


def _check_same(stored: StoredAccount, given: Mapping[str, str]) -> None:
    """Raise AccountNotFound if the requested account is not the one stored under this name."""
    account_id, instance = (given.get(field, "").strip() for field in _ACCOUNT_FIELDS)
    if account_id:
        same = account_id == stored.account_id
    elif instance:
        same = bool(stored.instance) and instance_host(instance) == instance_host(stored.instance)
    else:
        return
    if not same:
        field = "account_id" if account_id else "instance"
        raise AccountNotFound(
            f"The stored account {stored.name} is {stored.account_id} ({stored.instance or '?'}), "
            f"and HARVEST_{field.upper()}, or {field} in harvest.yaml, asks for another one; "
            f"correct that, or run `harvest-pipeline connect --name {stored.name}` for the other "
            "one."
        )


def _incomplete(given: Mapping[str, str], prefix: str) -> str:
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
        f"at {DEVELOPERS}); `make demo` needs none."
    )
