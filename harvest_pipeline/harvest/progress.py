"""How a read goes on, for one observer of this process."""

from collections.abc import Generator
from contextlib import contextmanager


class Observer:
    """Hears how a read goes on; called from any thread, and must not raise. This one
    does nothing."""

    def requested(self) -> None:
        """A request was sent, or tried."""

    def expecting(self, requests: int) -> None:
        """So many more pages are known to be needed."""

    def received(self, rows: int) -> None:
        """A page came, with so many records."""

    def waiting(self, seconds: float, reason: str) -> None:
        """Nothing is sent for so many seconds; the reason is half a sentence."""


_NOBODY = Observer()
_observer = _NOBODY


def observer() -> Observer:
    """The observer of this process."""
    return _observer


@contextmanager
def observed_by(follower: Observer) -> Generator[None]:
    """Let `follower` hear of everything that this process reads meanwhile."""
    global _observer
    before, _observer = _observer, follower
    try:
        yield
    finally:
        _observer = before
