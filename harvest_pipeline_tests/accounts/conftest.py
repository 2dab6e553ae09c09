"""A store in a folder of its own, and accounts in it."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harvest_pipeline.accounts.store import AccountStore
from harvest_pipeline.accounts.stored import Secrets, StoredAccount
from harvest_pipeline_tests.harvest.conftest import (  # noqa: F401 - fixtures of clients
    log,
    make_client,
)

SECRETS = Secrets(
    access_token="access-0",
    expires_at=1e10,
    renew_at=1e10,
    client_id="id",
    client_secret="secret",
    refresh_token="refresh-0",
)
Connect = Callable[..., StoredAccount]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the store will be; not made yet."""
    return tmp_path / "config" / "accounts"


@pytest.fixture
def store(folder: Path) -> AccountStore:
    return AccountStore.from_environment({"HARVEST_TOKEN_STORE": str(folder)})


def account_of(url: str = "http://127.0.0.1:1", **changes: object) -> StoredAccount:
    given: dict[str, object] = {
        "name": "acme",
        "kind": "oauth2",
        "api_url": f"{url}/v2",
        "id_url": url,
        "account_id": "1308220",
        "account_name": "Acme Ltd",
        "instance": "acme",
        "user_name": "Ada Okafor",
        "role": "administrator",
        "connected_at": datetime.now(UTC),
        "vault": "file",
    }
    return StoredAccount(**{**given, **changes})  # type: ignore[arg-type]


@pytest.fixture
def connect(store: AccountStore) -> Connect:
    """Stores an account of a server; its secrets are those of `OAuthServer` if none are given."""

    def save(url: str, secrets: Secrets = SECRETS, **changes: object) -> StoredAccount:
        store.save(account := account_of(url, **changes), secrets)
        return account

    return save


def forked(work: Callable[[], object]) -> int:
    """Do `work` in a process of its own; the process id, for os.kill and os.waitpid.

    It ends with code 0, or with 1 if the work fails; never with what pytest does at its end.
    """
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)
