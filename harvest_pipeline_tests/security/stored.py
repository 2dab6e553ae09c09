"""Failures of accounts that are stored on the machine.

Belongs here: stores that are damaged or open, and stored credentials that are refused.
Does not belong here: how an account gets there (commands.py, test_leaks.py).
"""

from collections.abc import Iterator
from pathlib import Path

from harvest_pipeline.accounts.store import AccountStore
from harvest_pipeline.accounts.stored import Secrets
from harvest_pipeline_tests.accounts.conftest import account_of
from harvest_pipeline_tests.sandbox.faults import AnswerWith
from harvest_pipeline_tests.security.failure import Failure
from harvest_pipeline_tests.security.planted import (
    CHANGED,
    CLIENT_ID,
    CLIENT_SECRET,
    NOTHING,
    REFRESH_TOKEN,
    STORED_TOKEN,
    echo,
)
from harvest_pipeline_tests.security.stage import Stage


def of_stores(stage: Stage) -> Iterator[Failure]:
    """Stored accounts whose secrets are refused, damaged, or open to others."""
    # Made here, once; the secrets are where they belong, in the folders of stores.
    oauth = Secrets(
        access_token=STORED_TOKEN,
        renew_at=1e10,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        refresh_token=REFRESH_TOKEN,
    )
    token = Secrets(access_token=STORED_TOKEN)

    def store(name: str, secrets: Secrets) -> tuple[Path, dict[str, str | None]]:
        folder = stage.stores / name
        url, account_id = stage.sandbox.id_url, str(stage.sandbox.account_id)
        kind = "oauth2" if secrets.refresh_token else "token"
        account = account_of(url, name="harvest", account_id=account_id, kind=kind)
        AccountStore(folder, "file").save(account, secrets)
        return folder, {**NOTHING, "HARVEST_TOKEN_STORE": str(folder)}

    _, environment = store("oauth", oauth)
    refused = AnswerWith(path="/oauth2/token", times=None, status=400, body=echo(REFRESH_TOKEN))
    yield Failure("stored application that is unknown", "does not know the appl", environment)
    yield Failure("stored token that is refused", "the refresh token of the stored account",
                  environment, (refused,))  # fmt: skip
    yield Failure("list with a stored account", "", environment, command=("accounts", "--json"))
    yield Failure("test of a stored account", "harvest: ", environment, (refused,),
                  command=("accounts", "test"))  # fmt: skip
    _, environment = store("token", token)
    repeat = AnswerWith(path="/users/me", times=None, status=422, body=echo(STORED_TOKEN))
    yield Failure("stored token that is wrong", "of the stored account harvest", environment)
    yield Failure("stored token that is repeated", "does not accept the request", environment,
                  (repeat,))  # fmt: skip
    for name, told, spoil in (
        ("half a secret", "is damaged", lambda f: _halve(f / "harvest.secret")),
        ("half an account", "is damaged", lambda f: _misplace(f / "harvest.json")),
        ("a secret open to others", "is open to other users",
         lambda f: (f / "harvest.secret").chmod(0o644)),
        ("a store open to others", "is open to other users", lambda f: f.chmod(0o755)),
    ):  # fmt: skip
        folder, environment = store(name, oauth)
        spoil(folder)
        yield Failure(name, told, environment)
        yield Failure(f"list with {name}", told, environment, command=("accounts",))
    keyring = {**NOTHING, "HARVEST_TOKEN_STORE": "keyring"}
    connect = ("connect", "--token", "-")
    typed = stage.sandbox.tokens["administrator"]
    yield Failure("keyring that tells", "keyring cannot be used",
                  {**keyring, "TEST_KEYRING_FAILS": "1"}, command=connect, typed=typed)  # fmt: skip
    yield Failure("account for the keyring", "", keyring, command=connect, typed=typed)
    yield Failure("run with the keyring", "", keyring)
    yield Failure("token of the keyring is refused", "of the stored account harvest", keyring,
                  (AnswerWith(path="/", times=None, status=401, body=echo(typed)),))  # fmt: skip
    yield Failure(
        "removal from the keyring", "", keyring, command=("accounts", "remove", "harvest")
    )


def _halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _misplace(path: Path) -> None:
    """Somebody has put a token where none belongs."""
    path.write_text(path.read_text().replace("oauth2", STORED_TOKEN.split(CHANGED)[0]))
