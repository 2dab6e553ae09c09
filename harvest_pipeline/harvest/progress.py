"""The progress of a read, reported to one observer of this process."""

from collections.abc import Generator
from contextlib import contextmanager


class Observer:
    """Gets the progress of a read; called from any thread, and must not raise. This one
    does nothing.

    `is_person`: somebody is waiting at a terminal, so that a host that does not answer is given up
    soon.
    """

    is_person = False

    def requested(self) -> None:
        """A request was sent, or attempted."""

    def expecting(self, requests: int) -> None:
        """This many more pages are known to be needed."""

    def received(self, rows: int) -> None:
        """A page with this many records arrived."""

    def waiting(self, seconds: float, reason: str) -> None:
        """Nothing is sent for this many seconds; the reason is half a sentence."""


_NOBODY = Observer()
_observer = _NOBODY


def observer() -> Observer:
    """The observer of this process."""
    return _observer


@contextmanager
def observed_by(follower: Observer) -> Generator[None]:
    """Report everything that this process reads during the block to `follower`."""
    global _observer
    before, _observer = _observer, follower
    try:
        yield
    finally:
        _observer = before
