"""Two hosts load the accounts of a project together, whatever happens to one of them."""

import dagster as dg

from harvest_pipeline_tests.scale.conftest import ACCOUNTS
from harvest_pipeline_tests.scale.hosts import Deployment

SUCCESS = dg.DagsterRunStatus.SUCCESS


def test_runs_are_split_over_the_hosts(deployed: Deployment) -> None:
    runs = [deployed.submit(f"{name}_reconcile") for name in ACCOUNTS]
    assert deployed.finished(*runs) == [SUCCESS] * len(ACCOUNTS), deployed.told()
    assert {deployed.host_of(each) for each in runs} == set(deployed.hosts)
