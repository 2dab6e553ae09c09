"""A place on a sandbox account of a test's own, and a database that many tests read."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harvest_pipeline.sandbox.generator import generate
from harvest_pipeline_tests.cli.command import Place
from harvest_pipeline_tests.models.warehouse import of_account
from harvest_pipeline_tests.sandbox.server import SandboxServer

NOW = datetime(2026, 11, 20, 17, tzinfo=UTC)


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with an account of the sandbox and all models; not to be changed."""
    folder = tmp_path_factory.mktemp("account")
    with of_account(generate(seed=7, now=NOW, years=0.3, scale=0.5), NOW, folder):
        return folder / "account.duckdb"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """With nothing loaded. The account's clock is the real one, as that of the command is."""
    with SandboxServer(years=0.3, rate_limit=None) as sandbox:
        yield Place(sandbox, tmp_path)
