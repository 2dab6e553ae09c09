"""Where the token store keeps its entries: a private file of this machine, or the database that
machines share, encrypted."""

import os
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec
from filelock import FileLock, Timeout

from harvest_pipeline.harvest.errors import StoreBusy, StoreKeyWrong, StoreUnusable
from harvest_pipeline.harvest.private import check_above, check_private
from harvest_pipeline.harvest.shared import explained
from harvest_pipeline.safety.files import disk_full, make_folder
from harvest_pipeline.state import SharedState

if TYPE_CHECKING:
    from cryptography.fernet import Fernet, MultiFernet

KeptIn = Literal["keyring", "file", "shared"]

#: As long as the exchange may take in which another process renews a token.
_LOCK_SECONDS = 60.0
_KEPT = "accounts are stored"
_MAKE = "`openssl rand -base64 32` makes one"


class Vault(Protocol):
    """Keeps entries by their key; `str` of it says where, and `protection` how they are protected.

    All methods raise StoreUnusable and StateUnusable.
    """

    place: KeptIn
    protection: str

    def keys(self) -> list[str]:
        """The keys of all entries. Makes nothing."""
        ...

    def kept(self, key: str) -> bytes | None:
        """An entry in the form in which it is kept, None if there is none. Makes nothing."""
        ...

    def opened(self, key: str, kept: bytes) -> bytes:
        """The content of an entry."""
        ...

    def change(self, key: str, content: bytes | None) -> None:
        """Replace the content of an entry, or remove it; done for good when this returns."""
        ...

    def lock(self, key: str) -> AbstractContextManager[None]:
        """Keep all other threads and processes from changing an entry; not reentrant.

        Raises StoreBusy if the lock is not free within a minute.
        """
        ...


class FileVault:
    """A private JSON file, replaced atomically, with file locks beside it."""

    place: KeptIn = "file"
    protection = "unencrypted, for you alone to read"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "accounts.json"

    def __str__(self) -> str:
        return str(self.folder)

    def keys(self) -> list[str]:
        """See `Vault`."""
        return list(self._read())

    def kept(self, key: str) -> bytes | None:
        """See `Vault`."""
        entry = self._read().get(key)
        return None if entry is None else bytes(entry)

    def opened(self, key: str, kept: bytes) -> bytes:
        """See `Vault`."""
        return kept

    def change(self, key: str, content: bytes | None) -> None:
        """See `Vault`. If the process dies meanwhile, the old file remains."""
        with self.lock(self._path.name):
            entries = self._read()
            entries.pop(key, None)
            if content is not None:
                entries[key] = msgspec.Raw(content)
            unfinished = self._path.with_suffix(".unfinished")
            with _explained(unfinished):
                descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(msgspec.json.format(msgspec.json.encode(entries)))
                    file.flush()
                    os.fsync(descriptor)
                unfinished.replace(self._path)
                folder = os.open(self.folder, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)

    @contextmanager
    def lock(self, key: str) -> Generator[None]:
        """See `Vault`."""
        path = self.folder / f"{key}.lock"
        lock = FileLock(path, timeout=_LOCK_SECONDS, mode=0o600)
        with _explained(self.folder):
            check_above(self._path)
            make_folder(self.folder)
            check_private(self.folder, 0o700)
            try:
                lock.acquire()
            except Timeout:
                raise _busy(f"{path}") from None
        try:
            yield
        finally:
            lock.release()

    def _read(self) -> dict[str, msgspec.Raw]:
        """What the file holds, by key."""
        with _explained(self._path):
            try:
                check_private(self.folder, 0o700)
                check_above(self._path)
                check_private(self._path, 0o600)
                content = self._path.read_bytes()
            except FileNotFoundError:
                return {}
        try:
            return msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise StoreUnusable(
                f"{self._path} is damaged; remove it, then connect each account again with "
                "`harvest-pipeline connect`."
            ) from None


