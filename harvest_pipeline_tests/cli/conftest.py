"""A place on a sandbox account of a test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harvest_pipeline_tests.cli.command import Place
from harvest_pipeline_tests.sandbox.server import SandboxServer


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """With nothing loaded. The account's clock is the real one, as that of the command is."""
    with SandboxServer(years=0.3, rate_limit=None) as sandbox:
        yield Place(sandbox, tmp_path)
