"""What the measurements share: commands with their cost, and what becomes a part of the report."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tabulate import tabulate

from harvest_pipeline.settings import project_folder


@dataclass(frozen=True)
class Target:
    """A line of the summary. `limited_by` says what stands in the way of a target not met."""

    what: str
    target: str
    measured: str
    met: bool
    limited_by: str = ""


@dataclass(frozen=True)
class Line:
    """A line of a plot."""

    label: str
    x: list[float]
    y: list[float]


@dataclass(frozen=True)
class Plot:
    """A plot in a file of that name; `lines` over a logarithmic x, or `bars`."""

    name: str
    title: str
    x: str
    y: str
    lines: list[Line] = field(default_factory=list[Line])
    bars: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class Part:
    """One measurement: `text` is Markdown, how it was done and its tables."""

    title: str
    text: str
    targets: list[Target]
    plots: list[Plot] = field(default_factory=list[Plot])

    def __str__(self) -> str:
        return f"{self.title}\n\n{self.text}\n\n{verdicts(self.targets)}\n"


def prose(doc: str | None) -> str:
    """A module's docstring without its first line and the command, each paragraph a line."""
    paragraphs = (doc or "").strip().split("\n\n")
    return "\n\n".join(each.replace("\n", " ") for each in paragraphs if each[:1] != " ")


def table(headers: list[str], rows: list[list[object]]) -> str:
    """A Markdown table."""
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def verdicts(targets: list[Target]) -> str:
    """The table of targets."""
    rows: list[list[object]] = [
        [each.what, each.target, each.measured, "yes" if each.met else f"**no**: {each.limited_by}"]
        for each in targets
    ]
    return table(["what", "target", "measured", "met"], rows)


@dataclass(frozen=True)
class Cost:
    """What a process cost from its start to its end, its children included, and what it said."""

    seconds: float
    processor: float
    megabytes: float
    said: dict[str, float]


def cost_of(module: str, *arguments: object, environment: Mapping[str, str] | None = None) -> Cost:
    """Run `python -m module arguments`; its last line may be figures in JSON. Raises
    CalledProcessError if it fails."""
    command = [sys.executable, "-W", "ignore", "-m", module, *map(str, arguments)]
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        cwd=project_folder(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if not os.environ.get("BENCHMARK_VERBOSE") else None,
    ) as process:
        assert process.stdout
        output = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    last = output.strip().rpartition("\n")[2]
    return Cost(
        seconds,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss / 1024,
        json.loads(last) if last.startswith("{") else {},
    )


@contextmanager
def no_limits() -> Generator[None]:
    """Ask the server as often as one likes; requests are counted as ever."""
    from harvest_pipeline.harvest import access
    from harvest_pipeline.harvest.client import HarvestClient
    from harvest_pipeline.harvest.limits import Limit, Limits

    lifted = Limits(Limit(1_000_000, 1.0, 1.0), Limit(1_000_000, 1.0, 1.0))

    def unlimited(**given: Any) -> HarvestClient:
        return HarvestClient(**{**given, "limits": lifted})

    with patch.object(access, "HarvestClient", unlimited):
        yield


def make_dagster_home(folder: Path) -> Path:
    """A Dagster home in `folder` with this project's dagster.yaml, its files made."""
    import dagster as dg

    home = folder / "home"
    home.mkdir(parents=True)
    (home / "dagster.yaml").symlink_to(project_folder() / "dagster.yaml")
    dg.DagsterInstance.from_config(str(home)).dispose()
    return home


def mebibytes(folder: Path) -> float:
    """The size of all files in a folder."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file()) / 2**20
