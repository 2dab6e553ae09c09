"""The token store: connected accounts, and the renewed tokens of variables.

It is one private file of this machine, or a table of the database that machines share. An account
of the file is in the system keyring instead if that is usable; the file then records that, so that
a session without a keyring (cron) knows it.
"""

import os
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeVar

import keyring
import msgspec
from platformdirs import user_config_path

from harvest_pipeline.harvest.errors import StoreUnusable
from harvest_pipeline.harvest.oauth import TokenSet
from harvest_pipeline.harvest.vaults import FileVault, KeptIn, SharedVault, Vault
from harvest_pipeline.safety.text import one_line, shown
from harvest_pipeline.settings import SettingsError
from harvest_pipeline.settings.values import shared_state

T = TypeVar("T")

#: The service name of the entries in the keyring.
_SERVICE = "harvest_pipeline"
#: The minimum that `keyring` itself recommends; lower ones are plain text files, or no backend.
_LEAST_PRIORITY = 1.0
_IN_KEYRING = b'"keyring"'
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAccount:
    """An account that was connected.

    `instance` is the acme of acme.harvestapp.com, None if it is shown to administrators only.
    `connected_at` is in UTC.
    """

    name: str
    api_url: str
    id_url: str
    account_id: str
    account_name: str
    instance: str | None
    user_name: str
    role: Literal["administrator", "manager", "member"]
    connected_at: datetime
    tokens: TokenSet

    @property
    def kind(self) -> Literal["oauth2", "token"]:
        """The kind of credential: OAuth 2 tokens, or a personal access token."""
        return "oauth2" if self.tokens.refresh_token else "token"


