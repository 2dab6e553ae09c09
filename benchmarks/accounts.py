"""A night and a first load of many accounts, on hosts that share them.

    .venv/bin/python -W ignore -m benchmarks.accounts [--sizes 10 50 200] [--hosts 2] [--runs 2]

Each host has a home, a Dagster and a number of runs at once, each a process as Dagster starts it
(`dagster job execute -j <account>_reconcile`); a run takes the next account, whichever host is
free. Harvest's limits hold, for each account by itself, and the server counts what it refuses. The
sandbox's accounts have a few months and few people. First all accounts are loaded, then comes a
night in which nothing has changed.
"""

import argparse
import os
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks.measure import (
    Cost,
    Line,
    Part,
    Plot,
    Target,
    cost_of,
    make_dagster_home,
    mebibytes,
    prose,
    table,
)
from harvest_pipeline_tests.sandbox.server import SandboxServer

SIZES = (10,)
TODAY = date(2026, 11, 20)
YEARS, SCALE = 0.25, 0.3
_DEFINITIONS = "harvest_pipeline.definitions"


@dataclass(frozen=True)
class Round:
    """What the runs of all accounts cost together; `runs` are those that ended well."""

    seconds: float
    runs: list[Cost]
    failed: int
    requests: int
    refused: int

    def row(self, what: str, accounts: int) -> list[object]:
        """A line of the table."""
        processor = sum(each.processor for each in self.runs)
        return [
            *(f"{accounts}", what, f"{self.seconds:.0f}", f"{self.seconds / accounts:.1f}"),
            *(f"{processor / max(1, len(self.runs)):.1f}", f"{self.slowest:.0f}"),
            *(f"{self.megabytes:.0f}", f"{self.requests / accounts:.0f}"),
            *(f"{self.refused}", f"{self.failed}"),
        ]

    @property
    def slowest(self) -> float:
        """Seconds of the longest run."""
        return max((each.seconds for each in self.runs), default=0)

    @property
    def megabytes(self) -> float:
        """Of the largest run."""
        return max((each.megabytes for each in self.runs), default=0)


_COLUMNS = [
    *("accounts", "what", "seconds", "an account", "processor of a run", "longest run"),
    *("MB of a run", "requests an account", "429", "failed"),
]


class Company:
    """A number of accounts, their hosts and their warehouse."""

    def __init__(self, sandbox: SandboxServer, hosts: Sequence[Path], runs: int) -> None:
        self._sandbox, self._hosts, self._runs = sandbox, hosts, runs
        self.names = [f"account_{number:04}" for number in range(len(sandbox.accounts))]

    def round(self) -> Round:
        """A reconcile run of every account."""
        log = self._sandbox.world.request_log.requests
        log.clear()
        waiting = SimpleQueue[str]()
        for name in self.names:
            waiting.put(name)
        began = perf_counter()
        with ThreadPoolExecutor(len(self._hosts) * self._runs) as pool:
            ended = [
                cost
                for costs in pool.map(
                    lambda host: list(_work(host, waiting)), [*self._hosts] * self._runs
                )
                for cost in costs
            ]
        seconds = perf_counter() - began
        runs = [each for each in ended if each]
        refused = sum(request.status == 429 for request in log)
        return Round(seconds, runs, len(ended) - len(runs), len(log), refused)


def _work(host: Path, waiting: SimpleQueue[str]) -> Iterator[Cost | None]:
    """What the runs of a host cost, one after the other; None for one that failed."""
    environment = {"HOME": str(host), "DAGSTER_HOME": str(host / "home")}
    while True:
        try:
            job = ("-m", _DEFINITIONS, "-j", f"{waiting.get_nowait()}_reconcile")
        except Empty:
            return
        try:
            yield cost_of("dagster", "job", "execute", *job, environment=environment)
        except subprocess.CalledProcessError:
            yield None


@contextmanager
def _company(accounts: int, hosts: int, runs: int, folder: Path) -> Iterator[Company]:
    with SandboxServer(today=TODAY, years=YEARS, scale=SCALE, accounts=accounts) as sandbox:
        homes = [folder / f"host{number}" for number in range(hosts)]
        for home in homes:
            make_dagster_home(home)
        file = folder / "harvest.yaml"
        entries = (
            f"  - {{name: account_{number:04}, account_id: {account.id}}}"
            for number, account in enumerate(sandbox.accounts)
        )
        file.write_text("\n".join(["accounts:", *entries]))
        environment = sandbox.environment() | {
            "HARVEST_ACCOUNT_ID": "",
            "HARVEST_CONFIG": str(file),
            "HARVEST_DUCKDB": os.environ.get("HARVEST_DUCKDB", str(folder / "warehouse.duckdb")),
            "HARVEST_START_DATE": f"{sandbox.first_day}",
            "PYTHON_DOTENV_DISABLED": "1",
        }
        before = dict(os.environ)
        os.environ.update(environment)
        try:
            yield Company(sandbox, homes, runs)
        finally:
            os.environ.clear()
            os.environ.update(before)


def measure(sizes: Sequence[int] = SIZES, hosts: int = 2, runs: int = 2) -> Part:
    """A first load and a quiet night for each number of accounts."""
    rows: list[list[object]] = []
    first, night = Line("first load", [], []), Line("quiet night", [], [])
    memory = Line("a run", [], [])
    definitions: list[list[object]] = []
    rounds: list[Round] = []
    for accounts in sizes:
        with (
            TemporaryDirectory(prefix="accounts-") as folder,
            _company(accounts, hosts, runs, Path(folder)) as company,
        ):
            loaded = cost_of(_DEFINITIONS)
            dagster = cost_of("dagster", "--version")
            definitions.append(
                [
                    f"{accounts}",
                    f"{loaded.processor - dagster.processor:.1f}",
                    f"{loaded.megabytes - dagster.megabytes:.0f}",
                ]
            )
            for what, line in (("first load", first), ("quiet night", night)):
                found = company.round()
                rows.append(found.row(what, accounts))
                rounds.append(found)
                line.x.append(accounts)
                line.y.append(found.seconds)
            memory.x.append(accounts)
            memory.y.append(rounds[-1].megabytes)
            size = mebibytes(Path(folder)) / accounts
    refused, failed = sum(each.refused for each in rounds), sum(each.failed for each in rounds)
    text = (
        f"{prose(__doc__)}\n\n{hosts} hosts on this machine, {runs} runs at once on each; one"
        f" DuckDB file, {size:.1f} MiB an account with its history of runs.\n\n"
        f"{table(_COLUMNS, rows)}\n\n"
        "What importing the definitions takes beyond Dagster's own import:\n\n"
        f"{table(['accounts', 'seconds of processor', 'MB'], definitions)}"
    )
    return Part(
        "Many accounts",
        text,
        [
            Target("answers 429, whatever runs at once", "none", f"{refused}", refused == 0),
            Target("runs that failed", "none", f"{failed}", failed == 0, "one file has one writer"),
        ],
        [
            Plot("accounts_time", "All accounts", "accounts", "seconds", [first, night]),
            Plot("accounts_memory", "Memory", "accounts", "MB", [memory]),
        ],
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.accounts", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--runs", type=int, default=2, help="at once on each host")
    given = parser.parse_args()
    print(measure(given.sizes, given.hosts, given.runs))
