"""HARVEST_DUCKDB names a file, a DuckLake or MotherDuck; anything else is refused in a sentence."""

from pathlib import Path

import pytest

from harvest_pipeline.settings import Project, SettingsError, project_folder
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.place import Place, place_of

IN_POSTGRES = "ducklake:postgres:host=db dbname=lake user=harvest"


def place(duckdb: str, data: str = "") -> Place:
    """The place that these variables name."""
    return place_of(Project.of({"HARVEST_DUCKDB": duckdb, "HARVEST_DUCKLAKE_DATA": data}))


def test_a_lake_is_a_file_of_the_project_or_a_database_of_postgres() -> None:
    beside = place("ducklake:data/lake.ducklake")
    assert beside.path == project_folder() / "data" / "lake.ducklake"
    assert beside.address == f"ducklake:{beside.path}"
    there = place(IN_POSTGRES, "s3://bucket/prefix/")
    assert (there.path, there.address, there.data) == (None, IN_POSTGRES, "s3://bucket/prefix")
    assert place(IN_POSTGRES, "lake").data == str(project_folder() / "lake")


def test_each_place_is_opened_by_one_statement() -> None:
    assert place("w.duckdb").attach(read_only=True).endswith("AS _attached_file (READ_ONLY)")
    assert place(IN_POSTGRES, "s3://bucket").attach(read_only=False) == (
        f"ATTACH '{IN_POSTGRES}' AS _attached_file"
        " (DATA_INLINING_ROW_LIMIT 500, DATA_PATH 's3://bucket/')"
    )
    # It cannot be reached here: its databases have no other name than their own.
    assert place("md:reports").attach(read_only=False) == "ATTACH 'md:reports'"
    assert place("md:reports").alias == "reports"


@pytest.mark.parametrize(
    ("address", "data", "sentence"),
    [
        ("ducklake:postgres:host=db password=hunter2", "lake", "set PGPASSWORD"),
        ("ducklake:postgres:postgresql://me:hunter2@db/lake", "lake", "set PGPASSWORD"),
        (IN_POSTGRES, "", "HARVEST_DUCKLAKE_DATA: it is not set"),
        (IN_POSTGRES, "https://hunter2@host/x", "such as s3://bucket/prefix"),
        ("ducklake:mysql:db=x", "lake", "is a file .* or in Postgres"),
        ("md:", "", "as md:harvest"),
        ("md:x?motherduck_token=hunter2", "", "as md:harvest"),
    ],
)
def test_an_address_that_cannot_be_is_refused(address: str, data: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as refused:
        place(address, data)
    assert "hunter2" not in str(refused.value)


def test_a_missing_extension_is_named_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harvest_pipeline.warehouse.place.find_spec", lambda name: None)
    monkeypatch.setenv("HOME", str(tmp_path))  # where DuckDB keeps those that it has downloaded
    warehouse = Warehouse(Place.of(f"ducklake:{tmp_path}/lake.ducklake"), "harvest")
    named = pytest.raises(WarehouseError, match=r"pip install 'harvest_pipeline\[ducklake\]'")
    with named, warehouse.connect():
        pass
