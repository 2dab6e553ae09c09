"""A warehouse in a new folder, spools of made-up records for it, and a Dagster that loads them."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.places import place_at
from harvest_pipeline_tests.warehouse.records import SpoolFolder
from harvest_pipeline_tests.warehouse.runs import Dagster


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(place_at(tmp_path / "data" / "warehouse.duckdb"), "harvest", wait_seconds=0.5)


@pytest.fixture
def spools(tmp_path: Path) -> SpoolFolder:
    return SpoolFolder(tmp_path)


@pytest.fixture
def dagster(warehouse: Warehouse) -> Iterator[Dagster]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Dagster(warehouse.place, instance)
