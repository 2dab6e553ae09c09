"""The store on this machine of connected accounts, and of what refresh tokens of the
environment were renewed to: a reader sees the old or the new one, whenever a process dies."""

import os
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec
from filelock import FileLock, Timeout
from platformdirs import user_config_path

from harvest_pipeline.accounts import private_files
from harvest_pipeline.accounts.stored import Secrets, StoredAccount, VaultKind, check_name, is_name
from harvest_pipeline.accounts.vaults import FileVault, KeyringVault, Vault, keyring_is_usable
from harvest_pipeline.harvest.errors import StoreBusy, StoreUnusable
from harvest_pipeline.text import shown

T = TypeVar("T")

#: As long as the exchange may last in which another process fetches a token.
_LOCK_SECONDS = 60.0
_SUFFIX = ".json"


class _Entry(msgspec.Struct, frozen=True):
    """What a vault keeps: the secrets, and of which sign-in they are.

    An account is kept in two places, which cannot change in the same instant. This tells a reader
    that it holds the one of the old sign-in and the other of the new one, of another company maybe.
    """

    connected_at: datetime
    secrets: Secrets


class AccountStore:
    """The connected accounts. Every method may raise StoreUnusable, with one sentence."""

    def __init__(self, folder: Path, vault: VaultKind | None = None) -> None:
        """The store in `folder`. `vault` None: new secrets go to the keyring if it is usable."""
        self.folder = folder
        self._vault_kind: VaultKind | None = vault

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "AccountStore":
        """The store that HARVEST_TOKEN_STORE names.

        Empty: the folder of the user's configuration, and the system keyring for secrets if it is
        usable, else files. `keyring`: the keyring or StoreUnusable. The path of a folder: files
        there.
        """
        named = environment.get("HARVEST_TOKEN_STORE", "").strip()
        if named in ("", "keyring"):
            if not named:
                return cls(_users_folder())
            KeyringVault.check_usable()
            return cls(_users_folder(), "keyring")
        folder = Path(os.path.expanduser(named))  # noqa: PTH111 - as it is if there is no such user
        if not folder.is_absolute():
            raise StoreUnusable(
                f"HARVEST_TOKEN_STORE is {shown(named)}; it must be the whole path of a folder, or "
                "`keyring`, or be removed."
            )
        return cls(folder, "file")

    @property
    def vault_kind(self) -> VaultKind:
        """Where the secrets of new accounts go."""
        if self._vault_kind is None:
            return "keyring" if keyring_is_usable() else "file"
        return self._vault_kind

    def accounts(self) -> list[StoredAccount]:
        """All accounts by name. Reading makes no folder and no file."""
        files = [Path(name) for name in private_files.names(self.folder)]
        names = [file.stem for file in files if file.suffix == _SUFFIX and is_name(file.stem)]
        found = (self.find(name) for name in sorted(names))
        return [account for account in found if account]

    def find(self, name: str) -> StoredAccount | None:
        """The account of that name."""
        path = self._path(name)
        content = private_files.read(path)
        if content is None:
            return None
        account = _decoded(content, StoredAccount)
        if account is None or account.name != name:
            raise StoreUnusable(
                f"{path} is damaged; run `harvest-pipeline accounts remove {name}`, then "
                f"`harvest-pipeline connect --name {name}`."
            )
        return account

    def secrets(self, account: StoredAccount) -> Secrets:
        """The secrets of `account`, of the very sign-in that `account.connected_at` names."""
        content = self._vault(account.vault).get(account.name)
        entry = None if content is None else _decoded(content, _Entry)
        if entry is None:
            raise StoreUnusable(
                f"The secret of the stored account {account.name} is "
                f"{'missing' if content is None else 'damaged'}; run `harvest-pipeline connect "
                f"--name {account.name}` again."
            )
        if entry.connected_at != account.connected_at:
            raise StoreUnusable(
                f"The stored account {account.name} has just been connected anew, so start again; "
                f"if this comes back, run `harvest-pipeline connect --name {account.name}` again."
            )
        return entry.secrets

    def save(self, account: StoredAccount, secrets: Secrets) -> None:
        """Store an account, in place of the one of that name; takes the lock itself."""
        with self.lock(account.name):
            replaced = None
            with suppress(StoreUnusable):  # a damaged one is replaced as well
                replaced = self.find(account.name)
            self.replace_secrets(account, secrets)
            self._write(account)
            if replaced and replaced.vault != account.vault:
                with suppress(StoreUnusable):  # a keyring that is no longer there
                    self._vault(replaced.vault).delete(account.name)

    def update(self, account: StoredAccount) -> None:
        """Store what may be seen of `account` (a new role, say); its secrets stay as they are.

        Does nothing if the account has been removed or connected anew meanwhile. Takes the lock
        itself.
        """
        with self.lock(account.name):
            current = self.find(account.name)
            if current and current.connected_at == account.connected_at:
                self._write(account)

    def replace_secrets(self, account: StoredAccount, secrets: Secrets) -> None:
        """Store new secrets of `account`. The caller holds the lock (`lock`)."""
        entry = _Entry(account.connected_at, secrets)
        self._vault(account.vault).set(account.name, msgspec.json.encode(entry))

    def remove(self, name: str) -> bool:
        """Remove an account and its secrets; whether there was one. Takes the lock itself."""
        path = self._path(name)
        if private_files.read(path) is None:
            return False
        with self.lock(name):
            for kind in self._vaults_of(name):
                self._vault(kind).delete(name)
            return private_files.remove(path)

    def renewed(self, digest: str) -> Secrets | None:
        """What the refresh token of the environment with that digest was renewed to."""
        content = self._renewed_vault.get(_renewed_name(digest))
        if content is None:
            return None
        secrets = _decoded(content, Secrets)
        if secrets is None:
            raise StoreUnusable(
                f"{_renewed_name(digest)} in {self.folder}, which goes on from a refresh token of "
                "the environment, is damaged; set a new token, or run `harvest-pipeline connect`."
            )
        return secrets

    def keep_renewed(self, digest: str, secrets: Secrets) -> None:
        """Store what it was renewed to. The caller holds the lock (`lock_renewed`)."""
        self._renewed_vault.set(_renewed_name(digest), msgspec.json.encode(secrets))

    def remove_renewed(self, digest: str) -> bool:
        """Remove what it was renewed to; whether there was anything. Takes the lock itself."""
        if self._renewed_vault.get(_renewed_name(digest)) is None:
            return False
        with self.lock_renewed(digest):
            self._renewed_vault.delete(_renewed_name(digest))
        return True

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Keep every other thread and process from changing that account; not reentrant.

        Raises StoreBusy when that does not succeed within a minute.
        """
        return self._locked(check_name(name), f"the stored account {name}")

    def lock_renewed(self, digest: str) -> AbstractContextManager[None]:
        """The same for what a refresh token of the environment was renewed to."""
        return self._locked(_renewed_name(digest), "a refresh token of the environment")

    @property
    def _renewed_vault(self) -> Vault:
        # In files where nothing else was chosen: a keyring answers in a person's session and not in
        # the next job of cron, which would use the old token.
        return self._vault(self._vault_kind or "file")

    @contextmanager
    def _locked(self, stem: str, what: str) -> Generator[None]:
        private_files.make_folder(self.folder)
        path = self.folder / f"{stem}.lock"
        lock = FileLock(path, timeout=_LOCK_SECONDS, mode=0o600)
        try:
            lock.acquire()
        except Timeout:
            raise StoreBusy(
                f"Another process has held {what} for {_LOCK_SECONDS:.0f} seconds, fetching a "
                "token perhaps; try again later."
            ) from None
        except OSError as error:
            raise StoreUnusable(f"{path} cannot be locked: {error.strerror or error}.") from error
        try:
            yield
        finally:
            lock.release()

    def _path(self, name: str) -> Path:
        return self.folder / f"{check_name(name)}{_SUFFIX}"

    def _write(self, account: StoredAccount) -> None:
        content = msgspec.json.format(msgspec.json.encode(account))
        private_files.write(self._path(account.name), content)

    def _vault(self, kind: VaultKind) -> Vault:
        return KeyringVault() if kind == "keyring" else FileVault(self.folder)

    def _vaults_of(self, name: str) -> list[VaultKind]:
        """Where the secrets of an account may be: of a damaged one it is not known."""
        with suppress(StoreUnusable):
            account = self.find(name)
            return [account.vault] if account else []
        return ["file", "keyring"] if keyring_is_usable() else ["file"]


def _renewed_name(digest: str) -> str:
    """Under which name it is kept, which no account can have."""
    return f"environment-{digest}"


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


def _decoded(content: bytes, type_: type[T]) -> T | None:
    try:
        return msgspec.json.decode(content, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
