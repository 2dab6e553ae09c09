"""Everything is killed in the middle of a backfill, and started again: is all of it there, and
when?

    .venv/bin/python -m benchmarks.crash [15 50 85]

Serves the UI with its daemon as `make dev` does, on a sandbox account and with the project's
dagster.yaml. A backfill of 100 days of all reports with days is launched, and another run behind it
in the queue. When so many percent of the partitions are materialized, all processes get SIGKILL,
and the UI is started again. Printed is how long the run in the queue and the backfill took from
there.
Wrong, and the exit code 1, is: a partition that is missing, a table that does not equal the
sandbox's, a window that was loaded more often than the one that was in flight.
"""

import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import duckdb

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.catalogue.reports import REPORTS, record_of
from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.cli.ui.conftest import Dev, started_dev
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import truth

DAYS = 100
#: What is waited for after the restart, in seconds.
PATIENCE = 300
REPORTS_WITH_DAYS = [name for name, each in REPORTS.items() if record_of(each).day]
REPORTS_WITHOUT_DAYS = [name for name in REPORTS if name not in REPORTS_WITH_DAYS]
_BACKFILL = """
mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
_STATUS = """
query($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status } } }"""


def materialized(home: Path) -> int:
    """How many materializations Dagster has recorded, of all reports with days."""
    index = home / "history" / "runs" / "index.db"
    if not index.exists():
        return 0
    with closing(sqlite3.connect(f"file:{index}?mode=ro", uri=True)) as connection:
        return connection.execute(
            "SELECT count(*) FROM event_logs WHERE partition IS NOT NULL"
            " AND dagster_event_type = 'ASSET_MATERIALIZATION'"
        ).fetchone()[0]


def until(condition: Callable[[], object], seconds: float) -> float:
    """Wait for it; how long that took, in seconds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"It was not so within {seconds:g} s.")
        time.sleep(0.2)
    return time.monotonic() - began


def crashed(percent: int, folder: Path) -> list[str]:
    """One crash; what is wrong afterwards."""
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").symlink_to(project_folder() / "dagster.yaml")
    database = folder / "warehouse.duckdb"
    today = datetime.now(UTC).date()
    first = today - timedelta(days=DAYS - 1)
    with SandboxServer(years=0.5, rate_limit=None) as sandbox:
        environment = {
            **sandbox.environment(),
            "DAGSTER_HOME": str(home),
            "HARVEST_DUCKDB": str(database),
            "HARVEST_START_DATE": first.isoformat(),
            "HARVEST_CONFIG": os.devnull,
        }
        with started_dev(environment, folder / "first.txt") as dev:
            backfill = launched(dev, first, today)
            until(lambda: materialized(home) > 0, 120)
            queued = dev.launch("harvest", *REPORTS_WITHOUT_DAYS)
            until(lambda: materialized(home) >= percent / 100 * DAYS * len(REPORTS_WITH_DAYS), 120)
            os.killpg(dev.process.pid, signal.SIGKILL)
            dev.process.wait(10)
            until(lambda: not dev.lives(), 10)
            before = materialized(home)
        with started_dev(environment, folder / "second.txt") as dev:
            drained = until(lambda: dev.status(queued) == "SUCCESS", PATIENCE)
            finished = drained + until(lambda: not missing(home, first), PATIENCE)
            until(lambda: called(dev, backfill) != "REQUESTED", PATIENCE)
            status = called(dev, backfill)
        print(
            f"killed at {before} of {DAYS * len(REPORTS_WITH_DAYS)} partitions ({percent} %): "
            f"the run in the queue had ended {drained:.0f} s after the restart, all partitions "
            f"were there after {finished:.0f} s; Dagster calls the backfill {status}"
        )
        return [*missing(home, first), *different(database, sandbox, first), *twice(database)]


def launched(dev: Dev, first: date, last: date) -> str:
    """The id of a backfill over these days of all reports that have days."""
    days = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
    keys = [{"path": ["harvest", name]} for name in REPORTS_WITH_DAYS]
    parameters = {"assetSelection": keys, "partitionNames": days}
    return dev.ask(_BACKFILL, params=parameters)["launchPartitionBackfill"]["backfillId"]


def called(dev: Dev, backfill: str) -> str:
    """What Dagster calls the backfill."""
    return dev.ask(_STATUS, id=backfill)["partitionBackfillOrError"]["status"]


def missing(home: Path, first: date) -> list[str]:
    """The partitions that Dagster does not show as materialized."""
    wanted = {(first + timedelta(days=n)).isoformat() for n in range(DAYS)}
    with dg.DagsterInstance.from_config(str(home)) as instance:
        return [
            f"{name} of {day} is not materialized"
            for name in REPORTS_WITH_DAYS
            for day in sorted(
                wanted - set(instance.get_materialized_partitions(dg.AssetKey(["harvest", name])))
            )
        ]


def different(database: Path, sandbox: SandboxServer, first: date) -> list[str]:
    """The tables that do not hold exactly the sandbox's records of these days."""
    wrong: list[str] = []
    with duckdb.connect(database, read_only=True) as connection:
        for record in {record_of(REPORTS[name]).name for name in REPORTS_WITH_DAYS}:
            rows = connection.execute(f"SELECT id FROM harvest.{record} ORDER BY id").fetchall()
            day = RECORDS[record].day or ""
            there = truth(sandbox.account.records, record)
            parent = RECORDS[record].parent
            if parent:  # the day is that of the invoice
                invoices = truth(sandbox.account.records, parent)
                of_days = {row["id"] for row in invoices if row["issue_date"] >= first}
                ids = sorted((row["id"],) for row in there if row["invoice_id"] in of_days)
            else:
                ids = sorted((row["id"],) for row in there if row[day] >= first)
            if rows != ids:
                wrong.append(f"{record} has {len(rows)} rows and not the sandbox's {len(ids)}")
    return wrong


def twice(database: Path) -> list[str]:
    """What was loaded more often than once by the backfill and again by what was in flight."""
    with duckdb.connect(database, read_only=True) as connection:
        return [
            f"{record} was loaded {count} times"
            for record, count in connection.execute(
                "SELECT record, count(*) FROM harvest._loads WHERE window_first IS NOT NULL"
                " GROUP BY record, window_first, window_last, filters HAVING count(*) > 1"
            ).fetchall()
        ]


def main() -> None:
    """One crash after the other."""
    wrong: list[str] = []
    for percent in [int(each) for each in sys.argv[1:]] or [15, 50, 85]:
        with TemporaryDirectory(prefix="crash-") as folder:
            wrong += crashed(percent, Path(folder))
    print("\n".join(wrong) or "Nothing is missing, different, or loaded twice.")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
