"""A sandbox with two companies, and a person who connects them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harvest_pipeline_tests.cli.connect.person import Person
from harvest_pipeline_tests.sandbox.server import SandboxServer


@pytest.fixture(scope="package")
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(years=0.1, scale=0.3, accounts=2, rate_limit=None) as server:
        yield server


@pytest.fixture
def person(sandbox: SandboxServer, tmp_path: Path) -> Iterator[Person]:
    sandbox.account.request_log.clear()
    yield Person(tmp_path / "store", sandbox)
