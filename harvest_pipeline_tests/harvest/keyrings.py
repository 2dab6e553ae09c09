"""Keyrings for tests: real backends of the library `keyring`, one that keeps and some that fail."""

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked


class Good(KeyringBackend):
    """Keeps passwords in the file that TEST_KEYRING names."""

    priority = 5  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self._path = Path(os.environ["TEST_KEYRING"])

    def _held(self) -> dict[str, str]:
        return json.loads(self._path.read_text()) if self._path.exists() else {}

    def get_password(self, service: str, username: str) -> str | None:
        return self._held().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._path.write_text(json.dumps({**self._held(), f"{service} {username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        held = self._held()
        del held[f"{service} {username}"]
        self._path.write_text(json.dumps(held))


class Locked(Good):
    """Asks for a password that nobody types in."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("Failed to unlock\r\nthe collection!")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise KeyringLocked("Failed to unlock\r\nthe collection!")


class Telling(Good):
    """Repeats what it was given when it fails."""

    def set_password(self, service: str, username: str, password: str) -> None:
        raise ZeroDivisionError(f"cannot run: store {password}")


class Forgetful(Good):
    """Says that it keeps a password, and does not."""

    def set_password(self, service: str, username: str, password: str) -> None:
        pass


class PlainText(Good):
    """Is not recommended, by the rules of `keyring`."""

    priority = 0.5  # type: ignore[assignment]
