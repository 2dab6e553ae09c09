"""A keyring whose errors repeat what it was given, as those that call a program do."""

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend


class Telling(KeyringBackend):
    """Keeps passwords in the file TEST_KEYRING, unless TEST_KEYRING_FAILS is set."""

    priority = 5  # type: ignore[assignment]

    def _kept(self) -> dict[str, str]:
        path = Path(os.environ["TEST_KEYRING"])
        return json.loads(path.read_text()) if path.exists() else {}

    def get_password(self, service: str, username: str) -> str | None:
        return self._kept().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        if "TEST_KEYRING_FAILS" in os.environ:
            raise RuntimeError(f"Command '['pass', 'insert', '{password}']' failed")
        kept = {**self._kept(), f"{service} {username}": password}
        Path(os.environ["TEST_KEYRING"]).write_text(json.dumps(kept))

    def delete_password(self, service: str, username: str) -> None:
        kept = self._kept()
        del kept[f"{service} {username}"]
        Path(os.environ["TEST_KEYRING"]).write_text(json.dumps(kept))
