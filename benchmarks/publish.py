"""What it takes to publish the copy for readers of a database with many time entries.

    .venv/bin/python -m benchmarks.publish [entries]

The entries of three years, by 60 people in 200 projects, are made with SQL; all models are computed
from them. Prints seconds and MiB of the DuckDB file and of the Parquet folder, and the seconds of a
publication that finds nothing new.
"""

import sys
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.place import Place
from harvest_pipeline.warehouse.publish import publish
from harvest_pipeline_tests.models.warehouse import make_empty, opened

_ROWS = """
INSERT INTO clients (id, name, currency) SELECT i, 'Client ' || i, 'EUR' FROM range(40) r(i);
INSERT INTO users (id, first_name, weekly_capacity, is_active, created_at)
    SELECT i, 'Person ' || i, 144000, true, '2023-12-01' FROM range(60) r(i);
INSERT INTO projects (id, name, client_id, client_name, client_currency, is_active, is_billable,
                      bill_by, budget_by, budget, created_at)
    SELECT i, 'Project ' || i, i % 40, 'Client ' || i % 40, 'EUR', true, true, 'Project',
           'project', 20000, '2023-12-01' FROM range(200) r(i);
INSERT INTO time_entries (id, spent_date, hours, rounded_hours, notes, billable, billable_rate,
        cost_rate, created_at, updated_at, user_id, user_name, client_id, client_name,
        client_currency, project_id, project_name, task_id, task_name, is_closed, is_billed)
    SELECT 2380001001 + i, DATE '2023-12-01' + (i * 1096 // {n})::INT, i % 8 / 4, i % 8 / 4,
           'Ticket ' || hash(i) || ': naïve café', i % 3 > 0, 120, 60, now(), now(), i % 60,
           'Person ' || i % 60, i % 200 % 40, 'Client ' || i % 200 % 40, 'EUR', i % 200,
           'Project ' || i % 200, i % 12, 'Task ' || i % 12, false, i % 2 = 0
    FROM range({n}) r(i);
"""


def _size(path: Path) -> float:
    files = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files) / 2**20


def main(entries: int) -> None:
    with TemporaryDirectory() as folder:
        path = make_empty(Path(folder) / "warehouse.duckdb", date(2026, 11, 30))
        with opened(path) as database:
            database.connection.execute(_ROWS.format(n=entries))
        print(f"{entries:,} time entries, {_size(path):,.0f} MiB")
        warehouse = Warehouse(Place.of(path), "")
        for name in ("analytics.duckdb", "parquet"):
            target = Path(folder) / name
            for _ in range(2):
                began = perf_counter()
                done = publish(warehouse, target)
                seconds, size = perf_counter() - began, _size(target.resolve())
                print(f"{name}: {seconds:.2f} s, {size:,.0f} MiB{'' if done else ', nothing new'}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
