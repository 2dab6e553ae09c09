"""OAuth 2 credentials and tokens for a client, and the way of renewed ones back into the store."""

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace

from harvest_pipeline.accounts.store import AccountStore
from harvest_pipeline.accounts.stored import Secrets, StoredAccount
from harvest_pipeline.harvest.auth import (
    Credentials,
    Kept,
    PersonalAccessToken,
    RefreshedTokens,
)
from harvest_pipeline.harvest.errors import CredentialsMissing, StoreUnusable
from harvest_pipeline.harvest.secrecy import checked
from harvest_pipeline.harvest.token_endpoint import Application, Source, environment


def stored_credentials(
    store: AccountStore, account: StoredAccount, api_url: str, id_url: str
) -> Credentials:
    """Credentials that send the token of `account` to these hosts; renewed tokens are stored.

    Raises CredentialsMissing if the account was connected at other hosts, and StoreUnusable.
    """
    asked = tuple(url.rstrip("/") for url in (api_url, id_url))
    connected = tuple(url.rstrip("/") for url in (account.api_url, account.id_url))
    if asked != connected:
        raise CredentialsMissing(
            f"The stored account {account.name} was connected at {' and '.join(connected)}, and "
            f"its token is not sent to {' and '.join(asked)}: correct HARVEST_API_URL and "
            f"HARVEST_ID_URL, or run `{_connect(account)}`."
        )
    secrets = store.secrets(account)
    if account.kind == "token":
        return PersonalAccessToken(
            _present(account, secrets.access_token),
            origin=f"the stored account {account.name}",
            remedy=f"make a new one at {account.id_url.rstrip('/')}/developers, then run "
            f"`{_connect(account)} --token -`",
        )
    application = Application(
        _present(account, secrets.client_id), _present(account, secrets.client_secret)
    )
    _present(account, secrets.refresh_token)
    return RefreshedTokens(application, account.id_url, _InStore(store, account, application))


class _InStore:
    """Keeps the tokens of one stored account where all processes of this machine see them."""

    def __init__(
        self, store: AccountStore, account: StoredAccount, application: Application
    ) -> None:
        self._store = store
        self._account = account
        self._application = application
        self.source = Source(
            refresh_token=f"the refresh token of the stored account {account.name}",
            application=f"the application of the stored account {account.name} with its secret",
            remedy=f"run `{_connect(account)}` again",
        )

    def read(self) -> Kept:
        return _kept(self._store.secrets(self._account))

    def write(self, kept: Kept) -> None:
        application = self._application
        secrets = replace(
            _secrets(kept),
            client_id=application.client_id,
            client_secret=application.client_secret,
        )
        self._store.replace_secrets(self._account, secrets)

    def alone(self) -> AbstractContextManager[None]:
        return self._store.lock(self._account.name)


def environment_credentials(
    store: AccountStore, given: Mapping[str, str], prefix: str, id_url: str
) -> RefreshedTokens:
    """Credentials for the OAuth 2 values of variables that begin with `prefix`.

    The store keeps what the refresh token is renewed to: Harvest may take each only once. Raises
    CredentialsMalformed.
    """
    application = Application(
        checked(given["client_id"], f"{prefix}CLIENT_ID"),
        checked(given["client_secret"], f"{prefix}CLIENT_SECRET"),
    )
    first = checked(given["refresh_token"], f"{prefix}REFRESH_TOKEN")
    keep = _RenewedVariable(store, digest(given, id_url), first, prefix)
    return RefreshedTokens(application, id_url, keep)


def digest(given: Mapping[str, str], id_url: str) -> str:
    """What a refresh token of the environment is known by in the store.

    Neither the account nor the variable is in it: several of them may share one token. The host is,
    so that no token goes to another one.
    """
    parts = (id_url.rstrip("/"), given.get("client_id", ""), given.get("refresh_token", ""))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


class _RenewedVariable:
    """Keeps what the refresh token of a variable was renewed to; the variable stays as it is."""

    def __init__(self, store: AccountStore, known_by: str, first: str, prefix: str) -> None:
        self._store = store
        self._digest = known_by
        self._first = Secrets(refresh_token=first)
        self._prefix = prefix

    @property
    def source(self) -> Source:
        newest = self._held().refresh_token
        return environment(self._prefix, replaced=newest != self._first.refresh_token)

    def read(self) -> Kept:
        return _kept(self._held())

    def write(self, kept: Kept) -> None:
        self._store.keep_renewed(self._digest, _secrets(kept))

    def alone(self) -> AbstractContextManager[None]:
        return self._store.lock_renewed(self._digest)

    def _held(self) -> Secrets:
        return self._store.renewed(self._digest) or self._first


def _kept(secrets: Secrets) -> Kept:
    refresh_tokens = (secrets.refresh_token, secrets.previous_refresh_token)
    return Kept(
        secrets.access_token,
        secrets.expires_at,
        secrets.renew_at,
        tuple(token for token in refresh_tokens if token),
    )


def _secrets(kept: Kept) -> Secrets:
    newest, *older = kept.refresh_tokens
    return Secrets(
        access_token=kept.access_token,
        expires_at=kept.expires_at,
        renew_at=kept.renew_at,
        refresh_token=newest,
        previous_refresh_token=older[0] if older else None,
    )


def _connect(account: StoredAccount) -> str:
    return f"harvest-pipeline connect --name {account.name}"


def _present(account: StoredAccount, secret: str | None) -> str:
    if secret:
        return secret
    raise StoreUnusable(
        f"The secret of the stored account {account.name} is not complete; run "
        f"`{_connect(account)}` again."
    )
