"""Two hosts load the accounts of a project together, whatever happens to one of them."""

import time

import dagster as dg
import pytest

from harvest_pipeline_tests.sandbox.faults import Hang
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import truth
from harvest_pipeline_tests.scale.conftest import ACCOUNTS
from harvest_pipeline_tests.scale.hosts import Deployment
from harvest_pipeline_tests.surroundings import utc_today
from harvest_pipeline_tests.waiting import wait_for

pytestmark = [pytest.mark.long, pytest.mark.slow]

SUCCESS = dg.DagsterRunStatus.SUCCESS
#: Lists of every kind: by page number, by cursor, a child of another record.
RECORDS = ("clients", "time_entries", "invoices", "invoice_messages")


def assert_equal(deployed: Deployment, sandbox: SandboxServer, account: str) -> None:
    """The account's tables have exactly what Harvest has."""
    records = sandbox.accounts[ACCOUNTS.index(account)].records
    for name in RECORDS:
        there = sorted(row["id"] for row in truth(records, name, utc_today()))
        assert deployed.ids(account, name) == there, name


def test_runs_are_split_over_the_hosts_and_bring_every_account_whole(
    deployed: Deployment, sandbox: SandboxServer
) -> None:
    runs = [deployed.submit(f"{name}_reconcile") for name in ACCOUNTS]
    assert deployed.finished(*runs) == [SUCCESS] * len(ACCOUNTS), deployed.told()
    assert {deployed.host_of(each) for each in runs} == set(deployed.hosts)
    for name in ACCOUNTS:
        assert_equal(deployed, sandbox, name)
    assert 429 not in {each.status for each in sandbox.account.request_log.requests}


def test_a_host_that_dies_leaves_nothing_half_and_the_other_goes_on(
    deployed: Deployment, sandbox: SandboxServer
) -> None:
    account = sandbox.accounts[0]
    before = {name: deployed.ids("acme", name) for name in RECORDS}
    account.create("time_entries")
    account.create("clients")
    # In the middle: the clients are read, and the time entries do not come.
    hang = Hang(600.0, path="/time_entries", account=account.id, times=1000)
    sandbox.faults.add(hang)
    run = deployed.submit("acme_reconcile")
    wait_for(lambda: deployed.status(run) is dg.DagsterRunStatus.STARTED, deployed.told)
    wait_for(lambda: hang.times != 1000, deployed.told)
    dead = deployed.host_of(run)
    assert dead
    dead.kill("worker")
    killed = time.monotonic()
    sandbox.faults.clear()
    after = {name: deployed.ids("acme", name) for name in RECORDS}
    for name in RECORDS:  # before or after a load, and nothing between
        assert len(after[name]) - len(before[name]) in (0, name == "clients"), name
    wait_for(lambda: deployed.retry_of(run), deployed.told)
    again = deployed.retry_of(run)
    assert again
    wait_for(lambda: deployed.status(again) is dg.DagsterRunStatus.STARTED, deployed.told)
    print(f"Another host began after {time.monotonic() - killed:.0f} s")
    assert deployed.finished(run, again) == [dg.DagsterRunStatus.FAILURE, SUCCESS]
    assert deployed.host_of(again) not in (dead, None)
    assert_equal(deployed, sandbox, "acme")
    dead.start("worker")
