"""Jobs: which reports are materialized together from the UI.

Belongs here: one job per group of the catalogue, and one over everything.
Does not belong here: when they run (schedules.py).
"""

from typing import TYPE_CHECKING

import dagster as dg

from harvest_pipeline.catalogue.reports import REPORTS

if TYPE_CHECKING:  # Dagster does not export the type of what define_asset_job returns
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )


def all_reports_job(schema: str) -> str:
    """The name of the job over all reports."""
    return f"{schema}_all_reports"


def report_jobs(schema: str) -> "list[UnresolvedAssetJobDefinition]":
    """`<schema>_all_reports`, and `<schema>_<group>` for every group of reports.

    Each takes a partition or a range in the launchpad where one of its reports has a day.
    """
    groups: dict[str, list[dg.AssetKey]] = {}
    for report in REPORTS.values():
        groups.setdefault(report.group, []).append(dg.AssetKey([schema, report.name]))
    everything = [key for keys in groups.values() for key in keys]
    jobs = [(all_reports_job(schema), everything, "All 18 reports of the account.")]
    jobs += [
        (f"{schema}_{group}", keys, f"The reports of the group {group}.")
        for group, keys in groups.items()
    ]
    return [
        # Its parameters have types that Dagster leaves unknown.
        dg.define_asset_job(name, keys, description=description)  # pyright: ignore[reportUnknownMemberType]
        for name, keys, description in jobs
    ]
