"""Three years of all reports of a small account in one run: what Dagster adds, and what it keeps.

    .venv/bin/python -m benchmarks.year [years]

The floor of requests is one to learn the role, one per 2,000 records of each list, and per invoice
one for its messages and one for its payments. The floor of time is the same reads and loads by the
same code in a loop, without Dagster, previews and checks. Harvest's limit is lifted, the account is
the sandbox's.
"""

import json
import math
import os
import sys
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from benchmarks.measure import (
    Part,
    Target,
    cost_of,
    make_dagster_home,
    mebibytes,
    no_limits,
    prose,
    table,
)
from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.catalogue.reports import REPORTS, record_of
from harvest_pipeline.scope import Filters, Scope, Window
from harvest_pipeline.settings import load_project
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import truth

YEARS = 3.0


def floor(sandbox: SandboxServer, window: Window) -> int:
    """The requests that no client can do without: each page of each list, and one for each parent
    of what is asked for parent by parent. A snapshot of people could be taken from their list."""
    needed, records = 1, sandbox.account.records

    def rows_of(record: Record) -> list[dict[str, Any]]:
        rows = truth(records, record.name, window.last)
        if record.day is None or record.is_snapshot:
            return rows
        return [row for row in rows if window.first <= row[record.day] <= window.last]

    for record in RECORDS.values():
        if record.endpoint and record.parent:
            parents = rows_of(RECORDS[record.parent])
            column, text = record.parent_has or ("", "")
            needed += sum(not column or text in row[column] for row in parents)
        elif record.endpoint and record.name != "people_snapshots":
            needed += max(1, math.ceil(len(rows_of(record)) / 2000))
    return needed


def by_dagster(window: Window) -> None:
    """One run of every report."""
    import dagster as dg

    from harvest_pipeline.orchestration.build import build_definitions
    from harvest_pipeline.orchestration.partitions import range_tags

    definitions = build_definitions()
    every = definitions.resolve_asset_graph().materializable_asset_keys
    keys = [key for key in every if key.path[-1] in REPORTS]
    began = perf_counter()
    with no_limits(), dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"]) as instance:
        definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, asset_selection=keys, tags=range_tags(window)
        )
    print(json.dumps({"run": perf_counter() - began}))


def by_a_loop(window: Window) -> None:
    """The same reads and loads."""
    from contextlib import closing

    from harvest_pipeline.harvest.access import client_from_environment
    from harvest_pipeline.loading.window import Loads, spool_folder
    from harvest_pipeline.warehouse.database import Warehouse
    from harvest_pipeline.warehouse.ledger import LoadContext
    from harvest_pipeline.warehouse.loading import load_each
    from harvest_pipeline.warehouse.place import place_of

    def quiet(_: str) -> None:
        pass

    account = load_project().accounts[0]
    warehouse = Warehouse(place_of(account.project), account.name)
    began = perf_counter()
    with (
        no_limits(),
        closing(client_from_environment(account, os.environ, quiet)) as client,
        spool_folder(account.project.state_folder) as folder,
    ):
        loads = Loads(client, warehouse, ["run"], folder, quiet)
        identity = client.identity
        for report in REPORTS.values():
            record = record_of(report)
            days = Window(window.last, window.last) if record.is_snapshot else window
            scope = Scope(record.name, days if record.day else None, Filters())
            context = LoadContext("run", report.name, int(identity.account_id), identity.reader)
            list(load_each(warehouse, loads.spools(record, scope), context, quiet))
    print(json.dumps({"run": perf_counter() - began}))


def measure(years: float = YEARS) -> Part:
    """Both, against a sandbox of its own."""
    runs = {}
    with SandboxServer(years=years, rate_limit=None) as sandbox:
        window = Window(sandbox.first_day, date.today())
        least = floor(sandbox, window)
        for work in ("by_a_loop", "by_dagster"):
            with TemporaryDirectory(prefix="year-") as name:
                home = make_dagster_home(Path(name))
                sandbox.account.request_log.clear()
                empty = mebibytes(home)
                cost = cost_of(
                    "benchmarks.year",
                    work,
                    window.first,
                    window.last,
                    environment={
                        **sandbox.environment(),
                        "DAGSTER_HOME": str(home),
                        "HARVEST_DUCKDB": str(Path(name) / "warehouse.duckdb"),
                        "HARVEST_START_DATE": f"{window.first}",
                        "HARVEST_CONFIG": os.devnull,
                        "PYTHON_DOTENV_DISABLED": "1",
                    },
                )
                requests = len(sandbox.account.request_log.requests)
                runs[work] = cost, requests, mebibytes(home), empty
    days = (window.last - window.first).days + 1
    headers = ["by", "seconds of the run", "of processor", "requests", "× floor", "MB at most"]
    rows: list[list[object]] = [
        [
            work.replace("_", " "),
            f"{cost.said['run']:.1f}",
            f"{cost.processor:.1f}",
            requests,
            f"{requests / least:.3f}",
            f"{cost.megabytes:.0f}",
        ]
        for work, (cost, requests, _, _) in runs.items()
    ]
    loop, dagster = (runs[work][0].said["run"] for work in ("by_a_loop", "by_dagster"))
    processor = runs["by_dagster"][0].processor - runs["by_a_loop"][0].processor
    _, requests, size, empty = runs["by_dagster"]
    limit = max(0, math.ceil(least / 100) - 1) * 15
    text = (
        f"{prose(__doc__)}\n\n{table(headers, rows)}\n\n{days:,} days. The floor of requests is "
        f"{least:,}, for which Harvest's limit takes {limit} s. Of {size:.1f} MiB in DAGSTER_HOME, "
        f"{empty:.1f} were there before the run."
    )
    return Part(
        "All reports of three years",
        text,
        [
            Target(
                f"all reports of {days:,} days: Dagster's part",
                "at most 40 s",
                f"{dagster - loop:.1f} s beside {loop:.1f} s of reading and loading;"
                f" {processor:.1f} s of processor",
                dagster - loop <= 40,
                "an event planned and one materialized for each day of each report with days",
            ),
            Target(
                f"all reports of {days:,} days: event storage",
                "at most 20 MB",
                f"{size - empty:.1f} MiB",
                size - empty <= 20,
                "an event planned and one materialized for each day of each report with days, "
                "each with its figures, in the file of the run and in that of all runs",
            ),
            Target(
                f"all reports of {days:,} days: requests",
                "floor + 1 %",
                f"{requests:,}; floor {least:,}",
                requests <= least * 1.01,
            ),
        ],
    )


if __name__ == "__main__":
    if len(sys.argv) > 2:
        globals()[sys.argv[1]](Window(*map(date.fromisoformat, sys.argv[2:])))
    else:
        print(measure(*map(float, sys.argv[1:])))
