"""Whose turn it is to load an account: one process has it, of this machine or of all that share
HARVEST_STATE."""

import os
from pathlib import Path
from typing import Protocol

from filelock import FileLock

from harvest_pipeline.state import REMEDY, Lock, SharedState, StateFailed
from harvest_pipeline.warehouse.errors import TurnLost


class Turn(Protocol):
    """The lock of an account. The steps of one process never overlap, and one that failed may
    release it late, so they all have it together.

    `where` is whose processes take turns.
    """

    where: str

    def acquire(self, timeout: float) -> None:
        """Wait for it. Raises TimeoutError after so many seconds, OSError and TurnLost."""
        ...

    def release(self) -> None:
        """Free it, once for each time that it was acquired."""
        ...


class _OnDisk:
    where = "this machine"

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path, mode=0o600, is_singleton=True, thread_local=False)

    def acquire(self, timeout: float) -> None:
        self._lock.acquire(timeout=timeout, poll_interval=0.2)

    def release(self) -> None:
        self._lock.release()


class _Shared:
    where = "all machines that share HARVEST_STATE"

    def __init__(self, state: SharedState, account: str) -> None:
        self._state = state
        self._account = account
        self._lock: Lock = state.lock(f"account {account}")
        self._users = 0

    def acquire(self, timeout: float) -> None:
        if not self._users:
            try:
                self._lock.acquire(timeout)
            except StateFailed as error:
                raise self._lost(error) from error
        self._users += 1

    def release(self) -> None:
        self._users -= 1
        if not self._users:
            self._lock.release()

    def confirm(self) -> None:
        try:
            if not self._users or self._lock.is_unbroken():
                return
        except StateFailed as error:
            raise self._lost(error) from error
        raise TurnLost(
            f"{self._state} was started again while {self._account} was being loaded, and another "
            "run of it has begun; what this one has read is not kept. It is tried again."
        )

    def _lost(self, error: StateFailed) -> TurnLost:
        return TurnLost(
            f"{self._state}, through which machines take turns with {self._account}, cannot be "
            f"used: {error}. {REMEDY}"
        )


#: Those of each process: one that is forked has none.
_turns: dict[tuple[int, SharedState, str], _Shared] = {}


def on_disk(path: Path) -> Turn | None:
    """The turn that this file is the lock of, None if it cannot be made: waiting for it would never
    end."""
    try:
        path.touch(mode=0o600)
    except OSError:
        return None
    return _OnDisk(path)


def shared(state: SharedState, account: str) -> Turn:
    """The turn of an account among all machines that share `state`. Accounts are told apart by name
    alone, since machines may name one database in several ways."""
    key = (os.getpid(), state, account)
    if key not in _turns:
        _turns[key] = _Shared(state, account)
    return _turns[key]


def confirm() -> None:
    """Raise TurnLost if another process may have loaded an account whose turn this one has."""
    for (process, _, _), turn in _turns.items():
        if process == os.getpid():
            turn.confirm()
