"""Jobs: which reports are materialized together from the UI.

Belongs here: one job per group of the catalogue, one over all reports of an account, and one over
all accounts.
Does not belong here: when they run (schedules.py).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from harvest_pipeline.catalogue.reports import REPORTS, record_of
from harvest_pipeline.checks import check_specs
from harvest_pipeline.settings import Settings

if TYPE_CHECKING:  # Dagster does not export the type of what define_asset_job returns
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

#: The job over all accounts; there is one where there are several accounts.
ALL_ACCOUNTS = "all_accounts"


def all_reports_job(schema: str) -> str:
    """The name of the job over all reports of an account."""
    return f"{schema}_all_reports"


def report_keys(schema: str) -> list[dg.AssetKey]:
    """The assets of an account."""
    return [dg.AssetKey([schema, report]) for report in REPORTS]


def check_keys(schema: str) -> list[dg.AssetCheckKey]:
    """The checks of all assets of an account."""
    return [
        spec.key
        for report, asset in zip(REPORTS.values(), report_keys(schema), strict=True)
        for spec in check_specs(record_of(report), asset)
    ]


def all_jobs(accounts: Sequence[Settings]) -> "list[UnresolvedAssetJobDefinition]":
    """For each account `<schema>_all_reports`, and `<schema>_<group>` for every group of reports;
    with several accounts also `all_accounts`.

    Each takes a partition or a range in the launchpad where one of its reports has a day.
    """
    jobs = [job for settings in accounts for job in _account_jobs(settings.schema)]
    if len(accounts) > 1:
        everything = [key for settings in accounts for key in report_keys(settings.schema)]
        description = "All reports of all accounts, in one run: one account after the other."
        jobs.append(_job(ALL_ACCOUNTS, everything, description))
    return jobs


def _account_jobs(schema: str) -> "list[UnresolvedAssetJobDefinition]":
    groups: dict[str, list[dg.AssetKey]] = {}
    for report in REPORTS.values():
        groups.setdefault(report.group, []).append(dg.AssetKey([schema, report.name]))
    description = f"All {len(REPORTS)} reports of the account {schema}."
    return [
        _job(all_reports_job(schema), report_keys(schema), description),
        *(
            _job(f"{schema}_{group}", keys, f"The reports of the group {group}.")
            for group, keys in groups.items()
        ),
    ]


def _job(name: str, keys: list[dg.AssetKey], description: str) -> "UnresolvedAssetJobDefinition":
    # Its parameters have types that Dagster leaves unknown.
    return dg.define_asset_job(name, keys, description=description)  # pyright: ignore[reportUnknownMemberType]
