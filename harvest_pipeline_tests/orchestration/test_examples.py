"""docs/examples/payroll.py runs as a user starts it, and keeps what it does not replace."""

import runpy
from typing import Any

import dagster as dg
import pytest

from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.conftest import TODAY, Project
from harvest_pipeline_tests.sandbox.server import SandboxServer

EXAMPLE = project_folder() / "docs" / "examples" / "payroll.py"
KEY = dg.AssetKey(["harvest", "payroll"])


@pytest.fixture
def sandbox() -> Any:
    """Some months of an account."""
    with SandboxServer(today=TODAY, years=0.25, rate_limit=None) as server:
        yield server


def test_the_payroll_of_a_month_is_replaced_and_the_others_stay(project: Project) -> None:
    assert project.materialize("daily", "people", "projects", window=project.everything()).success
    models = ("freshness", "entry_values", "person_days", "utilisation_monthly")
    assert project.materialize(*models).success
    job = runpy.run_path(str(EXAMPLE))["defs"].resolve_implicit_global_asset_job_def()

    for month in ("2026-09-01", "2026-10-01", "2026-10-01"):
        result = job.execute_in_process(
            instance=project.instance, asset_selection=[KEY], partition_key=month
        )
        assert result.success

    assert project.query(
        "SELECT month, user_id, hours, overtime_hours FROM payroll ORDER BY ALL"
    ) == project.query(
        "SELECT month, user_id, hours::DOUBLE, greatest(hours - capacity_hours, 0)::DOUBLE"
        " FROM utilisation_monthly WHERE NOT is_contractor"
        " AND month IN ('2026-09-01', '2026-10-01') ORDER BY ALL"
    )
