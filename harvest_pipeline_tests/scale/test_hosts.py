"""Two hosts load the accounts of a project together, whatever happens to one of them."""

import json
import time

import dagster as dg
import pytest

from harvest_pipeline_tests.postgres import Postgres
from harvest_pipeline_tests.sandbox.faults import Hang
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import truth
from harvest_pipeline_tests.scale.conftest import ACCOUNTS, START
from harvest_pipeline_tests.scale.hosts import Deployment
from harvest_pipeline_tests.servers import S3
from harvest_pipeline_tests.surroundings import utc_today
from harvest_pipeline_tests.waiting import wait_for

pytestmark = [pytest.mark.long, pytest.mark.slow]

SUCCESS = dg.DagsterRunStatus.SUCCESS
#: Lists by page number and by cursor, of all days and of some; and the column with the day.
RECORDS = {"clients": "", "users": "", "time_entries": "spent_date", "invoices": "issue_date"}


def assert_equal(deployed: Deployment, sandbox: SandboxServer, account: str) -> None:
    """The account's tables have exactly what Harvest has of the days since HARVEST_START_DATE."""
    records = sandbox.accounts[ACCOUNTS.index(account)].records
    for name, day in RECORDS.items():
        rows = truth(records, name, utc_today())
        there = sorted(row["id"] for row in rows if not day or row[day] >= START)
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


ASK = """
import os
import msgspec
from harvest_pipeline.harvest.access import client_from_environment
from harvest_pipeline.settings import load_project
client = client_from_environment(load_project().accounts[0], os.environ, print)
decoder = msgspec.json.Decoder(dict)
for _ in range(150):
    client.get(f"{client.api_url}/company", decoder)
"""


def test_both_hosts_at_the_limit_together_are_never_told_to_wait(
    deployed: Deployment, sandbox: SandboxServer
) -> None:
    log = sandbox.account.request_log
    log.clear()
    began = time.monotonic()
    both = [host.begun("-c", ASK) for host in deployed.hosts]
    said = [each.communicate()[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert time.monotonic() - began > 30  # 300 requests, of which 15 seconds allow 100
    asked = [each for each in log.requests if each.path.endswith("/company")]
    assert len(asked) >= 300
    assert {each.status for each in asked} == {200}


def test_doctor_knows_where_it_runs_and_shows_no_secret(deployed: Deployment) -> None:
    for host in deployed.hosts:
        process = host.begun("-m", "harvest_pipeline.cli", "doctor", "--offline", "--json")
        said, _ = process.communicate()
        findings = json.loads(said)["sections"][-1]["findings"]
        by = {each["subject"]: each for each in findings}
        assert by["storage"]["text"].startswith("postgresql at 127.0.0.1, database_")
        assert by["launcher"]["text"].startswith("CeleryLauncher: ")
        assert by["daemon"]["state"] == "ok"  # on the first host
        for secret in ("PGPASSWORD", "HARVEST_STATE_KEY", "AWS_SECRET_ACCESS_KEY"):
            assert host.environment[secret] not in said


def test_postgres_is_restarted_under_load_and_every_account_is_whole_in_the_end(
    deployed: Deployment, sandbox: SandboxServer, postgres: Postgres
) -> None:
    for account in sandbox.accounts:
        account.create("time_entries")
    runs = [deployed.submit(f"{name}_reconcile") for name in ACCOUNTS]
    for run in runs:
        wait_for(lambda run=run: deployed.status(run) is dg.DagsterRunStatus.STARTED, deployed.told)
    postgres.restart()
    wait_for(deployed.serves, deployed.told)
    for run in runs:
        deployed.succeeded(run)
    for name in ACCOUNTS:
        assert_equal(deployed, sandbox, name)


def test_an_s3_server_that_refuses_for_a_minute_is_waited_for(
    deployed: Deployment, sandbox: SandboxServer, s3: S3
) -> None:
    account = sandbox.accounts[0]
    for _ in range(600):  # more than a lake keeps in its catalogue
        account.create("time_entries")
    run = deployed.submit("acme_reconcile")
    s3.away = True
    try:
        wait_for(lambda: s3.refused > 3, deployed.told)
        time.sleep(60)
        assert not deployed.run(run).is_success
    finally:
        s3.away = False
    deployed.succeeded(run)
    assert_equal(deployed, sandbox, "acme")


READ = """
import json, sys, threading, time
import duckdb
from harvest_pipeline.settings import load_project
from harvest_pipeline.warehouse.place import place_of
place = place_of(load_project())
ended, seen, longest, reads, failed = threading.Event(), set(), 0.0, [0] * 25, []

def read(number):
    global longest
    try:
        connection = duckdb.connect()
        for statement in place.setup():
            connection.execute(statement)
        connection.execute(place.attach(read_only=True))
        connection.execute("SET threads = 1")
        while not ended.is_set():
            began = time.monotonic()
            row = connection.execute(
                f"SELECT count(*), sum(hours) FROM {place.alias}.acme.time_entries"
            ).fetchone()
            longest = max(longest, time.monotonic() - began)
            seen.add(tuple(map(str, row)))
            reads[number] += 1
            ended.wait(1)
    except Exception as error:
        failed.append(repr(error))

threads = [threading.Thread(target=read, args=(number,)) for number in range(25)]
for each in threads:
    each.start()
while not all(reads) and not failed:
    time.sleep(0.1)
print("reading", flush=True)
sys.stdin.readline()
ended.set()
for each in threads:
    each.join()
print(json.dumps({"seen": sorted(seen), "longest": longest, "reads": reads, "failed": failed}))
"""


def test_a_hundred_readers_during_loads_are_never_in_the_way_and_never_wrong(
    deployed: Deployment, sandbox: SandboxServer
) -> None:
    def held() -> tuple[str, ...]:
        (row,) = deployed.query("acme", "SELECT count(*), sum(hours) FROM time_entries")
        return tuple(map(str, row))

    account = sandbox.accounts[0]
    states = {held()}
    readers = [host.begun("-c", READ) for host in deployed.hosts * 2]
    for each in readers:
        assert each.stdout
        lines = list[str]()
        while "reading\n" not in lines:
            lines.append(each.stdout.readline())
            assert lines[-1], lines
    for _ in range(2):
        account.create("time_entries")
        newest = max(row["id"] for row in truth(account.records, "time_entries", utc_today()))
        account.change("time_entries", newest, hours=3.25)
        deployed.succeeded(deployed.submit("acme_reconcile"))
        states.add(held())
    assert len(states) == 3
    seen = set[tuple[str, ...]]()
    for each in readers:
        said, _ = each.communicate("\n")
        found = json.loads(said.splitlines()[-1])
        assert not found["failed"]
        assert min(found["reads"]) > 2  # nobody stood still
        seen |= set(map(tuple, found["seen"]))
        print(f"{sum(found['reads'])} reads, the longest {found['longest']:.1f} s")
    assert seen == states
    assert_equal(deployed, sandbox, "acme")
