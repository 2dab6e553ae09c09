"""The tables are the same whatever the machine's time zone."""

import os
import subprocess
import sys
from pathlib import Path

DUMP = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.places import place_at
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline_tests.warehouse.records import *

spools = SpoolFolder(Path(sys.argv[1]))
warehouse = Warehouse(place_at(Path(sys.argv[1]) / "warehouse.duckdb"), "harvest")
entries = [
    time_entry(1, timer_started_at="2026-03-08T07:30:00Z"),  # DST begins in New York
    time_entry(2, date(2026, 1, 31), timer_started_at="2026-03-08T02:30:00-05:00"),
]
load(warehouse, spools.time_entries(JANUARY, entries), CONTEXT)
paid = invoice(1, paid_at="2026-01-31T00:00:00Z")
load(warehouse, spools.write("invoices", JANUARY, [paid]), CONTEXT)
with warehouse.reader() as connection:
    for table in ("daily", "invoices"):
        rows = f"SELECT COLUMNS(* EXCLUDE _loaded_at)::VARCHAR FROM {table} ORDER BY id"
        print(connection.execute(rows).fetchall())
"""


def dumped(folder: Path, zone: str) -> bytes:
    """The tables as a machine in that zone writes them."""
    folder.mkdir()
    return subprocess.run(
        [sys.executable, "-c", DUMP, str(folder)],
        env={**os.environ, "TZ": zone},
        capture_output=True,
        check=True,
    ).stdout


def test_the_time_zone_of_the_machine_does_not_matter(tmp_path: Path) -> None:
    utc = dumped(tmp_path / "utc", "UTC")
    assert b"2026-03-08 07:30:00+00" in utc
    for zone in ("America/New_York", "Asia/Kolkata"):
        assert dumped(tmp_path / zone.replace("/", "-"), zone) == utc
