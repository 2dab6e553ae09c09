"""A run over 20,000 invoices is interrupted at 10, 50 and 90 %: is any invoice asked twice?

    .venv/bin/python -m benchmarks.resume [invoices] [failure SIGTERM SIGKILL]

The run is a real one: `invoice_messages` of 200 days, in a process of its own, into a warehouse on
disk, over HTTP. Other than usual: Harvest's limit of 100 requests in 15 seconds is lifted; the
process is forked from one that has imported Dagster; its Dagster instance is in memory and knows of
the earlier runs what counts, since to write each run's partitions into SQLite takes longer than
all else. It is interrupted when 10 % of the invoices have been answered, executed again,
interrupted at 50 %, executed again, interrupted at 90 %, and executed again, in each of three ways:
Harvest answers 503 from there on; the process gets SIGTERM, as Dagster's *Terminate* sends it; it
gets SIGKILL. Each run has the tags of a re-execution of the one before.

The floor is one request an invoice. `twice` are answers that Harvest had given before. Wrong, and
the exit code 1, is: a message that is missing, an answer that came twice; after SIGKILL, more than
a piece of them and what was in flight.
"""

import multiprocessing
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import dagster as dg
import duckdb
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._utils.interrupts import setup_interrupt_handlers

from harvest_pipeline.harvest import access
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.limits import Limit, Limits
from harvest_pipeline.loading.window import PARENTS_PER_PIECE
from harvest_pipeline.orchestration import steps as failures
from harvest_pipeline.orchestration.build import build_definitions
from harvest_pipeline.orchestration.partitions import range_tags
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.conftest import HASTE
from harvest_pipeline_tests.loading.many_invoices import FIRST, LAST, ManyInvoices

SHARES = (0.1, 0.5, 0.9, None)
WAYS = {"failure": 0, "SIGTERM": signal.SIGTERM, "SIGKILL": signal.SIGKILL}
#: A piece ends with its day, and four requests are in flight.
MOST_AFTER_KILL = PARENTS_PER_PIECE + 4
_UNLIMITED = Limit(100_000, 0.1, fallback_pause=0.1)
_processes = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Ran:
    """What became of one run, and the seconds of its process."""

    ended: str
    answers: int
    twice: int
    seconds: float
    processor: float


def execute(job: dg.JobDefinition, runs: list[str], told: Connection) -> None:
    """The process of the last of these runs; tells how it ended."""
    setup_interrupt_handlers()
    usual = HarvestClient
    access.HarvestClient = lambda **given: usual(
        **{**given, "patience": HASTE, "limits": Limits(_UNLIMITED, _UNLIMITED)}
    )
    instance = dg.DagsterInstance.ephemeral()
    for number, run_id in enumerate(runs[:-1], 1):
        instance.add_run(dg.DagsterRun(job.name, run_id, tags=tags_of(runs[:number])))
    try:
        result = job.execute_in_process(
            instance=instance,
            run_id=runs[-1],
            asset_selection=[dg.AssetKey(["harvest", "invoice_messages"])],
            tags={**range_tags(Window(FIRST, LAST)), **tags_of(runs)},
            raise_on_error=False,
        )
        told.send("success" if result.success else "failure")
    except DagsterExecutionInterruptedError:
        told.send("terminated")


def tags_of(runs: list[str]) -> dict[str, str]:
    """The tags of the last of these runs, each a re-execution of the one before."""
    *_, parent, _ = [None, None, *runs]
    return {"dagster/parent_run_id": parent, "dagster/root_run_id": runs[0]} if parent else {}


def ran(
    job: dg.JobDefinition, invoices: ManyInvoices, runs: list[str], stop: int | None, way: int
) -> Ran:
    """Execute the last of these runs again, or the first one; its id is added. It is interrupted
    after `stop` answers of all runs together."""
    runs.append(str(uuid4()))
    before = invoices.answered()
    invoices.mend()
    told, tell = _processes.Pipe(duplex=False)
    process = _processes.Process(target=execute, args=(job, runs, tell))
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process.start()
    tell.close()
    if stop is not None:
        invoices.interrupt_after(stop, way, process.pid or 0)
    process.join()
    seconds, spent = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    came = invoices.answered() - before
    return Ran(
        told.recv() if process.exitcode == 0 else "killed",
        answers=came.total(),
        twice=sum(count - (path not in before) for path, count in came.items()),
        seconds=seconds,
        processor=spent.ru_utime + spent.ru_stime - used.ru_utime - used.ru_stime,
    )


def interrupted(count: int, way: str, folder: Path) -> list[str]:
    """Four runs, three of which are interrupted; what is wrong in the end."""
    wrong: list[str] = []
    with ManyInvoices(count) as invoices:
        os.environ.update(
            invoices.environment(),
            HARVEST_DUCKDB=str(folder / "warehouse.duckdb"),
            HARVEST_CONFIG=os.devnull,
        )
        failures._RETRIES = 0
        job = build_definitions().resolve_implicit_global_asset_job_def()
        runs, every = list[str](), list[Ran]()
        for share in SHARES:
            stop = None if share is None else int(count * share)
            every.append(done := ran(job, invoices, runs, stop, WAYS[way]))
            print(
                f"{way:8} {f'at {share:.0%}' if share else 'to the end':10} {done.ended:11}"
                f"{done.answers:7} answers{done.twice:6} twice{done.seconds:7.1f} s"
                f"{done.processor:7.1f} s of processor",
                flush=True,
            )
            # What one interruption costs is seen in the run after it.
            if done.twice > (MOST_AFTER_KILL if way == "SIGKILL" else 0):
                wrong.append(f"{way}: {done.twice} invoices were answered twice")
        answers = sum(each.answers for each in every)
        print(
            f"{way:8} {'together':22}{answers:7} answers{sum(each.twice for each in every):6} twice"
            f"{sum(each.seconds for each in every):7.1f} s"
            f"{sum(each.processor for each in every):7.1f} s of processor"
            f"  {answers / count:.4f} x floor",
            flush=True,
        )
    with duckdb.connect(folder / "warehouse.duckdb", read_only=True) as connection:
        query = "SELECT count(DISTINCT id), count(*) FROM harvest.invoice_messages"
        if connection.execute(query).fetchall() != [(count, count)]:
            wrong.append(f"{way}: the table does not hold exactly the messages of all invoices")
    return wrong


def main() -> None:
    """One way after the other."""
    count = next((int(each) for each in sys.argv[1:] if each.isdigit()), 20_000)
    wrong: list[str] = []
    for way in [each for each in sys.argv[1:] if each in WAYS] or WAYS:
        with TemporaryDirectory(prefix="resume-") as folder:
            wrong += interrupted(count, way, Path(folder))
    print("\n".join(wrong) or "No message is missing, no invoice was asked again without need.")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
