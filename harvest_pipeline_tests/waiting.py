"""How tests wait: until something is so, and only a machine that hangs exceeds the bound."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds after which something hangs: a busy machine needs less. pyproject.toml gives a test more.
PATIENCE = 600.0


def wait_for(condition: Callable[[], object], told: Callable[[], object] = lambda: "") -> None:
    """Wait until `condition()` is true; `told()` is what an error shows."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)


@contextmanager
def soon(*, before: float = 250.0) -> Iterator[None]:
    """What is done here does not sit out what would take longer than that."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < before
