"""Spools of made-up records."""

from pathlib import Path

import pytest

from harvest_pipeline_tests.warehouse.records import SpoolFolder


@pytest.fixture
def spools(tmp_path: Path) -> SpoolFolder:
    return SpoolFolder(tmp_path)
