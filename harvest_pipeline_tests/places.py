"""Where the warehouse of a test is: a file, or what HARVEST_TEST_PLACE says (`make test-scale`).

`ducklake`: a DuckLake with its catalogue in a file; `ducklake-postgres`: with its catalogue in a
server of the test's own; `ducklake-s3`: that, with its Parquet files in an S3 server.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp

import pytest

from harvest_pipeline.warehouse import engine
from harvest_pipeline.warehouse.place import Place
from harvest_pipeline_tests.postgres import execute

KIND = os.environ.get("HARVEST_TEST_PLACE", "file")
#: The conninfo of the test's Postgres, without a database; a fixture sets it (conftest.py).
POSTGRES = "HARVEST_TEST_POSTGRES"
#: The bucket of the test's S3 server, as s3://name.
BUCKET = "HARVEST_TEST_BUCKET"

#: A test of what only a file has: its bytes, its lock and its holder, its name.
only_a_file = pytest.mark.skipif(KIND != "file", reason="this is about the bytes or lock of a file")
#: A catalogue in a file has that file's lock: one process writes, and nobody reads meanwhile.
only_in_postgres = pytest.mark.skipif(
    KIND not in ("ducklake-postgres", "ducklake-s3"), reason="a catalogue in a file is held"
)


def place_at(path: Path | str) -> Place:
    """The place of a warehouse that would be the file `path`; the same path, the same place."""
    path = Path(path)
    if KIND == "file":
        return Place.of(path)
    if KIND == "ducklake":
        return Place.of(f"ducklake:{path}")
    name = f"lake_{sha256(str(path.absolute()).encode()).hexdigest()[:12]}"
    _make_database(name)
    data = f"{os.environ[BUCKET]}/{name}" if KIND == "ducklake-s3" else f"{path.absolute()}.files"
    return Place.of(f"ducklake:postgres:{os.environ[POSTGRES]} dbname={name}", data)


def settings_of(place: Place) -> dict[str, str]:
    """The variables that name the place."""
    return {"HARVEST_DUCKDB": place.address, "HARVEST_DUCKLAKE_DATA": place.data}


def saved(place: Place) -> Callable[[], None]:
    """Copies a place that no other process has open; what is returned puts the copy back."""
    paths = [place.path] if place.path else []
    if place.is_lake:
        paths.append(Path(place.data) if place.data else place.beside(".files"))
    database = "" if place.path else place.address.rpartition("dbname=")[2]
    copies = Path(mkdtemp(dir=paths[0].parent))
    for path in paths:
        _copy(path, copies / path.name)
    if database:
        _copy_database(database, f"{database}_saved")

    def put_back() -> None:
        for path in paths:
            _copy(copies / path.name, path)
        if database:
            _copy_database(f"{database}_saved", database)

    return put_back


def _copy(path: Path, to: Path) -> None:
    if path.is_dir():
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(path, to)
    else:
        shutil.copy(path, to)


def _copy_database(name: str, to: str) -> None:
    # This process stays connected to a lake that it has used.
    for kept in engine._engines.values():
        kept.instance.close()
    engine._engines.clear()
    server = _server()
    execute(server, f"DROP DATABASE IF EXISTS {to} WITH (FORCE)")
    execute(server, f"CREATE DATABASE {to} TEMPLATE {name}")


@cache
def _make_database(name: str) -> None:
    from psycopg.errors import DuplicateDatabase, UniqueViolation

    with suppress(DuplicateDatabase, UniqueViolation):  # another process of the test was first
        execute(_server(), f"CREATE DATABASE {name} TEMPLATE template0")


def _server() -> str:
    return f"{os.environ[POSTGRES]} dbname=postgres"
