"""An account as `harvest-pipeline connect` stores it, and processes for tests of the store."""

import os
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime

from harvest_pipeline.harvest.oauth import TokenSet
from harvest_pipeline.harvest.token_store import StoredAccount

#: A HARVEST_STATE_KEY, as `openssl rand -base64 32` makes one.
KEY = b64encode(bytes(range(200, 232))).decode()

#: Those of `OAuthServer`.
TOKENS = TokenSet(
    access_token="access-0",
    expires_at=1e10,
    client_id="id",
    client_secret="secret",
    refresh_token="refresh-0",
)


def account_of(url: str = "http://127.0.0.1:1", **changes: object) -> StoredAccount:
    """The account acme at a server."""
    given: dict[str, object] = {
        "name": "acme",
        "api_url": f"{url}/v2",
        "id_url": url,
        "account_id": "1308220",
        "account_name": "Acme Ltd",
        "instance": "acme",
        "user_name": "Ada Okafor",
        "role": "administrator",
        "connected_at": datetime.now(UTC),
        "tokens": TOKENS,
    }
    return StoredAccount(**{**given, **changes})  # type: ignore[arg-type]


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
