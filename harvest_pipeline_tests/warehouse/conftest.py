"""A warehouse in a new folder, and spools of made-up records for it."""

from pathlib import Path

import pytest

from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.places import place_at
from harvest_pipeline_tests.warehouse.records import SpoolFolder


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(place_at(tmp_path / "data" / "warehouse.duckdb"), "harvest", wait_seconds=0.5)


@pytest.fixture
def spools(tmp_path: Path) -> SpoolFolder:
    return SpoolFolder(tmp_path)