class SharedVault:
    """A table of the database that machines share; every entry is encrypted together with its key,
    so that none can be put in the place of another one."""

    place: KeptIn = "shared"
    protection = "encrypted, for all machines that have its HARVEST_STATE_KEY"

    def __init__(self, state: SharedState, keys: str) -> None:
        """`keys` is the value of HARVEST_STATE_KEY."""
        self._state = state
        self._named = keys

    def __str__(self) -> str:
        return str(self._state)

    def keys(self) -> list[str]:
        """See `Vault`."""
        with explained(self._state, _KEPT):
            rows = self._state.transact(lambda c: c.execute("SELECT key FROM entries").fetchall())
        return [key for (key,) in rows]

    def kept(self, key: str) -> bytes | None:
        """See `Vault`."""
        _ = self._boxes  # a key that is missing is told before anybody is asked for a token
        select = "SELECT content FROM entries WHERE key = %s"
        with explained(self._state, _KEPT):
            row = self._state.transact(lambda c: c.execute(select, [key]).fetchone())
        return row[0] if row else None

    def opened(self, key: str, kept: bytes) -> bytes:
        """See `Vault`. An entry that is not encrypted by the first of several keys is now."""
        content, by_first = self._decrypted(key, kept)
        if not by_first:
            update = "UPDATE entries SET content = %s WHERE key = %s AND content = %s"
            again = self._encrypted(key, content)
            with explained(self._state, _KEPT):
                self._state.transact(lambda c: c.execute(update, [again, key, kept]))
        return content

    def change(self, key: str, content: bytes | None) -> None:
        """See `Vault`."""
        delete = "DELETE FROM entries WHERE key = %s"
        insert = (
            "INSERT INTO entries VALUES (%s, %s)"
            " ON CONFLICT (key) DO UPDATE SET content = excluded.content"
        )
        encrypted = None if content is None else self._encrypted(key, content)
        with explained(self._state, _KEPT):
            if encrypted is None:
                self._state.transact(lambda c: c.execute(delete, [key]))
            else:
                self._state.transact(lambda c: c.execute(insert, [key, encrypted]))

    @contextmanager
    def lock(self, key: str) -> Generator[None]:
        """See `Vault`. The server frees it if this process dies."""
        lock = self._state.lock(f"entry {key}")
        with explained(self._state, _KEPT):
            try:
                lock.acquire(_LOCK_SECONDS)
            except TimeoutError:
                raise _busy(f"the lock of {key} in {self._state}") from None
        try:
            yield
        finally:
            lock.release()

    def old(self) -> list[str]:
        """The keys of entries that only a later one of several keys decrypts.

        Raises StoreKeyWrong if none does.
        """
        _ = self._boxes
        kept = {key: self.kept(key) for key in sorted(self.keys())}
        return [key for key, text in kept.items() if text and not self._decrypted(key, text)[1]]

    @cached_property
    def _boxes(self) -> "tuple[Fernet, MultiFernet]":
        """What the first key encrypts with, and all keys decrypt with."""
        from cryptography.fernet import Fernet, MultiFernet

        if not (named := [key.strip() for key in self._named.split(",") if key.strip()]):
            raise StoreUnusable(
                "HARVEST_STATE_KEY is not set, and no account is kept in HARVEST_STATE without a "
                f"key that encrypts it; {_MAKE}, and all machines need the same."
            )
        try:
            boxes = [Fernet(key) for key in named]
        except ValueError:  # of base64, or of the length
            raise StoreUnusable(
                "HARVEST_STATE_KEY is no key, or one of several is none: each has 32 bytes in "
                f"base64, with a comma between two; {_MAKE}."
            ) from None
        return boxes[0], MultiFernet(boxes)

    def _encrypted(self, key: str, content: bytes) -> bytes:
        return self._boxes[0].encrypt(f"{key}\n".encode() + content)

    def _decrypted(self, key: str, kept: bytes) -> tuple[bytes, bool]:
        """The content, and whether the first key has decrypted it."""
        from cryptography.fernet import InvalidToken

        for box in self._boxes:
            try:
                name, _, content = box.decrypt(kept).partition(b"\n")
            except InvalidToken:
                continue
            if name == key.encode():
                return content, box is self._boxes[0]
        raise StoreKeyWrong(
            f"What {self._state} keeps of {key} was not encrypted with this HARVEST_STATE_KEY; set "
            f"the key that it was connected with, or run `harvest-pipeline accounts remove {key}` "
            "and connect again."
        )


def _busy(what: str) -> StoreBusy:
    return StoreBusy(
        f"Another process has held {what} for {_LOCK_SECONDS:.0f} seconds, renewing a token "
        "perhaps; try again later."
    )


@contextmanager
def _explained(path: Path) -> Generator[None]:
    """Turn an OS error into a sentence that names `path`."""
    try:
        yield
    except OSError as error:
        raise StoreUnusable(
            disk_full(error, path.parent)
            or f"{path}, where accounts are stored, cannot be used: {error.strerror or error}. "
            "Correct that, or name another folder in HARVEST_TOKEN_STORE."
        ) from error
