"""Who is told how a read goes on: nobody, or one observer of this process.

Belongs here: what an observer hears of, and which one there is.
Does not belong here: what is shown of it (sync/), the log.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol


class Observer(Protocol):
    """Hears how a read goes on; called from any thread, and must not raise."""

    def requested(self) -> None:
        """A request was sent, or tried."""

    def expecting(self, requests: int) -> None:
        """So many more pages are known to be needed."""

    def received(self, rows: int) -> None:
        """A page came, with so many records."""

    def waiting(self, seconds: float, reason: str) -> None:
        """Nothing is sent for so long; the reason is half a sentence."""


class _Nobody:
    """Is told everything and does nothing."""

    def requested(self) -> None: ...

    def expecting(self, requests: int) -> None: ...

    def received(self, rows: int) -> None: ...

    def waiting(self, seconds: float, reason: str) -> None: ...


_NOBODY: Observer = _Nobody()
_observer = _NOBODY


def observer() -> Observer:
    """Whom to tell."""
    return _observer


@contextmanager
def observed_by(told: Observer) -> Generator[None]:
    """Tell `told` of everything that this process reads meanwhile."""
    global _observer
    _observer = told
    try:
        yield
    finally:
        _observer = _NOBODY
