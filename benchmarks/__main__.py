"""All measurements of speed; writes docs/performance.md and its plots.

make benchmark                                  at the usual size, about 15 minutes
make benchmark ARGS="--sizes 10000 10000000"    others: see --help
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib as mpl

from benchmarks import dev, entries, limits, nights, one_day, reread, year
from benchmarks.measure import Part, Plot, verdicts
from harvest_pipeline.settings import project_folder

DOCS = project_folder() / "docs"
PICTURES = DOCS / "performance"
_HEAD = """# Performance

Written by `make benchmark`; every figure is of the one run that is described here. A *floor* is the
least that any program has to do, measured in the same run. A target that is not met says what
limits it."""


def machine() -> str:
    """What it ran on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in ("dagster", "duckdb", "dlt"))
    return (
        f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, {platform.system()}"
        f" {platform.release()}, Python {platform.python_version()}, {packages}"
    )


def commit() -> str:
    """The commit that was measured."""
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    done = subprocess.run(command, cwd=project_folder(), capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def draw(plot: Plot) -> None:
    """Write the plot as PNG."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.8), dpi=110, layout="constrained")
    if plot.bars:
        bars = axes.bar(list(plot.bars), list(plot.bars.values()), color="#3b6ea5")
        axes.bar_label(bars, fmt="%.1f")
    for line in plot.lines:
        axes.plot(line.x, line.y, marker="o", label=line.label)
    if plot.lines:
        axes.set_xscale("log")
        axes.legend()
    axes.set(title=plot.title, xlabel=plot.x, ylabel=plot.y, ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURES / f"{plot.name}.png")
    pyplot.close(figure)


def report(
    measured: str, parts: list[Part], loads: list[float], began: float, arguments: str
) -> str:
    """The document about the commit that was measured."""
    sections = [_HEAD]
    met = sum(target.met for part in parts for target in part.targets)
    targets = [target for part in parts for target in part.targets]
    busy = f"{min(loads):.1f} to {max(loads):.1f}"
    sections.append(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {measured}, `make benchmark{arguments}`, "
        f"{(time.time() - began) / 60:.0f} minutes. {machine()}. Before each part the"
        f" machine's load was {busy} (one minute's average; more than 1 is the work of others,"
        " which makes seconds longer and ratios less certain)."
    )
    sections.append(f"{met} of {len(targets)} targets are met.\n\n{verdicts(targets)}")
    for part in parts:
        pictures = "\n\n".join(f"![{p.title}](performance/{p.name}.png)" for p in part.plots)
        sections.append(f"## {part.title}\n\n{part.text}" + (f"\n\n{pictures}" if pictures else ""))
    return "\n\n".join(sections) + "\n"


def main() -> None:
    """Measure one part after the other."""
    parser = argparse.ArgumentParser(prog="make benchmark", description=__doc__)
    add: Any = parser.add_argument
    add("--sizes", type=int, nargs="+", default=entries.SIZES, help="entries of the growth")
    add("--years", type=float, default=year.YEARS, help="of all reports")
    add("--days", type=int, default=20, help="single days that are materialized")
    add("--large-table", type=int, default=reread.LARGE, help="rows in which a day is read again")
    add("--rewrites", type=int, default=reread.REWRITES, help="days read again in one file")
    add("--changes", type=int, default=3, help="changes that are followed to their rows")
    given = parser.parse_args()
    works = [
        partial(entries.measure, tuple(given.sizes)),
        partial(year.measure, given.years),
        nights.measure,
        limits.measure,
        partial(dev.measure, given.changes),
        partial(one_day.measure, given.days),
        partial(reread.measure, given.large_table, given.rewrites),
    ]
    mpl.use("agg")
    PICTURES.mkdir(exist_ok=True)
    arguments = f' ARGS="{" ".join(sys.argv[1:])}"' if sys.argv[1:] else ""
    parts, loads, began = list[Part](), list[float](), time.time()
    measured = commit()  # before the pictures are drawn again
    for work in works:
        loads.append(os.getloadavg()[0])
        parts.append(work())
        print(parts[-1], flush=True)
        for plot in parts[-1].plots:
            draw(plot)
        # After each part: what was measured is not lost with the next one.
        (DOCS / "performance.md").write_text(report(measured, parts, loads, began, arguments))


if __name__ == "__main__":
    main()
