"""The sandboxes of these tests: one to read, shared; a new one for each test that changes it."""

from collections.abc import Iterator

import pytest

from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.visitor import TODAY, Visitor


@pytest.fixture(scope="session")
def sandbox() -> Iterator[SandboxServer]:
    """A sandbox to be read only, without limits."""
    with SandboxServer(
        seed=7, today=TODAY, years=1.2, rate_limit=None, refuse_get_bodies=True
    ) as server:
        yield server


@pytest.fixture(scope="session")
def administrator(sandbox: SandboxServer) -> Visitor:
    return Visitor(sandbox)


@pytest.fixture(scope="session")
def manager(sandbox: SandboxServer) -> Visitor:
    return Visitor(sandbox, "manager")


@pytest.fixture(scope="session")
def member(sandbox: SandboxServer) -> Visitor:
    return Visitor(sandbox, "member")


@pytest.fixture
def own_sandbox() -> Iterator[SandboxServer]:
    """A small sandbox of the test's own, without limits."""
    with SandboxServer(seed=3, today=TODAY, years=0.25, rate_limit=None) as server:
        yield server


@pytest.fixture
def visitor(own_sandbox: SandboxServer) -> Visitor:
    """The administrator in the sandbox of the test's own."""
    return Visitor(own_sandbox)
