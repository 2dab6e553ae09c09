"""What others may see: text made fit for a line of a log, files for their owner only."""

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

#: Names, days and addresses are shorter; Harvest's tokens and secrets are longer.
_LONGEST_SHOWN = 40


def one_line(text: str, longest: int = 200) -> str:
    """`text` from outside, fit for a log: printable characters only, at most `longest`."""
    looked_at = text[: 10 * longest]  # it may be megabytes long
    printable = "".join(character if character.isprintable() else " " for character in looked_at)
    return " ".join(printable.split())[:longest]


def shown(value: str) -> str:
    """The value of a setting for a message: in quotes, unless a secret may be in the wrong place.

    That is not told from its letters: whatever is long for what is set there is not repeated.
    """
    if len(value) > _LONGEST_SHOWN:
        return f"a text of {len(value)} letters (not shown: it may be a secret)"
    return repr(value)


def tells(text: str, secret: str) -> bool:
    """Whether `text` repeats `secret`, or a dozen letters of it."""
    return any(secret[at : at + 12] in text for at in range(max(1, len(secret) - 11)))


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
