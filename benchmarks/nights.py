"""How many requests the loop makes, and how long it takes, with all reports and with the 18 of the
Domo connector alone.

    .venv/bin/python -W ignore -m benchmarks.nights

Lists and Harvest's reports are counted apart, for those have a limit of their own. All comes within
an hour of Harvest's clock: a later night also asks a seventh of the invoices of 400 days for their
messages and payments (HARVEST_SWEEP_REQUESTS). Harvest's limit is lifted and it answers at once, so
the seconds are those of the pipeline; the models and the dashboard are in them.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from unittest.mock import patch

import dagster as dg

from benchmarks.measure import Part, Target, no_limits, prose, table
from benchmarks.year import floor
from harvest_pipeline.orchestration.build import build_definitions
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.sandbox.server import SandboxServer

TODAY = date(2026, 11, 20)
#: A usual day: late and corrected entries on scattered days, a move, a deletion, an expense, a
#: payment, a renamed client.
EDITS = 12
#: What the Domo connector does not have.
OTHERS = (
    *("estimates", "estimate_messages", "estimate_item_categories", "user_assignments", "roles"),
    *("project_budgets", "billable_rates", "cost_rates", "teammates", "people_snapshots"),
    "company",
)
FIRST, QUIET = "first load of a year, by the night", "quiet night, today was read before"
USUAL, NIGHT = "a day of usual edits, tick and run of the sensor", "its night, with one deletion"


class Account:
    """A sandbox account of a year, and the project that loads it."""

    def __init__(self, sandbox: SandboxServer) -> None:
        self.sandbox = sandbox
        self.instance = dg.DagsterInstance.ephemeral()
        self.definitions = build_definitions()
        self.day = TODAY
        self.rows: list[tuple[str, int, int, float]] = []

    @contextmanager
    def counted(self, what: str) -> Iterator[None]:
        """What is done here is a row of the table."""
        self.sandbox.world.clock.advance(600)
        self.sandbox.account.request_log.clear()
        now = datetime.combine(self.day, time(12), UTC)
        began = monotonic()
        with dg.partition_loading_context(effective_dt=now):
            yield
        seconds = round(monotonic() - began, 1)
        paths = self.sandbox.account.request_log.paths()
        reports = sum("/reports/" in path for path in paths)
        self.rows.append((what, len(paths) - reports, reports, seconds))

    def run(self, job: str, config: object = None) -> None:
        """A run of a job; raises if it fails."""
        self.definitions.get_job_def(job).execute_in_process(
            instance=self.instance, run_config=config
        )

    def tick(self) -> dg.RunRequest | None:
        """A tick of the sensor, and the run that it requests."""
        context = dg.build_sensor_context(sensor_name="harvest_changes")
        context._instance = self.instance  # type: ignore[attr-defined] - an ephemeral one is refused
        with context:
            tick = self.definitions.resolve_sensor_def("harvest_changes").evaluate_tick(context)
        return tick.run_requests[0] if tick.run_requests else None

    def edit(self) -> None:
        """A usual day at Harvest."""
        account = self.sandbox.account
        entries = account.records.time_entries.ascending()
        for number in range(EDITS):
            entry = entries[-1 - number * number]
            account.change("time_entries", entry.id, hours=f"{1 + number % 7}.25")
        account.change("time_entries", entries[-400].id, spent_date=TODAY - timedelta(days=3))
        account.create("time_entries", like=entries[-2].id, spent_date=TODAY)
        expense = account.records.expenses.ascending()[-3]
        account.change("expenses", expense.id, total_cost=77)
        account.add_payment(account.records.invoices.ascending()[-2].id, 50)
        client = account.records.clients.ascending()[0]
        account.change("clients", client.id, name="Renamed & Sons")
        account.delete("time_entries", entries[-500].id)


def measure() -> Part:
    """All of it, in the order of a life."""
    least, rows = _life(())
    _, fewer = _life(OTHERS)
    asked = {what: lists for what, lists, _, _ in rows}
    first, quiet, edits = asked[FIRST], asked[QUIET], asked[USUAL]
    columns = ["what", "lists", "reports", "seconds", "18: lists", "reports", "seconds"]
    both = [[*row, *of_fewer[1:]] for row, of_fewer in zip(rows, fewer, strict=True)]
    text = f"{prose(__doc__)}\n\n{table(columns, both)}\n\nThe floor of the first load: {least}."
    return Part(
        "Requests",
        text,
        [
            Target(
                "requests of a first load",
                "floor + 1 %",
                f"{first}; floor {least}",
                first <= least * 1.01,
                "three ask, once, what is older than the first day",
            ),
            Target("requests of a quiet night", "16", f"{quiet}", quiet <= 16, "a count a list"),
            Target(
                f"requests of a day of usual edits ({EDITS + 5}), tick and run of the sensor",
                "30",
                f"{edits}, and {asked[NIGHT]} in its night, with one deletion",
                edits <= 30,
                "each edited list is counted and read",
            ),
        ],
    )


def _life(without: Sequence[str]) -> tuple[int, list[tuple[str, int, int, float]]]:
    """The fewest requests of a first load of all reports, and what was done without some."""
    with (
        SandboxServer(today=TODAY, years=1, rate_limit=None) as sandbox,
        TemporaryDirectory() as folder,
        no_limits(),
        patch.dict(
            os.environ,
            sandbox.environment(),
            HARVEST_DUCKDB=str(Path(folder) / "warehouse.duckdb"),
            HARVEST_START_DATE=sandbox.first_day.isoformat(),
            HARVEST_CONFIG=str(Path(folder) / "harvest.yaml"),
            PYTHON_DOTENV_DISABLED="1",
        ),
    ):
        Path(os.environ["HARVEST_CONFIG"]).write_text(f"disabled_reports: [{', '.join(without)}]")
        least = floor(sandbox, Window(sandbox.first_day, TODAY))
        return least, list(_lived(Account(sandbox)))


def _lived(account: Account) -> Iterator[tuple[str, int, int, float]]:
    """What was done, its requests and its seconds."""
    with account.counted(FIRST):
        account.run("harvest_reconcile")
    with account.counted("quiet tick of the sensor"):
        account.tick()
    with account.counted(QUIET):
        account.run("harvest_reconcile")
    with account.counted("quiet night of a new day"):
        account.day += timedelta(days=1)
        with dg.partition_loading_context(
            effective_dt=datetime.combine(account.day, time(12), UTC)
        ):
            account.run("harvest_reconcile")
    account.edit()
    with account.counted(USUAL):
        request = account.tick()
        assert request
        account.run("harvest_changes", request.run_config)
    with account.counted(NIGHT):
        account.run("harvest_reconcile")
    yield from account.rows


if __name__ == "__main__":
    print(measure())