def is_name(name: str) -> bool:
    """Whether an account can be stored under that name."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> str:
    """`name` if it is valid for an account, else StoreUnusable.

    It becomes the DuckDB schema and the first part of asset keys.
    """
    if is_name(name):
        return name
    raise StoreUnusable(
        f"{shown(name)} cannot be the name of an account: use up to 40 small letters, "
        "digits and underscores, with a letter first, such as acme."
    )


class TokenStore:
    """Stores accounts by name, and tokens by the digest of a variable's refresh token.

    A key is one or the other (`is_name`). Every method may raise StoreUnusable, with one sentence,
    and StateUnusable where machines share the store.
    """

    def __init__(self, vault: Vault, place: Literal["keyring", "file"] | None = None) -> None:
        """The store in `vault`; `place` is where new entries of a file go. None: an account goes
        into the keyring if that is usable, everything else into the file: a keyring works in a
        person's session but not in the next cron job, which would then use a refresh token that is
        spent."""
        self.vault = vault
        self._place: KeptIn | None = place

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "TokenStore":
        """The store in HARVEST_STATE, else the one that HARVEST_TOKEN_STORE names: the absolute
        path of a folder, `keyring`, or nothing for the user's configuration folder.

        Raises SettingsError for a HARVEST_STATE that is no address.
        """
        if address := environment.get("HARVEST_STATE", "").strip():
            try:
                state = shared_state(address)
            except ValueError as error:
                raise SettingsError(f"HARVEST_STATE: {error}.") from None
            return cls(SharedVault(state, environment.get("HARVEST_STATE_KEY", "")))
        named = environment.get("HARVEST_TOKEN_STORE", "").strip()
        if not named:
            return cls(FileVault(_users_folder()))
        if named == "keyring":
            _with_keyring(lambda: None)
            return cls(FileVault(_users_folder()), "keyring")
        folder = Path(os.path.expanduser(named))  # noqa: PTH111 - unchanged if no such user
        if not folder.is_absolute():
            raise StoreUnusable(
                "HARVEST_TOKEN_STORE must be the whole path of a folder, or `keyring`; correct or "
                "remove it."
            )
        return cls(FileVault(folder), "file")

    @property
    def place(self) -> KeptIn:
        """Where a new account goes."""
        if self._place or self.vault.place == "shared":
            return self._place or self.vault.place
        try:
            _with_keyring(lambda: keyring.get_password(_SERVICE, "is there a keyring?"))
        except StoreUnusable:
            return "file"
        return "keyring"

    def names(self) -> list[str]:
        """The names of the connected accounts. Creates no folder and no file."""
        return sorted(filter(is_name, self.vault.keys()))

    def kept_in(self, key: str) -> KeptIn | None:
        """Where an entry is."""
        kept = self.vault.kept(key)
        if kept is None:
            return None
        return "keyring" if kept == _IN_KEYRING else self.vault.place

    def where(self, key: str) -> str:
        """The same for people, as half a sentence."""
        if self.kept_in(key) == "keyring":
            return "the keyring of this system"
        return f"{self.vault}, {self.vault.protection}"

    @property
    def reach(self) -> str:
        """The machines that know the store, for people."""
        return "all machines" if self.vault.place == "shared" else "this machine"

    def find(self, name: str) -> StoredAccount | None:
        """The account of that name."""
        return self._get(check_name(name), StoredAccount)

    def tokens(self, key: str) -> TokenSet | None:
        """The tokens of an account, or the renewed ones of a variable's refresh token."""
        if not is_name(key):
            return self._get(key, TokenSet)
        account = self.find(key)
        return account.tokens if account else None

    def keep(self, key: str, tokens: TokenSet) -> None:
        """Replace those tokens; on disk when this returns. The caller holds the lock of `key`."""
        if is_name(key):
            if account := self.find(key):
                self._put(key, replace(account, tokens=tokens), self.kept_in(key))
        else:
            self._put(key, tokens, self.kept_in(key) or self._place)

    def save(self, account: StoredAccount) -> None:
        """Store an account, replacing the one of that name. Takes its lock."""
        with self.lock(account.name):
            former, place = self.kept_in(account.name), self.place
            self._put(account.name, account, place)
            if former == "keyring" != place:
                with suppress(StoreUnusable):  # a keyring that no longer exists
                    _from_keyring(account.name)

    def remove(self, key: str) -> bool:
        """Remove an entry, even a damaged one; returns whether there was one. Takes its lock."""
        if self.kept_in(key) is None:
            return False
        with self.lock(key):
            if self.kept_in(key) == "keyring":
                _from_keyring(key)
            self.vault.change(key, None)
        return True

    def lock(self, key: str) -> AbstractContextManager[None]:
        """Keep every other thread and process from changing that entry; not reentrant.

        Raises StoreBusy if the lock is not free within a minute.
        """
        return self.vault.lock(key)

    def _get(self, key: str, type_: type[T]) -> T | None:
        kept = self.vault.kept(key)
        if kept is None:
            return None
        if kept == _IN_KEYRING:
            text = _with_keyring(lambda: keyring.get_password(_SERVICE, key))
            content = (text or "").encode()
        else:
            content = self.vault.opened(key, kept)
        try:
            return msgspec.json.decode(content, type=type_)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            mend = (
                f"run `harvest-pipeline connect --name {key}` again"
                if is_name(key)
                else "set a new refresh token, or run `harvest-pipeline connect`"
            )
            what = f"The stored account {key}" if is_name(key) else f"{key} in {self.vault}"
            state = "damaged" if content else "no longer in the keyring"
            raise StoreUnusable(f"{what} is {state}; {mend}.") from None

    def _put(self, key: str, value: object, place: KeptIn | None) -> None:
        content = msgspec.json.encode(value)
        if place == "keyring":
            # First, in case the process dies in between: what the file says holds until it changes.
            text = content.decode()
            _with_keyring(lambda: keyring.set_password(_SERVICE, key, text), secret=True)
            if _with_keyring(lambda: keyring.get_password(_SERVICE, key)) != text:
                raise StoreUnusable(
                    f"The system keyring did not keep the secret of {key}; set "
                    "HARVEST_TOKEN_STORE to the path of a folder to keep it in a file."
                )
            content = _IN_KEYRING
        self.vault.change(key, content)


def _with_keyring(use: Callable[[], T], *, secret: bool = False) -> T:
    """The result of `use`. Backends raise any exception, for example D-Bus errors, and some that
    call a program repeat its input: with `secret`, that text is left out."""
    try:
        backend = keyring.get_keyring()
        if backend.priority >= _LEAST_PRIORITY:
            return use()
    except Exception as error:
        why = type(error).__name__ if secret else one_line(str(error)) or type(error).__name__
        raise StoreUnusable(
            f"The system keyring cannot be used ({why}); unlock it, or set HARVEST_TOKEN_STORE to "
            "the path of a folder and connect again."
        ) from None
    raise StoreUnusable(
        f"This session has no system keyring (there is only {backend.name!r}); set "
        "HARVEST_TOKEN_STORE to the path of a folder to keep accounts in a file."
    )


def _from_keyring(key: str) -> None:
    """Remove an entry of the keyring."""
    if _with_keyring(lambda: keyring.get_password(_SERVICE, key)) is not None:
        _with_keyring(lambda: keyring.delete_password(_SERVICE, key))


def _users_folder() -> Path:
    try:
        folder = user_config_path("harvest_pipeline")
    except RuntimeError:
        folder = Path("~")
    if not folder.is_absolute():
        raise StoreUnusable(
            "This user has no home folder to store accounts in; set HARVEST_TOKEN_STORE to the "
            "path of a folder."
        )
    return folder
