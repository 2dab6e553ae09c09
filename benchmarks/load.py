"""How fast a spool of time entries becomes a table, and in how much memory.

    .venv/bin/python -m benchmarks.load [rows]

Makes a spool of 1,000,000 entries (about 1.2 kB each, all fields), loads it into a new database
and loads it once more over itself. The floor, measured in the same run, is what DuckDB needs to
read the same file with the same types and store it unchecked: CREATE TABLE AS read_json. Each
measurement has a process of its own, so that its peak memory is its own.
"""

import json
import os
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.scope import Spool, Window
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.json_lines import text_of
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline.warehouse.sql import comma, identifier, literal
from harvest_pipeline_tests.warehouse.records import CONTEXT, SpoolFolder, time_entry

YEAR = Window(date(2025, 1, 1), date(2025, 12, 31))
RECORD = RECORDS["time_entries"]


def make_spool(folder: Path, rows: int) -> Spool:
    """A spool of a year, in which ids, days, hours and notes differ from row to row."""
    texts = {"id": "ID", "spent_date": "DAY", "hours": "HOURS", "notes": "NOTES"}
    template = (
        json.dumps(time_entry(0) | texts).replace('"ID"', "{id}").replace('"HOURS"', "{hours}")
    )
    before, _, after = template.partition('"DAY"')
    spool = SpoolFolder(folder).write(RECORD.name, YEAR, [])
    with spool.path.open("w", encoding="utf-8") as file:
        for row in range(rows):
            day = YEAR.first + timedelta(days=row * 365 // rows)
            line = f'{before}"{day}"{after}'.replace("{id}", str(2_380_001_001 + row))
            line = line.replace("{hours}", str(row % 32 / 4)).replace(
                "NOTES", f"Ticket {row}: café"
            )
            file.write(f"{line}\n")
    return replace(spool, rows=rows, total_entries=rows)


def floor(spool: Spool, folder: Path) -> None:
    """The least that any loader has to do."""
    objects: defaultdict[str, list[str]] = defaultdict(list)
    for each in RECORD.columns:
        objects[each.path[0]].append(f"{identifier(each.path[-1])} {each.type}")
    scalars = {each.path[0]: each.type for each in RECORD.columns if len(each.path) == 1}
    types = {key: scalars.get(key, f"STRUCT({comma(inner)})") for key, inner in objects.items()}
    columns = comma(f"{text_of(each)} AS {identifier(each.name)}" for each in RECORD.columns)
    read = comma(f"{literal(key)}: {literal(type)}" for key, type in types.items())
    with duckdb.connect(folder / "floor.duckdb") as connection:
        connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        connection.execute(
            f"CREATE TABLE t AS SELECT {columns} FROM read_json({literal(str(spool.path))},"
            " format = 'newline_delimited', columns = {"
            f"{read}}}) AS texts"
        )


def load_spool(spool: Spool, folder: Path) -> None:
    """What the IO manager does with a spool."""
    load(Warehouse(folder / "warehouse.duckdb", "harvest"), spool, CONTEXT)


def measured(work: Callable[[Spool, Path], None], spool: Spool, folder: Path) -> dict[str, float]:
    """Seconds, seconds of processor and peak memory (MB) of `work`; runs in its own process."""
    began, times = time.perf_counter(), os.times()
    work(spool, folder)
    ended = os.times()
    return {
        "seconds": time.perf_counter() - began,
        "processor": ended.user + ended.system - times.user - times.system,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main(rows: int) -> None:
    """Print one line for each measurement."""
    with TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        spool = make_spool(folder, rows)
        size = spool.path.stat().st_size / 2**20
        print(f"DuckDB {duckdb.__version__}: {rows:,} time entries, {size:,.0f} MB of JSON")
        least = 0.0
        for title, work in (("floor", floor), ("load", load_spool), ("reload", load_spool)):
            with get_context("spawn").Pool(1) as pool:
                figures = pool.apply(measured, (work, spool, folder))
            least = least or figures["processor"]
            print(
                f"{title:7}{figures['seconds']:7.1f} s{rows / figures['seconds']:10,.0f} rows/s"
                f"{figures['processor']:7.1f} s of processor"
                f"{figures['processor'] / least:6.2f} x floor{figures['megabytes']:7.0f} MB peak"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
