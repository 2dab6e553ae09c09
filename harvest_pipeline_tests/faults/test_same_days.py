"""The same days again and again, also by two processes at once: one set of rows. F25, F35, R4."""

import subprocess
import sys
from pathlib import Path

from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline_tests.places import place_at
from harvest_pipeline_tests.waiting import PATIENCE
from harvest_pipeline_tests.warehouse.records import (
    CONTEXT,
    FIRST,
    SpoolFolder,
    dump,
    on,
    select,
    time_entry,
)

TIMES, EACH = 20, 5
ENTRIES = [time_entry(n) for n in range(200)]
#: Loads the same day as often as said, as soon as its standard input says go.
LOADER = """
import sys
from pathlib import Path
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.places import place_at
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline_tests.faults.test_same_days import ENTRIES
from harvest_pipeline_tests.warehouse.records import CONTEXT, FIRST, SpoolFolder, on

folder = Path(sys.argv[1])
warehouse = Warehouse(place_at(folder / "warehouse.duckdb"), "harvest", log=lambda line: None)
spools = [SpoolFolder(folder).time_entries(on(FIRST), ENTRIES) for _ in range(int(sys.argv[2]))]
print("ready", flush=True)
sys.stdin.readline()
for spool in spools:
    load(warehouse, spool, CONTEXT)
"""


def test_twenty_times_the_same_days_are_one_set_of_rows(tmp_path: Path) -> None:
    warehouse, spools = (
        Warehouse(place_at(tmp_path / "warehouse.duckdb"), "harvest"),
        SpoolFolder(tmp_path),
    )
    found = []
    for _ in range(TIMES):
        load(warehouse, spools.time_entries(on(FIRST), ENTRIES), CONTEXT)
        found.append(dump(warehouse))
    assert all(each == found[0] for each in found)
    assert len(found[0]["time_entries"]) == len(ENTRIES)
    assert select(warehouse, "SELECT count(*) FROM _loads") == [(TIMES,)]


def test_two_processes_that_load_the_same_day_leave_one_set_of_rows(tmp_path: Path) -> None:
    loaders = [
        subprocess.Popen(
            [sys.executable, "-c", LOADER, str(tmp_path), str(EACH)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for each in loaders:
        assert each.stdout and each.stdout.readline() == "ready\n"
    for each in loaders:
        assert each.stdin
        each.stdin.write("go\n")
        each.stdin.flush()
    assert [each.wait(PATIENCE) for each in loaders] == [0, 0]
    warehouse = Warehouse(place_at(tmp_path / "warehouse.duckdb"), "harvest")
    assert select(warehouse, "SELECT count(*), count(DISTINCT id) FROM time_entries") == [
        (len(ENTRIES), len(ENTRIES))
    ]
    assert select(warehouse, "SELECT count(*) FROM _loads") == [(2 * EACH,)]
