"""A day that is read again: in a small and in a large table, and what is left in the file (R27).

    .venv/bin/python -m benchmarks.reread [rows of the large table] [times]

Both tables have three years of time entries; the day that is loaded again, after its spool was
written, has as many in both. The large one is made in SQL from the rows of a load. Then days of a
table of 180,000 entries are loaded again at random, and the file is compared with a copy into a new
one.
"""

import random
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import duckdb

from benchmarks.measure import Part, Target, prose, table
from harvest_pipeline.scope import Window
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline.warehouse.place import Place
from harvest_pipeline_tests.warehouse.records import CONTEXT, SpoolFolder, time_entry

FIRST = date(2023, 12, 1)
DAYS, ROWS = 1096, 91
SMALL, LARGE = DAYS * ROWS, 10_000_000
ENTRIES_A_DAY, REWRITES = 500, 200


def _entries(days: int, rows: int) -> Iterator[dict[str, object]]:
    for n in range(days * rows):
        yield time_entry(n, FIRST + timedelta(days=n // rows), notes=f"Ticket {n}")


def _made(folder: Path, total: int) -> Warehouse:
    """A warehouse with so many time entries, all days of which were read."""
    folder.mkdir()
    warehouse = Warehouse(Place.of(folder / "warehouse.duckdb"), "harvest")
    window = Window(FIRST, FIRST + timedelta(days=DAYS - 1))
    load(warehouse, SpoolFolder(folder).time_entries(window, _entries(DAYS, ROWS)), CONTEXT)
    # The rows that are more lie on the same days, but not on the one that is read again.
    with warehouse.transaction() as connection:
        times = total // SMALL - 1
        connection.execute(
            "INSERT INTO time_entries SELECT t.* REPLACE (t.id + 1000000 * n AS id)"
            f" FROM time_entries AS t, range(1, {times + 1}) AS more(n)"
            f" WHERE spent_date <> DATE '{FIRST + timedelta(days=DAYS // 2)}'"
        )
    return warehouse


def _one_day(warehouse: Warehouse, times: int = 15) -> float:
    """The median of loading the day in the middle."""
    day = FIRST + timedelta(days=DAYS // 2)
    ids = range(DAYS // 2 * ROWS, (DAYS // 2 + 1) * ROWS)
    took: list[float] = []
    for _ in range(times):
        rows = [time_entry(n, day, notes=f"Ticket {n}") for n in ids]
        spool = SpoolFolder(warehouse.place.path.parent).time_entries(Window(day, day), rows)
        began = perf_counter()
        load(warehouse, spool, CONTEXT)
        took.append(perf_counter() - began)
    return median(took)


def _rewritten(folder: Path, times: int) -> tuple[float, float]:
    """The largest size of the file, and that of its copy, in MiB."""
    folder.mkdir()
    spools = SpoolFolder(folder)
    warehouse = Warehouse(Place.of(folder / "warehouse.duckdb"), "harvest")
    rows = list(_entries(365, ENTRIES_A_DAY))
    load(warehouse, spools.time_entries(Window(FIRST, FIRST + timedelta(days=364)), rows), CONTEXT)
    chance, largest = random.Random(1), 0
    for _ in range(times):
        number = chance.randrange(365)
        day = FIRST + timedelta(days=number)
        of_day = rows[number * ENTRIES_A_DAY : (number + 1) * ENTRIES_A_DAY]
        spool = spools.time_entries(Window(day, day), of_day)
        load(warehouse, spool, CONTEXT)
        spool.path.unlink()
        largest = max(largest, warehouse.place.path.stat().st_size)
    compact = folder / "compact.duckdb"
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{warehouse.place.path}' AS whole (READ_ONLY)")
        connection.execute(f"ATTACH '{compact}' AS compact")
        connection.execute("COPY FROM DATABASE whole TO compact")
    return largest / 2**20, compact.stat().st_size / 2**20


def measure(large: int = LARGE, rewrites: int = REWRITES) -> Part:
    """Time and size."""
    with TemporaryDirectory(prefix="reread-") as name:
        seconds = {
            total: _one_day(_made(Path(name) / f"{total}", total)) for total in (SMALL, large)
        }
        largest, copy = _rewritten(Path(name) / "rewritten", rewrites)
    least, most = seconds[SMALL], seconds[large]
    rows: list[list[object]] = [
        [f"{total:,}", f"{took * 1000:.0f} ms", f"{took / least:.2f}"]
        for total, took in seconds.items()
    ]
    text = (
        f"{prose(__doc__)}\n\n{table(['rows in the table', 'a day', '× small'], rows)}\n\n"
        f"{rewrites} days later the file had {largest:.1f} MiB, a copy {copy:.1f}."
    )
    return Part(
        "A day read again",
        text,
        [
            Target(
                f"re-reading one day in {large:,} rows",
                f"at most 1.5 × that in {SMALL:,}",
                f"{most / least:.2f} × ({most * 1000:.0f} ms; {least * 1000:.0f} ms)",
                most <= 1.5 * least,
                "rows are found by their day and their id without an index",
            ),
            Target(
                f"the file after {rewrites} days read again",
                "at most 3 × a copy of it",
                f"{largest / copy:.2f} ×",
                largest <= 3 * copy,
            ),
        ],
    )


if __name__ == "__main__":
    print(measure(*map(int, sys.argv[1:])))
