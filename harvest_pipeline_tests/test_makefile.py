"""`make clean` deletes what can be made again, and no warehouse without being told to."""

import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
WAREHOUSE = "data/warehouse.duckdb"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout in which the demo has run."""
    shutil.copy(PROJECT / "Makefile", tmp_path)
    for name in ("data/sandbox/warehouse.duckdb", ".dagster/history/runs.db", ".ruff_cache/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def clean(folder: Path, *words: str, typed: str | None = None) -> str:
    """What it says, at a terminal if something is typed there."""
    ours, its = pty.openpty()
    try:
        if typed is not None:
            os.write(ours, typed.encode())
        done = subprocess.run(
            ["make", "clean", *words],
            cwd=folder,
            stdin=subprocess.DEVNULL if typed is None else its,
            capture_output=True,
            text=True,
        )
    finally:
        os.close(ours)
        os.close(its)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"Makefile"}


def test_without_a_warehouse_of_ones_own_everything_that_was_generated_goes(folder: Path) -> None:
    assert clean(folder) == ""
    assert left(folder) == set()


def test_a_warehouse_is_kept_where_nobody_can_be_asked(folder: Path) -> None:
    (folder / WAREHOUSE).touch()
    said = f"Kept: data/ has the warehouse {WAREHOUSE}; make clean YES=1 deletes it.\n"
    assert clean(folder) == said
    assert left(folder) == {"data", ".dagster"}
    assert (folder / WAREHOUSE).exists()
    assert clean(folder, "YES=1") == ""
    assert left(folder) == set()


def test_a_person_is_asked(folder: Path) -> None:
    (folder / WAREHOUSE).touch()
    assert "Delete the warehouse data/warehouse.duckdb" in clean(folder, typed="\n")
    assert (folder / WAREHOUSE).exists()
    clean(folder, typed="n\n")
    assert (folder / WAREHOUSE).exists()
    clean(folder, typed="y\n")
    assert left(folder) == set()
