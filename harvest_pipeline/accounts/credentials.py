"""The credentials of a stored account, for a client.

Belongs here: the way from the store to `Credentials`, and back for renewed tokens.
Does not belong here: when and how tokens are renewed (harvest/auth.py, harvest/oauth.py).
"""

from contextlib import AbstractContextManager

from harvest_pipeline.accounts.store import AccountStore
from harvest_pipeline.accounts.stored import Secrets, StoredAccount
from harvest_pipeline.harvest.auth import (
    Credentials,
    Kept,
    PersonalAccessToken,
    RefreshedTokens,
)
from harvest_pipeline.harvest.errors import CredentialsMissing, StoreUnusable
from harvest_pipeline.harvest.token_endpoint import Application, Source


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
        secrets = self._store.secrets(self._account)
        refresh_tokens = (secrets.refresh_token, secrets.previous_refresh_token)
        return Kept(
            secrets.access_token,
            secrets.expires_at,
            secrets.renew_at,
            tuple(token for token in refresh_tokens if token),
        )

    def write(self, kept: Kept) -> None:
        newest, *older = kept.refresh_tokens
        secrets = Secrets(
            client_id=self._application.client_id,
            client_secret=self._application.client_secret,
            access_token=kept.access_token,
            expires_at=kept.expires_at,
            renew_at=kept.renew_at,
            refresh_token=newest,
            previous_refresh_token=older[0] if older else None,
        )
        self._store.replace_secrets(self._account, secrets)

    def alone(self) -> AbstractContextManager[None]:
        return self._store.lock(self._account.name)


def _connect(account: StoredAccount) -> str:
    return f"harvest-pipeline connect --name {account.name}"


def _present(account: StoredAccount, secret: str | None) -> str:
    if secret:
        return secret
    raise StoreUnusable(
        f"The secret of the stored account {account.name} is not complete; run "
        f"`{_connect(account)}` again."
    )
