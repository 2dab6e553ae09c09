"""A store in a folder of its own, and accounts in it."""

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import cycle
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


def killed_while_it_writes(writes: Sequence[Callable[[], object]]) -> None:
    """A process that does one write after the other for ever, killed after the first."""
    reading, writing = os.pipe()

    def write_for_ever() -> None:
        for write in cycle(writes):
            write()
            os.write(writing, b".")

    child = forked(write_for_ever)
    os.read(reading, 1)
    time.sleep(random.uniform(0, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)


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
