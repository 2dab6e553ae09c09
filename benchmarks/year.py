"""How many requests and how long a run over 365 days of all reports takes, against the floor.

The floor of requests: one to learn the role, one per 2,000 records of each list, and per
invoice one for its messages and one for its payments: some cancel each other out. The floor of
time: those requests at Harvest's 100 in 15 seconds.

Run: .venv/bin/python -m benchmarks.year [--instance]   (--instance: with a SQLite instance, as the
UI has it; without, in memory)
"""

import argparse
import math
import os
import sys
import tempfile
import time
from datetime import date, timedelta

import dagster as dg
from tabulate import tabulate

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.orchestration.partitions import range_tags
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import truth


def floor(sandbox: SandboxServer, window: Window) -> dict[str, int]:
    """Requests per record that no client can do without."""
    needed = {"users/me": 1}
    records = sandbox.account.records
    for record in RECORDS.values():
        if record.endpoint and not record.parent:
            rows = truth(records, record.name)
            if record.day:
                rows = [row for row in rows if window.first <= row[record.day] <= window.last]
            needed[record.name] = max(1, math.ceil(len(rows) / 2000))
    invoices = [r for r in truth(records, "invoices") if r["issue_date"] >= window.first]
    needed["messages"] = needed["payments"] = len(invoices)
    return needed


def asked(sandbox: SandboxServer) -> dict[str, int]:
    """Requests per record that the sandbox has seen."""
    counts: dict[str, int] = {}
    for path in sandbox.account.request_log.paths():
        name = "users/me" if path.endswith("/users/me") else path.rpartition("/")[2]
        counts[name] = counts.get(name, 0) + 1
    return counts


def main() -> None:
    """Run once and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--instance", action="store_true", help="with a SQLite instance")
    arguments = parser.parse_args()
    today = date.today()
    window = Window(today - timedelta(days=364), today)
    with SandboxServer() as sandbox, tempfile.TemporaryDirectory() as folder:
        os.environ.update(sandbox.environment())
        os.environ["HARVEST_DUCKDB"] = f"{folder}/warehouse.duckdb"
        os.environ["HARVEST_START_DATE"] = sandbox.first_day.isoformat()
        instance = (
            dg.DagsterInstance.local_temp(folder)
            if arguments.instance
            else dg.DagsterInstance.ephemeral()
        )
        started, cpu = time.monotonic(), time.process_time()
        result = (
            build_definitions()
            .resolve_implicit_global_asset_job_def()
            .execute_in_process(instance=instance, tags=range_tags(window), raise_on_error=False)
        )
        seconds, cpu = time.monotonic() - started, time.process_time() - cpu
        needed, made = floor(sandbox, window), asked(sandbox)
    rows = [(name, needed[name], made.get(name, 0)) for name in needed]
    total, least = sum(made.values()), sum(needed.values())
    print(tabulate([*rows, ("all", least, total)], headers=["list", "floor", "made"]))
    at_limit = max(0, math.ceil(least / 100) - 1) * 15
    print(f"success: {result.success}; requests made / floor: {total / least:.3f}")
    print(f"{seconds:.0f} s in all, {cpu:.0f} s of CPU; floor at Harvest's limit: {at_limit} s")
    sys.exit(not result.success)


if __name__ == "__main__":
    main()
