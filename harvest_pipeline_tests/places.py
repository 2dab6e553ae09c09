"""Where the warehouse of a test is: a file, or what HARVEST_TEST_PLACE says (`make test-scale`).

`ducklake`: a DuckLake with its catalogue in a file; `ducklake-postgres`: with its catalogue in a
server of the test's own; `ducklake-s3`: that, with its Parquet files in an S3 server.
"""

import os
import re
import subprocess
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest

from harvest_pipeline.warehouse.place import Place
from harvest_pipeline_tests.postgres import binaries

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
    server = os.environ[POSTGRES]
    _make_database(server, name)
    data = f"{os.environ[BUCKET]}/{name}" if KIND == "ducklake-s3" else f"{path.absolute()}.files"
    return Place.of(f"ducklake:postgres:{server} dbname={name}", data)


def settings_of(place: Place) -> dict[str, str]:
    """The variables that name the place."""
    return {"HARVEST_DUCKDB": place.address, "HARVEST_DUCKLAKE_DATA": place.data}


@cache
def _make_database(server: str, name: str) -> None:
    programs = binaries()
    assert programs
    given = dict(re.findall(r"(\w+)=(\S+)", server))
    done = subprocess.run(
        [
            *(str(programs / "createdb"), "-h", given["host"], "-p", given["port"]),
            *("-U", given["user"], "-T", "template0", name),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 or "already exists" in done.stderr, done.stderr
