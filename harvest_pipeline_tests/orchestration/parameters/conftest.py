"""The stage of these tests: made once for each file that needs it, and only read by its tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harvest_pipeline_tests.orchestration.parameters.stage import (
    Changed,
    Stage,
    changed_account,
    new_account,
)


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Changed]:
    """An account that was loaded in full and has changed everywhere since."""
    with changed_account(tmp_path_factory.mktemp("changed")) as made:
        yield made


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A small account of a test's own, of which nothing was loaded."""
    with new_account(tmp_path) as made:
        yield made
