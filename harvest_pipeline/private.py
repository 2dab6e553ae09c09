"""Files and folders that only their owner can read, whatever umask the process was started with."""

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_FOR_OWNER_ONLY = 0o077


def make_folder(folder: Path) -> None:
    """Make `folder`, and every folder above it that is missing, with mode 0700.

    Folders that exist are left as they are. Raises OSError.
    """
    # `mkdir(parents=True)` gives its mode to the last folder only.
    for each in (*reversed(folder.parents), folder):
        if each == folder or not each.exists():
            each.mkdir(mode=0o700, exist_ok=True)


class _Umask:
    """The umask of the process, tight while any thread needs it so.

    All threads have the same one, so it is not put back while another thread still needs it.
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
    """Whatever the process creates during the block is for its owner only.

    For libraries that take no mode for the files that they make. Other threads' files become
    private meanwhile too; none ever becomes less private than it would have been.
    """
    _umask.tighten()
    try:
        yield
    finally:
        _umask.release()
