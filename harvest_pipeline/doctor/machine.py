"""The section on this machine: free disk space, and its clock.

Belongs here: what neither Harvest nor Dagster nor DuckDB tells.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harvest_pipeline.doctor.findings import Finding, Section, ok, section, warning, wrong

#: Free bytes: below the first a load of a large account may not fit, below the second none does.
_LITTLE = 2**30
_NOTHING = 100 * 2**20
#: Seconds; tokens are renewed two minutes before they end, by this machine's clock.
_CLOCK = 120.0


def machine_section(folders: Mapping[str, Path], clocks: Sequence[float]) -> Section:
    """The findings about the disks of these folders, and about how far ahead our clock is."""

    def disk() -> Iterator[Finding]:
        for name, folder in folders.items():
            yield _space(name, existing(folder))

    def clock() -> Iterator[Finding]:
        for ahead in clocks[:1]:
            yield _difference(ahead)

    return section("this machine", disk, clock)


def existing(folder: Path) -> Path:
    """`folder`, or the nearest folder above it that there is."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def _space(name: str, folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:,.1f} GiB are free at {folder} ({name})"
    if free >= _LITTLE:
        return ok("disk", text)
    remedy = "Make room there, or name another place."
    if free >= _NOTHING:
        return warning(
            "disk", f"only {free / 2**20:,.0f} MiB are free at {folder} ({name}).", remedy
        )
    return wrong("disk", f"only {free / 2**20:,.0f} MiB are free at {folder} ({name}).", remedy)


def _difference(ahead: float) -> Finding:
    if abs(ahead) <= _CLOCK:
        return ok("clock", "agrees with Harvest's")
    minutes = abs(ahead) / 60
    return warning(
        "clock",
        f"this machine is {minutes:,.0f} minutes {'ahead of' if ahead > 0 else 'behind'} Harvest.",
        "Set the clock by a time server: schedules and renewed tokens go by it.",
    )
