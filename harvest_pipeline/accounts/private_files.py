"""Files that nobody but their owner can read, replaced whole or not at all.

Belongs here: modes and owners, symlinks, durability. Works on descriptors that stay open between
the look and the use, so that nothing can be put in the place of what was looked at.
Does not belong here: what is in the files (store.py, vaults.py), and locks: of the processes that
write the same file one must write at a time.
"""

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from harvest_pipeline import private
from harvest_pipeline.harvest.errors import StoreUnusable

_FILE_MODE = 0o600
_FOLDER_MODE = 0o700
#: What the package writes is below 4 KiB; a larger file is not one of its own.
_LARGEST_BYTES = 64 * 2**10
#: Without O_NONBLOCK a named pipe would make the opening wait for ever.
_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def make_folder(folder: Path) -> None:
    """Make `folder`, private, if it is missing. Raises StoreUnusable, also if it is not private."""
    with _opened(folder, make=True):
        pass


def names(folder: Path) -> list[str]:
    """The names in `folder`, none if it does not exist. Raises StoreUnusable."""
    with _opened(folder) as descriptor:
        if descriptor is None:
            return []
        return os.listdir(descriptor)  # noqa: PTH208 - of the folder that was looked at


def read(path: Path) -> bytes | None:
    """What is in a file, None if it does not exist. Raises StoreUnusable."""
    with _opened(path.parent) as folder, _explained(path):
        if folder is None:
            return None
        try:
            descriptor = os.open(path.name, os.O_RDONLY | _SAFELY, dir_fd=folder)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            _check(descriptor, path, _FILE_MODE)
            content = file.read(_LARGEST_BYTES + 1)
    if len(content) > _LARGEST_BYTES:
        raise StoreUnusable(
            f"{path} is larger than any file of harvest-pipeline; move it away and run the "
            "command again."
        )
    return content


def write(path: Path, content: bytes) -> None:
    """Put `content` into a file; on disk when this returns, the folder made if it is missing.

    A process that dies meanwhile leaves the old content. Raises StoreUnusable.
    """
    unfinished = _unfinished(path)
    with _opened(path.parent, make=True) as folder, _explained(path):
        _unlink(unfinished, folder)  # of a process that died
        descriptor = os.open(
            unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, _FILE_MODE, dir_fd=folder
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            os.replace(unfinished, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            _unlink(unfinished, folder)
            raise
        _sync(folder)


def remove(path: Path) -> bool:
    """Remove a file; whether there was one. Raises StoreUnusable."""
    with _opened(path.parent) as folder, _explained(path):
        if folder is None:
            return False
        _unlink(_unfinished(path), folder)
        removed = _unlink(path.name, folder)
        _sync(folder)
        return removed


def _unfinished(path: Path) -> str:
    return f".{path.name}.unfinished"


@contextmanager
def _opened(folder: Path, *, make: bool = False) -> Generator[int | None]:
    """A descriptor of `folder`, which is private; None if it does not exist."""
    with _explained(folder):
        if make and not os.path.lexists(folder):
            private.make_folder(folder)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _SAFELY)
        except FileNotFoundError:
            descriptor = None
    if descriptor is None:
        yield None
        return
    try:
        _check(descriptor, folder, _FOLDER_MODE)
        yield descriptor
    finally:
        os.close(descriptor)


def _check(descriptor: int, path: Path, mode: int) -> None:
    """Raise StoreUnusable unless the opened file or folder is ours and closed to others."""
    status = os.fstat(descriptor)
    if mode == _FILE_MODE and not stat.S_ISREG(status.st_mode):
        raise StoreUnusable(f"{path} is no file, so no account is read from it; remove it.")
    if status.st_uid != os.geteuid():
        raise StoreUnusable(
            f"{path} belongs to another user (uid {status.st_uid}), so no token is kept there; "
            "run as that user, or name another folder in HARVEST_TOKEN_STORE."
        )
    if status.st_mode & 0o077:
        raise StoreUnusable(
            f"{path} is open to other users of this machine (mode "
            f"{stat.S_IMODE(status.st_mode):04o}), so no token is kept there; run "
            f"`chmod {mode:o} {path}`, and connect again if somebody may have read a token."
        )


def _unlink(name: str, folder: int | None) -> bool:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def _sync(folder: int | None) -> None:
    if folder is not None:
        os.fsync(folder)


@contextmanager
def _explained(path: Path) -> Generator[None]:
    """Turn what the system refuses into a sentence that names `path`."""
    try:
        yield
    except OSError as error:
        if path.is_symlink():
            raise StoreUnusable(
                f"{path} is a symbolic link, and tokens are kept in plain files and folders only; "
                "remove the link, or name its target in HARVEST_TOKEN_STORE."
            ) from None
        raise StoreUnusable(
            f"{path}, where accounts are stored, cannot be used: {error.strerror or error}. "
            "Correct that, or name another folder in HARVEST_TOKEN_STORE."
        ) from error
