"""What is left on the disk: a table that is rewritten a thousand times, and Dagster's own files
after a backfill of a year (R27).

    .venv/bin/python -m benchmarks.storage [rewrites]

The table has 365 days of 500 entries, and a day after the other is loaded again. It is compared
with a copy into a new file. The backfill reads a year of all 18 reports of the sandbox account.
"""

import os
import random
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import duckdb

from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.orchestration.partitions import range_tags
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import project_folder
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.warehouse.records import CONTEXT, SpoolFolder, time_entry

FIRST = date(2025, 1, 1)
ROWS = 500


def mebibytes(*paths: Path) -> float:
    """The size of files, and of all files in folders."""
    files = [f for path in paths for f in ([path] if path.is_file() else path.rglob("*"))]
    return sum(file.stat().st_size for file in files if file.is_file()) / 2**20


def rewritten(times: int, folder: Path) -> None:
    """Rewrite days, and say how large the file has become."""
    spools = SpoolFolder(folder)
    warehouse = Warehouse(folder / "warehouse.duckdb", "harvest")
    year = Window(FIRST, FIRST + timedelta(days=364))
    rows = [
        time_entry(n, FIRST + timedelta(days=n // ROWS), notes=f"Ticket {n}")
        for n in range(365 * ROWS)
    ]
    load(warehouse, spools.time_entries(year, rows), CONTEXT)
    chance, largest, began = random.Random(1), 0.0, time.monotonic()  # noqa: S311
    for _ in range(times):
        day = chance.randrange(365)
        window = Window(FIRST + timedelta(days=day), FIRST + timedelta(days=day))
        spool = spools.time_entries(window, rows[day * ROWS : (day + 1) * ROWS])
        load(warehouse, spool, CONTEXT)
        spool.path.unlink()
        largest = max(largest, mebibytes(warehouse.path))
    seconds = (time.monotonic() - began) / times
    compact = folder / "compact.duckdb"
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{warehouse.path}' AS whole (READ_ONLY)")
        connection.execute(f"ATTACH '{compact}' AS compact")
        connection.execute("COPY FROM DATABASE whole TO compact")
    print(
        f"{times} rewrites ({seconds * 1000:.0f} ms each): {mebibytes(warehouse.path):.1f} MiB, "
        f"{largest:.1f} at most; a copy has {mebibytes(compact):.1f} MiB; "
        f"factor {largest / mebibytes(compact):.2f} (limit: 3)"
    )


def backfilled(folder: Path) -> None:
    """Read a year of everything, and say how much Dagster has written of it."""
    home = folder / "home"
    home.mkdir()
    today = date.today()
    with SandboxServer(rate_limit=None) as sandbox:
        os.environ |= {
            **sandbox.environment(),
            "HARVEST_DUCKDB": str(folder / "year.duckdb"),
            "HARVEST_START_DATE": sandbox.first_day.isoformat(),
            "HARVEST_CONFIG": os.devnull,
        }
        (home / "dagster.yaml").symlink_to(project_folder() / "dagster.yaml")
        with dg.DagsterInstance.from_config(str(home)) as instance:
            result = (
                build_definitions()
                .resolve_implicit_global_asset_job_def()
                .execute_in_process(
                    instance=instance,
                    tags=range_tags(Window(today - timedelta(days=364), today)),
                    raise_on_error=False,
                )
            )
    files = sum(1 for each in home.rglob("*") if each.is_file())
    print(
        f"A year of all reports (success: {result.success}): DAGSTER_HOME has "
        f"{mebibytes(home):.1f} MiB in {files} files (limit: 50)"
    )


def main(times: int) -> None:
    """Both."""
    with TemporaryDirectory(prefix="storage-") as name:
        rewritten(times, Path(name))
        backfilled(Path(name))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
