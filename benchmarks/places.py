"""What a place costs: a first load of a quarter and a quiet night, with the warehouse in a file, in
a DuckLake with its Parquet files in a folder, and in one with them in S3.

    .venv-scale/bin/python -W ignore -m benchmarks.places

All reports, models and the dashboard, of one sandbox account, each place in a process of its own
and on the same DuckDB. The catalogues are in a Postgres of this machine, the S3 server is moto, in
memory of this machine too: what a network costs comes on top. Ratios are to the file.
"""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import duckdb

from benchmarks.measure import no_limits, prose, table
from benchmarks.nights import FIRST, QUIET, TODAY, Account
from harvest_pipeline.settings import load_project
from harvest_pipeline.warehouse.database import warehouse_of
from harvest_pipeline_tests.places import settings_of
from harvest_pipeline_tests.postgres import running
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.servers import S3

YEARS = 0.25
PLACES = {
    "file": "DuckDB file",
    "ducklake": "DuckLake, catalogue in a file, Parquet in a folder",
    "ducklake-postgres": "DuckLake, catalogue in Postgres, Parquet in a folder",
    "ducklake-s3": "DuckLake, catalogue in Postgres, Parquet in S3",
}


@contextmanager
def _servers(kind: str) -> Iterator[dict[str, str]]:
    """The variables of the servers that a place needs."""
    with ExitStack() as stack:
        variables = {"HARVEST_TEST_PLACE": kind}
        if kind in ("ducklake-postgres", "ducklake-s3"):
            variables["HARVEST_TEST_POSTGRES"] = stack.enter_context(running()).conninfo
        if kind == "ducklake-s3":
            server = stack.enter_context(closing(S3()))
            variables |= {"HARVEST_TEST_BUCKET": server.bucket, **server.environment}
        yield variables


def _measured() -> dict[str, object]:
    """What the two cost here, in a process that has done nothing else."""
    from harvest_pipeline_tests.places import place_at

    with (
        SandboxServer(today=TODAY, years=YEARS, rate_limit=None) as sandbox,
        TemporaryDirectory() as folder,
        no_limits(),
        patch.dict(
            os.environ,
            {**sandbox.environment(), **settings_of(place_at(Path(folder) / "warehouse.duckdb"))},
            HARVEST_START_DATE=sandbox.first_day.isoformat(),
            HARVEST_CONFIG=str(Path(folder) / "harvest.yaml"),
            PYTHON_DOTENV_DISABLED="1",
        ),
    ):
        Path(os.environ["HARVEST_CONFIG"]).write_text("{}")
        account = Account(sandbox)
        memory: list[float] = []
        for what in (FIRST, QUIET):
            with account.counted(what):
                account.run("harvest_reconcile")
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        harvest = load_project().accounts[0]
        with warehouse_of(harvest, print).reader() as connection:
            [(rows,)] = connection.execute("SELECT count(*) FROM time_entries").fetchall()
    return {"rows": account.rows, "memory": memory, "entries": rows}


def main() -> None:
    """Measure each place, and print the table."""
    lines: list[list[object]] = []
    base: list[float] = []
    for kind, name in PLACES.items():
        with _servers(kind) as variables:
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-m", "benchmarks.places", "one"],
                env={**os.environ, **variables},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        found = json.loads(done.stdout.splitlines()[-1])
        seconds = [row[3] for row in found["rows"]]
        base = base or seconds
        line: list[object] = [name]
        for row, memory, first in zip(found["rows"], found["memory"], base, strict=True):
            ratio = f"{row[3] / first:.1f}"
            line += [row[3], ratio, row[1] + row[2], f"{memory:,.0f}"]
        lines.append(line)
        print(f"{name}: {line[1:]}, {found['entries']} entries", file=sys.stderr, flush=True)
    columns = ["place", *["first load, s", "ratio", "requests", "MiB"]]
    columns += ["quiet night, s", "ratio", "requests", "MiB"]
    print(f"{prose(__doc__)}\n\n{table(columns, lines)}\n\nDuckDB {duckdb.__version__}.")


if __name__ == "__main__":
    if sys.argv[1:] == ["one"]:
        print(json.dumps(_measured()))
    else:
        main()
