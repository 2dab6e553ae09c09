"""Where the secrets of accounts are kept: in the system's keyring, or in private files.

Belongs here: the two kinds of vault, and whether the keyring is one to rely on.
Does not belong here: what the secrets are (stored.py), and which vault is chosen (store.py).
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol, TypeVar

import keyring
from keyring.backend import KeyringBackend

from harvest_pipeline.accounts import private_files
from harvest_pipeline.harvest.errors import StoreUnusable, one_line
from harvest_pipeline.harvest.secrecy import tells

T = TypeVar("T")

#: Under which the entries stand in the keyring.
_SERVICE = "harvest_pipeline"
#: What `keyring` itself recommends; below are stand-ins (plain text files, none at all).
_LEAST_PRIORITY = 1.0
#: A person may have to type a password in first.
_ANSWER_SECONDS = 60.0


class Vault(Protocol):
    """Keeps secrets by the name of the account. Every method may raise StoreUnusable."""

    def get(self, name: str) -> bytes | None:
        """What is kept for `name`, None if nothing is."""
        ...

    def set(self, name: str, content: bytes) -> None:
        """Keep `content`, in place of what was kept; it is kept for good when this returns."""
        ...

    def delete(self, name: str) -> None:
        """Keep nothing for `name` any more."""
        ...


class FileVault:
    """One private file per account: `acme.secret` in the folder of the store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> bytes | None:
        """The content of the file."""
        return private_files.read(self._path(name))

    def set(self, name: str, content: bytes) -> None:
        """Replace the file."""
        private_files.write(self._path(name), content)

    def delete(self, name: str) -> None:
        """Remove the file."""
        private_files.remove(self._path(name))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.secret"


class KeyringVault:
    """Entries of the service harvest_pipeline in the system's keyring."""

    @staticmethod
    def check_usable() -> None:
        """Raises StoreUnusable if this session has no keyring to rely on."""
        _explained(_backend)

    def get(self, name: str) -> bytes | None:
        """The entry of that name."""
        self.check_usable()
        content = _explained(lambda: keyring.get_password(_SERVICE, name))
        return None if content is None else content.encode()

    def set(self, name: str, content: bytes) -> None:
        """Replace the entry, and look whether the keyring has really taken it."""
        self.check_usable()
        text = content.decode()
        _explained(lambda: keyring.set_password(_SERVICE, name, text), text)
        if self.get(name) != content:
            raise StoreUnusable(
                f"The system keyring did not keep the secret of {name}; set HARVEST_TOKEN_STORE to "
                "the path of a folder to keep it in a file."
            )

    def delete(self, name: str) -> None:
        """Remove the entry."""
        if self.get(name) is not None:
            _explained(lambda: keyring.delete_password(_SERVICE, name))


def keyring_is_usable() -> bool:
    """Whether this session has a keyring that answers; one that is locked may ask to be unlocked.

    In a session without a screen a keyring may well be there, and never to be unlocked.
    """
    try:
        KeyringVault().get("is_there_a_keyring")
    except StoreUnusable:
        return False
    return True


def _backend() -> KeyringBackend:
    """The keyring of this session. Raises StoreUnusable if it is only a stand-in for one."""
    backend = keyring.get_keyring()
    if backend.priority < _LEAST_PRIORITY:
        raise StoreUnusable(
            f"This session has no system keyring (there is only {backend.name!r}); set "
            "HARVEST_TOKEN_STORE to the path of a folder to keep accounts in files."
        )
    return backend


def _explained(use: Callable[[], T], secret: str | None = None) -> T:
    """The outcome of `use`. Backends raise what they like, D-Bus errors for example, and wait for
    ever for a person who is not there or for a service that hangs. `secret` is in no message."""
    outcome: Future[T] = Future()

    def work() -> None:
        try:
            outcome.set_result(use())
        except Exception as error:
            outcome.set_exception(error)

    threading.Thread(target=work, name="keyring", daemon=True).start()
    try:
        return outcome.result(_ANSWER_SECONDS)
    except StoreUnusable:
        raise
    except TimeoutError:
        why = f"it has not answered for {_ANSWER_SECONDS:g} seconds"
    except Exception as error:
        # Backends that call a program repeat what they gave it.
        said = "" if secret and tells(str(error), secret) else one_line(str(error))
        why = said or type(error).__name__
    raise StoreUnusable(
        f"The system keyring cannot be used ({why}); unlock it, or set HARVEST_TOKEN_STORE to the "
        "path of a folder and connect again."
    )
