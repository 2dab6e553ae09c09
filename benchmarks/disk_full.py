"""A disk that is really full (R19): 24 MiB of it, in a file system of its own.

    unshare --user --map-root-user --mount .venv/bin/python -m benchmarks.disk_full

Loads into it until nothing fits any more, reads what was there, makes room, and loads again. The
fast test has a limit on the size of files instead, for a mount needs rights.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from harvest_pipeline.scope import Window
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline_tests.warehouse.records import (
    CONTEXT,
    FIRST,
    SECOND,
    SpoolFolder,
    select,
    time_entry,
)


def main() -> None:
    """Print the sentence of the failed load; stops at the first thing that is wrong."""
    with TemporaryDirectory() as outside, TemporaryDirectory() as disk:
        mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk]
        subprocess.run(mount, check=True)
        try:
            spools = SpoolFolder(Path(outside))
            warehouse = Warehouse(Path(disk) / "warehouse.duckdb", "harvest")
            day = spools.time_entries(Window(FIRST, FIRST), [time_entry(n) for n in range(500)])
            load(warehouse, day, CONTEXT)
            before = select(warehouse, "FROM time_entries ORDER BY id")
            ballast = Path(disk) / "ballast"
            ballast.write_bytes(bytes(20 * 2**20))
            notes = (str(hash(str(n))) * 40 for n in range(20_000))
            rows = [time_entry(n, SECOND, notes=note) for n, note in enumerate(notes, 1000)]
            much = spools.time_entries(Window(SECOND, SECOND), rows)
            try:
                load(warehouse, much, CONTEXT)
            except WarehouseError as error:
                print(error)
            else:
                sys.exit("It fitted, so nothing was shown.")
            assert select(warehouse, "FROM time_entries ORDER BY id") == before  # still full
            ballast.unlink()
            load(warehouse, day, CONTEXT)
            assert len(select(warehouse, "FROM time_entries")) == len(before)
            assert len(select(warehouse, "FROM _loads")) == 2
            print("What was there stayed readable; after room was made, the next load succeeded.")
        finally:
            subprocess.run(["umount", disk], check=True)


if __name__ == "__main__":
    main()
