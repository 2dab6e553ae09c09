"""Old or new, never half: how a load survives SIGKILL at any moment (R1).

    .venv/bin/python -m benchmarks.kills [kills]

200 times a process that loads five days of 20,000 entries, one after the other, over and over, is
killed at a random moment. Each time every day must have all of its rows, from one load, and that
one must be the day's latest in the ledger.
"""

import os
import random
import signal
import sys
import time
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from benchmarks.entries import RECORD
from harvest_pipeline.scope import Scope, Spool, Window
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline.warehouse.place import Place
from harvest_pipeline_tests.warehouse.records import CONTEXT, SpoolFolder, time_entry

ROWS = 20_000
DAYS = [date(2026, 1, 1) + timedelta(days=n) for n in range(5)]
_HALF = f"""
SELECT spent_date, count(*), count(DISTINCT _loaded_at), count(DISTINCT id)
FROM time_entries GROUP BY spent_date
HAVING count(*) <> {ROWS} OR count(DISTINCT _loaded_at) <> 1 OR count(DISTINCT id) <> {ROWS}
OR max(_loaded_at) <> (SELECT max(loaded_at) FROM _loads WHERE window_first = spent_date)
"""


def spools(folder: Path) -> list[Spool]:
    """The five days, on disk."""
    made: list[Spool] = []
    for number, day in enumerate(DAYS):
        entries = (time_entry(number * ROWS + n, day) for n in range(ROWS))
        made.append(SpoolFolder(folder).write(RECORD.name, Window(day, day), entries))
        assert made[-1].scope == Scope(RECORD.name, Window(day, day))
    return made


def load_for_ever(warehouse: Warehouse, days: list[Spool], first: int) -> None:
    """Load one day after the other, beginning with that one."""
    for number in count(first):
        load(warehouse, days[number % len(days)], CONTEXT)


def main(kills: int) -> None:
    """Kill and look, so many times."""
    seed = int(time.time())
    pause = random.Random(seed)
    with TemporaryDirectory(prefix="kills-") as name:
        folder = Path(name)
        warehouse = Warehouse(Place.of(folder / "warehouse.duckdb"), "harvest")
        days = spools(folder)
        began = time.monotonic()
        child = os.fork()  # this process must not have used DuckDB before the others fork
        if child == 0:
            for each in days:
                load(warehouse, each, CONTEXT)
            os._exit(0)
        os.waitpid(child, 0)
        usual = (time.monotonic() - began) / len(days)
        for kill in range(kills):
            child = os.fork()
            if child == 0:
                load_for_ever(warehouse, days, kill)
            time.sleep(pause.uniform(0, 1.5) * usual)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            looker = os.fork()
            if looker == 0:
                with warehouse.reader() as connection:
                    half = connection.execute(_HALF).fetchall()
                    [(there,)] = connection.execute("SELECT count(*) FROM time_entries").fetchall()
                if half or there != ROWS * len(DAYS):
                    print(f"kill {kill}, seed {seed}: {there} rows, half: {half}", flush=True)
                    os._exit(1)
                os._exit(0)
            if os.waitpid(looker, 0)[1]:
                sys.exit(1)
            if kill % 20 == 19:
                print(f"{kill + 1} kills, half: 0", file=sys.stderr, flush=True)
        with duckdb.connect(warehouse.place.path, read_only=True) as connection:
            [(loads,)] = connection.execute("SELECT count(*) FROM harvest._loads").fetchall()
        print(
            f"DuckDB {duckdb.__version__}: {kills} kills, {loads} loads between them, half: 0 "
            f"(a load takes {usual:.2f} s; seed {seed})"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
