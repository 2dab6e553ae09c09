"""Who holds the database file.

Belongs here: asking the system, which DuckDB's own message would only tell of writers.
Does not belong here: what follows from it (warehouse.py).
"""

import fcntl
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

#: `struct flock` of the system: its layout, and where type and process stand in it.
if sys.platform == "darwin":
    _LAYOUT, _PID, _TYPE = "qqihh", 2, 3
    _QUESTION = (0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
else:
    _LAYOUT, _TYPE, _PID = "hhqqi4x", 0, 4
    _QUESTION = (fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Holder:
    """A program that has the file open. A reader lets others read, a writer does not."""

    program: str
    process: int
    writes: bool

    def __str__(self) -> str:
        return f"{self.program} (process {self.process})"


def holder_of(path: Path) -> Holder | None:
    """The program that keeps others from writing to the file, None if there is none.

    It asks for the lock without taking it, as DuckDB does to name who has it (`F_GETLK`). Raises
    OSError. Not to be used while this process has the database open itself: closing a file gives
    up all locks of the process on it.
    """
    with path.open("rb+") as file:
        answer = fcntl.fcntl(file, fcntl.F_GETLK, struct.pack(_LAYOUT, *_QUESTION))
    found = struct.unpack(_LAYOUT, answer)
    if found[_TYPE] == fcntl.F_UNLCK:
        return None
    return Holder(_program(found[_PID]), found[_PID], found[_TYPE] == fcntl.F_WRLCK)


def _program(process: int) -> str:
    """The name of a program; never its arguments, which may hold anything."""
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:  # not Linux, or in another container
        return "a program"
