"""Files that their owner alone can read, files that are replaced as a whole, and full disks."""

import os
import re
import shutil
import stat
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_SQLITES = "disk is full"
_FULL = re.compile(f"No space left on device|File too large|Disk quota exceeded|{_SQLITES}")
#: Bytes; SQLite calls it an I/O error if not even its smallest file fits.
_LITTLE = 2**20


class DiskFull(Exception):
    """A file could not be written because a disk is full. What was loaded before is there.

    Make room in the folder that the message names, then do the same again.
    """


def disk_full(error: BaseException, *folders: Path) -> str | None:
    """The sentence for a full disk, if that is what `error` says; the file was below one of
    `folders`, or is the one that an OSError names."""
    full = [folder for folder in folders if has_no_room(folder)]
    reason = _FULL.search(str(error))
    if not reason and not (full and "disk I/O error" in str(error)):
        return None
    named = error.filename if isinstance(error, OSError) else None
    known = [Path(named).parent] if isinstance(named, str) else full or folders
    where = f"The disk of {known[0]}" if len(known) == 1 or full else "A disk"
    said = f" ({reason[0]})" if reason and reason[0] != _SQLITES else ""
    return f"{where} is full{said}; make room there, and run again."


def has_no_room(folder: Path) -> bool:
    """Whether the disk of a folder, or of where it would be made, is full."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    try:
        return shutil.disk_usage(there).free < _LITTLE
    except OSError:
        return False


_FOR_OWNER_ONLY = 0o077


def make_folder(folder: Path) -> None:
    """Create `folder`, and every missing folder above it, with mode 0700.

    Existing folders are left unchanged. Raises OSError.
    """
    # `mkdir(parents=True)` applies its mode to the last folder only.
    for each in (*reversed(folder.parents), folder):
        if each == folder or not each.exists():
            each.mkdir(mode=0o700, exist_ok=True)


def closed(path: Path, *, group_may: bool = False) -> str | None:
    """Make a file of this user that others can use readable by its owner only; returns half a
    sentence about it, None if nothing was changed.

    `group_may`: a mode that lets in a group and nobody else is left alone, since somebody has
    chosen it; one that lets in everybody is that of a umask.
    """
    try:
        status = path.stat()
        mode = stat.S_IMODE(status.st_mode)
        is_open = mode & (0o007 if group_may else _FOR_OWNER_ONLY)
        if not is_open or status.st_uid != os.geteuid():
            return None
        path.chmod(mode & ~_FOR_OWNER_ONLY)
        if path.stat().st_mode & _FOR_OWNER_ONLY:  # a file system without modes
            return None
    except (OSError, AttributeError):  # may not be changed; or there are no users (Windows)
        return None
    return f"{path} was open to other users of this machine ({mode:04o}), and is now for you alone"


class _Umask:
    """The umask of the process, restrictive while any thread needs it.

    All threads share it, so it is not restored while another thread still needs it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._usual = 0

    def tighten(self) -> None:
        with self._lock:
            if self._users == 0:
                self._usual = os.umask(_FOR_OWNER_ONLY)
            self._users += 1

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                os.umask(self._usual)


_umask = _Umask()


@contextmanager
def private_files() -> Generator[None]:
    """Everything that the process creates during the block is readable by its owner only.

    For libraries that accept no mode for the files that they create. Other threads' files become
    private meanwhile too; none ever becomes less private than it would have been.
    """
    _umask.tighten()
    try:
        yield
    finally:
        _umask.release()


@contextmanager
def replaced(paths: Sequence[Path]) -> Generator[list[Path]]:
    """Where to write these private files of one folder, which is created if missing: they take the
    place of `paths` at the end of the block, and not at all if it raises. Raises OSError."""
    folder = paths[0].absolute().parent
    make_folder(folder)
    with private_files(), TemporaryDirectory(dir=folder, prefix=".new-") as beside:
        written = [Path(beside) / path.name for path in paths]
        yield written
        for new, path in zip(written, paths, strict=True):
            new.replace(path)
