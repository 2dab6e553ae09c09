"""The command `harvest-pipeline doctor`.

Belongs here: its arguments, and the order in which things are looked at.
Does not belong here: looking at them.
"""

import argparse
import os
import sys
from collections.abc import Iterator

from harvest_pipeline.doctor.account import AccountCheck
from harvest_pipeline.doctor.dagster_home import DagsterCheck
from harvest_pipeline.doctor.findings import Section, unexpected
from harvest_pipeline.doctor.machine import machine_section
from harvest_pipeline.doctor.origins import Origins
from harvest_pipeline.doctor.output import as_json, as_text, is_wrong, summary
from harvest_pipeline.doctor.settings import Project
from harvest_pipeline.doctor.warehouse import WarehouseCheck


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to a parser."""
    parser.add_argument("--json", action="store_true", help="the findings for programs")
    parser.add_argument("--offline", action="store_true", help="ask Harvest nothing")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; 1 if anything is wrong, 0 if there are only warnings."""
    sections: list[Section] = []
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    try:
        for section in _examined(offline=arguments.offline):
            sections.append(section)
            if not arguments.json:  # Harvest takes its time: what is known is printed at once
                print(as_text(section, coloured=coloured), flush=True)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    print(as_json(sections) if arguments.json else summary(sections))
    return 1 if is_wrong(sections) else 0


def _examined(*, offline: bool) -> Iterator[Section]:
    """All sections; what fails between the checks is a finding too."""
    try:
        yield from examined(offline=offline)
    except Exception as error:
        yield Section("doctor", None, (unexpected("doctor", error),))


def examined(*, offline: bool) -> Iterator[Section]:
    """All sections, in the order in which one thing needs the other."""
    origins = Origins.read()
    project = Project.of(origins)
    yield project.section()
    accounts = [AccountCheck(settings, origins) for settings in project.accounts]
    for account in accounts:
        yield from account.sections(offline=offline or not project.may_ask)
    yield WarehouseCheck(project.base.project.duckdb, accounts).section()
    dagster = DagsterCheck(origins)
    yield dagster.section()
    folders = {
        "database": project.base.project.duckdb.parent,
        "state": project.base.project.state_folder,
        "Dagster home": dagster.home,
    }
    clocks = [account.clock for account in accounts if account.clock is not None]
    yield machine_section(folders, clocks)
