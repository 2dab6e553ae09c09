"""One asset of one day in a running process, beyond its requests.

    .venv/bin/python -m benchmarks.one_day [days]

Materializes `harvest/daily` of one day after the other of a sandbox account, with a Dagster home on
disk, as the process of a run does it when its imports are done. The requests that each run makes
are measured beside it, over a connection of their own.
"""

import os
import sys
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from unittest.mock import patch

import dagster as dg
import requests

from benchmarks.measure import Part, Target, make_dagster_home, no_limits, prose
from harvest_pipeline.orchestration.build import build_definitions
from harvest_pipeline.orchestration.partitions import range_tags
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.sandbox.server import SandboxServer

TODAY = date(2026, 11, 20)


def measure(days: int = 20) -> Part:
    """The median of so many days; the first run, which makes the tables, is not among them."""
    took: list[float] = []
    answers: list[float] = []
    with (
        SandboxServer(today=TODAY, years=1, rate_limit=None) as sandbox,
        TemporaryDirectory() as name,
        no_limits(),
        patch.dict(
            os.environ,
            sandbox.environment(),
            HARVEST_DUCKDB=str(Path(name) / "warehouse.duckdb"),
            HARVEST_START_DATE=sandbox.first_day.isoformat(),
            HARVEST_CONFIG=os.devnull,
            PYTHON_DOTENV_DISABLED="1",
        ),
        dg.DagsterInstance.from_config(str(make_dagster_home(Path(name)))) as instance,
        requests.Session() as session,
    ):
        job = build_definitions().resolve_implicit_global_asset_job_def()
        session.headers["Authorization"] = f"Bearer {sandbox.tokens['administrator']}"
        session.headers["Harvest-Account-Id"] = str(sandbox.account_id)
        for back in range(days + 1):
            day = TODAY - timedelta(days=back)
            sandbox.account.request_log.clear()
            began = perf_counter()
            job.execute_in_process(
                instance=instance,
                asset_selection=[dg.AssetKey(["harvest", "daily"])],
                tags=range_tags(Window(day, day)),
            )
            took.append(perf_counter() - began)
            asked = list(sandbox.account.request_log.requests)
            began = perf_counter()
            for each in asked:
                session.get(f"{sandbox.id_url}{each.path}?{each.query}").raise_for_status()
            answers.append(perf_counter() - began)
    run, request = median(took[1:]), median(answers[1:])
    text = (
        f"{prose(__doc__)}\n\nMedian of {days} days: {run * 1000:.0f} ms, of which"
        f" {request * 1000:.0f} ms are requests."
    )
    return Part(
        "One asset, one day",
        text,
        [
            Target(
                "one asset, one day, process running",
                "0.5 s beyond the request",
                f"{run - request:.2f} s",
                run - request <= 0.5,
                "about 35 events, each committed by itself in one or two SQLite files",
            )
        ],
    )


if __name__ == "__main__":
    print(measure(*map(int, sys.argv[1:])))
