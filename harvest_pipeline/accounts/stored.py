"""What is stored of a connected account: what may be seen of it, and its secrets.

Belongs here: the two values, and which names an account may have.
Does not belong here: where they are kept (store.py, vaults.py).
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from harvest_pipeline.harvest.account import Role
from harvest_pipeline.harvest.errors import StoreUnusable, one_line
from harvest_pipeline.harvest.secrecy import Secretive

VaultKind = Literal["keyring", "file"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAccount:
    """An account that was connected; holds no secret.

    `kind` says what the credential is: OAuth 2 tokens or a personal access token. `instance` is
    the acme of acme.harvestapp.com, None where it is not known. `connected_at` is in UTC; it tells
    one sign-in from the next. `vault` says where the secrets are.
    """

    name: str
    kind: Literal["oauth2", "token"]
    api_url: str
    id_url: str
    account_id: str
    account_name: str
    instance: str | None
    user_name: str
    role: Role
    connected_at: datetime
    vault: VaultKind


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Secrets(Secretive):
    """The secrets of one account. Times are Unix times in seconds (see `Tokens`).

    A personal access token is an `access_token` and nothing else.
    """

    access_token: str | None = None
    expires_at: float | None = None
    renew_at: float | None = None
    client_id: str | None = None
    client_secret: str | None = None
    refresh_token: str | None = None
    previous_refresh_token: str | None = None


def is_name(name: str) -> bool:
    """Whether an account can be stored under that name."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> str:
    """`name` if an account can have it, else StoreUnusable.

    It becomes the schema in DuckDB, the first part of asset keys and the name of files.
    """
    if is_name(name):
        return name
    raise StoreUnusable(
        f"{one_line(name, 60)!r} cannot be the name of an account: use up to 40 small letters, "
        "digits and underscores, with a letter first, such as acme."
    )
