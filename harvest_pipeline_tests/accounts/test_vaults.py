"""Secrets in the system's keyring, through the real library `keyring`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Stores an account in the store of the environment, reads it, and removes it if told so.
PROGRAM = """
import os, sys
from harvest_pipeline.accounts import vaults
from harvest_pipeline.accounts.store import AccountStore
from harvest_pipeline.accounts.stored import Secrets
from harvest_pipeline.harvest.errors import StoreUnusable
from harvest_pipeline_tests.accounts.conftest import account_of
if "impatient" in sys.argv:
    vaults._ANSWER_SECONDS = 0.3
try:
    store = AccountStore.from_environment(os.environ)
    print("kind", store.vault_kind)
    account = store.find("acme") or account_of(vault=store.vault_kind)
    if "save" in sys.argv:
        store.save(account, Secrets(access_token="canary-4711"))
    if "read" in sys.argv:
        print(store.secrets(account).access_token == "canary-4711")
    if "remove" in sys.argv:
        print(store.remove("acme"), store.accounts())
except StoreUnusable as error:
    print("error", error)
"""


class Session:
    """A person's session: a keyring, a home, and nothing that other tests have left behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keyring = folder / "keyring.json"

    def run(self, backend: str, *words: str, token_store: str = "") -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "PYTHON_KEYRING_BACKEND": backend,
                "TEST_KEYRING": str(self.keyring),
                "HARVEST_TOKEN_STORE": token_store,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "canary-4711" not in done.stdout + done.stderr
        return done.stdout.splitlines()

    def files_with_the_secret(self) -> list[str]:
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(path.name for path in paths if "canary-4711" in path.read_text())


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


def backend(name: str) -> str:
    return f"harvest_pipeline_tests.accounts.keyrings.{name}"


def test_a_usable_keyring_keeps_the_secret_and_nothing_else_does(session: Session) -> None:
    assert session.run(backend("Good"), "save") == ["kind keyring"]
    assert session.files_with_the_secret() == ["keyring.json"]
    assert list(json.loads(session.keyring.read_text())) == ["harvest_pipeline acme"]
    assert session.run(backend("Good"), "read", "remove") == ["kind keyring", "True", "True []"]
    assert json.loads(session.keyring.read_text()) == {}


@pytest.mark.parametrize(
    "stand_in",
    [
        "keyring.backends.fail.Keyring",
        "keyring.backends.null.Keyring",
        backend("PlainText"),
        backend("Locked"),
        backend("Broken"),
        "no.such.Backend",
    ],
)
def test_without_a_usable_keyring_a_private_file_keeps_the_secret(
    stand_in: str, session: Session
) -> None:
    assert session.run(stand_in, "save", "read", "remove") == ["kind file", "True", "True []"]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ("keyring.backends.fail.Keyring", "no system keyring (there is only 'fail Keyring')"),
        ("keyring.backends.null.Keyring", "no system keyring (there is only 'null Keyring')"),
        (backend("PlainText"), "no system keyring (there is only 'keyrings PlainText')"),
        (backend("Locked"), "cannot be used (Failed to unlock the collection!); unlock it, or"),
        (backend("Broken"), "cannot be used (org.freedesktop.DBus.Error NoReply);"),
        (backend("Forgetful"), "did not keep the secret of acme; set HARVEST_TOKEN_STORE"),
        ("no.such.Backend", "cannot be used (No module named 'no');"),
    ],
)
def test_a_keyring_that_was_asked_for_by_name_and_fails_is_one_sentence(
    chosen: str, said: str, session: Session
) -> None:
    *_, line = session.run(chosen, "save", "read", token_store="keyring")
    assert line.startswith("error ")
    assert said in line
    assert session.files_with_the_secret() == []


def test_a_folder_that_was_asked_for_by_name_wins_over_the_keyring(session: Session) -> None:
    folder = str(session.folder / "tokens")
    assert session.run(backend("Good"), "save", "read", token_store=folder) == [
        "kind file",
        "True",
    ]
    assert session.files_with_the_secret() == ["acme.secret"]


def test_a_keyring_that_never_answers_does_not_hold_anybody_up(session: Session) -> None:
    assert session.run(backend("Hanging"), "save", "remove", "impatient") == [
        "kind file",
        "True []",
    ]
    session.run(backend("Good"), "save", token_store="keyring")
    *_, line = session.run(backend("Hanging"), "read", "impatient", token_store="keyring")
    assert "error The system keyring cannot be used (it has not answered for 0.3 sec" in line


def test_a_keyring_that_is_locked_later_is_one_sentence(session: Session) -> None:
    session.run(backend("Good"), "save")
    for words in (("read",), ("remove",)):
        *_, line = session.run(backend("Locked"), *words)
        assert "error The system keyring cannot be used (Failed to unlock" in line
    assert session.run(backend("Good"), "read") == ["kind keyring", "True"]
