"""Several accounts in one project: each has its own of everything, and none waits for another."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.orchestration.partitions import range_tags
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import load_project
from harvest_pipeline_tests.conftest import TODAY, Project, failure_of
from harvest_pipeline_tests.sandbox.faults import AnswerWith
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import truth
from harvest_pipeline_tests.waiting import PATIENCE, wait_for

WEEK = Window(TODAY - timedelta(days=6), TODAY)
NAMES = ("acme", "blue_sky", "cedar")


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """Three companies behind one token."""
    with SandboxServer(
        today=TODAY, years=0.2, accounts=3, rate_limit=None, refuse_get_bodies=True
    ) as server:
        yield server


@pytest.fixture
def companies(project: Project, tmp_path: Path) -> Project:
    """A project whose file names all three."""
    name_accounts(project, tmp_path, dict(zip(NAMES, ids(project.sandbox), strict=True)))
    project.set(HARVEST_ACCOUNT_ID="")
    return project


def ids(sandbox: SandboxServer) -> list[int]:
    return [account.id for account in sandbox.accounts]


def name_accounts(project: Project, folder: Path, accounts: dict[str, int]) -> None:
    lines = [f"  - {{name: {name}, account_id: {key}}}\n" for name, key in accounts.items()]
    (folder / "harvest.yaml").write_text("".join(["accounts:\n", *lines]))
    project.set(HARVEST_CONFIG=str(folder / "harvest.yaml"))


def run(project: Project, job: str, *only: str, tags: Any = None) -> dg.ExecuteInProcessResult:
    """A run of a job, or of some of its assets."""
    return (
        build_definitions()
        .resolve_job_def(job)
        .execute_in_process(
            instance=project.instance,
            asset_selection=[dg.AssetKey(each.split("/")) for each in only] or None,
            tags=tags,
            raise_on_error=False,
        )
    )


def projects_of(project: Project, name: str) -> dg.ExecuteInProcessResult:
    return run(project, f"{name}_all_reports", f"{name}/projects", f"{name}/tasks")


def rows(project: Project, schema: str, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(project.database, read_only=True) as connection:
        connection.execute(f"USE {schema}")
        return connection.execute(sql).fetchall()


def assert_whole(project: Project, schema: str) -> None:
    """The account's clients, and the hours of the week, are exactly those of its company."""
    records = project.sandbox.accounts[NAMES.index(schema)].records
    assert rows(project, schema, "SELECT id FROM clients ORDER BY id") == sorted(
        (row["id"],) for row in truth(records, "clients")
    )
    there = [row for row in truth(records, "time_entries") if row["spent_date"] >= WEEK.first]
    assert there
    hours = f"SELECT count(*), sum(hours) FROM daily WHERE spent_date >= '{WEEK.first}'"
    assert rows(project, schema, hours) == [(len(there), sum(row["hours"] for row in there))]


def test_every_account_has_its_own_assets_resource_jobs_and_schedule(
    companies: Project,
) -> None:
    definitions = build_definitions()
    keys = definitions.resolve_asset_graph().materializable_asset_keys
    reports = {dg.AssetKey([name, report]) for name in NAMES for report in REPORTS}
    models = [model.name for model in load_project().accounts[0].models]
    views = {
        dg.AssetKey([name, each])
        for name in NAMES
        for each in (*models, "exchange_rates", "dashboard")
    }
    assert keys == reports | views
    for key in reports:
        assert definitions.resolve_assets_def(key).required_resource_keys >= {key.path[0]}
    assert set(definitions.resources or {}) == {*NAMES, "io_manager", "report_options"}
    jobs = {job.name for job in definitions.jobs or []}
    assert jobs >= {"all_accounts", *(f"{n}_all_reports" for n in NAMES)}
    assert {schedule.name for schedule in definitions.schedules or []} == {
        f"{n}_reconcile" for n in NAMES
    }


def test_a_dataset_has_its_schedule_in_its_own_account_and_is_in_no_job_over_all_accounts(
    companies: Project, tmp_path: Path
) -> None:
    with (tmp_path / "harvest.yaml").open("a") as file:
        file.write(
            """
datasets:
  - {name: support, report: daily, account: blue_sky, schedule: {cron: "0 6 * * *"}}
"""
        )
    definitions = build_definitions()
    schedules = [schedule.name for schedule in definitions.schedules or []]
    assert [name for name in schedules if "support" in name] == ["blue_sky_support"]
    support = dg.AssetKey(["blue_sky", "support"])
    holding = [
        job.name
        for job in definitions.jobs or []
        if support in definitions.resolve_job_def(job.name).asset_layer.selected_asset_keys
    ]
    assert holding == ["blue_sky_support"]


def test_a_run_over_all_accounts_lands_each_in_its_own_schema(companies: Project) -> None:
    # All reports of all accounts in one run: the test after this one.
    some = [f"{name}/{report}" for name in NAMES for report in ("clients", "daily")]
    assert run(companies, "all_accounts", *some, tags=range_tags(WEEK)).success
    for name in NAMES:
        assert_whole(companies, name)
    accounts = [rows(companies, name, "SELECT DISTINCT account_id FROM _loads") for name in NAMES]
    assert accounts == [[(key,)] for key in ids(companies.sandbox)]


@pytest.mark.long
def test_an_account_that_is_refused_does_not_stop_the_others_of_a_run(companies: Project) -> None:
    companies.set(HARVEST_BLUE_SKY_ACCESS_TOKEN="revoked")
    result = run(companies, "all_accounts", tags=range_tags(WEEK))
    assert not result.success
    assert "HARVEST_BLUE_SKY_ACCESS_TOKEN" in failure_of(result)
    assert_whole(companies, "acme")
    assert_whole(companies, "cedar")


def test_one_company_connected_under_anothers_name_is_refused_before_anything_is_read(
    companies: Project, tmp_path: Path
) -> None:
    projects_of(companies, "acme")
    projects_of(companies, "blue_sky")
    before = rows(companies, "acme", "SELECT * FROM projects ORDER BY id")
    acme, blue, _ = ids(companies.sandbox)
    name_accounts(companies, tmp_path, {"acme": blue, "blue_sky": acme})
    companies.sandbox.account.request_log.clear()
    sentence = failure_of(projects_of(companies, "acme"))
    assert str(acme) in sentence
    assert str(blue) in sentence
    assert set(companies.paths()) == {"/v2/users/me"}
    assert rows(companies, "acme", "SELECT * FROM projects ORDER BY id") == before


def test_the_variables_of_an_account_win_over_those_of_all(companies: Project) -> None:
    companies.set(
        HARVEST_ACCESS_TOKEN="wrong-for-all",
        HARVEST_CEDAR_ACCESS_TOKEN=companies.sandbox.tokens["administrator"],
    )
    assert projects_of(companies, "cedar").success
    sentence = failure_of(projects_of(companies, "acme"))
    assert "HARVEST_ACCESS_TOKEN" in sentence


def test_half_of_an_accounts_own_application_is_not_completed_with_a_common_token(
    companies: Project,
) -> None:
    companies.set(HARVEST_ACME_CLIENT_ID="x", HARVEST_ACME_REFRESH_TOKEN="y")
    sentence = failure_of(projects_of(companies, "acme"))
    assert sentence.startswith("HARVEST_ACME_CLIENT_SECRET is not set")


@pytest.mark.slow
@pytest.mark.long
def test_a_throttled_and_a_broken_account_do_not_hold_up_a_healthy_one(
    companies: Project, tmp_path: Path
) -> None:
    """Three runs at the same time, as the nightly schedules launch them, in three processes."""
    throttled, broken, _ = ids(companies.sandbox)
    companies.sandbox.account.faults.add(
        AnswerWith(
            status=429, headers={"Retry-After": "600"}, path="/time_entries", account=throttled,
            times=None,
        )
    )  # fmt: skip
    companies.sandbox.account.faults.add(
        AnswerWith(status=500, account=broken, path="/time_entries", times=None)
    )
    home = tmp_path / "home"
    home.mkdir()
    # On an empty home, two processes can stumble over each other.
    with dg.instance_for_test(temp_dir=str(home)):
        pass
    runs = {name: launched(name, home) for name in ("acme", "blue_sky")}
    try:
        asked = companies.sandbox.account.request_log.requests
        wait_for(lambda: {429, 500} <= {request.status for request in asked})
        runs["cedar"] = launched("cedar", home)
        assert runs["cedar"].wait(PATIENCE) == 0, (home / "cedar.txt").read_text()[-3000:]
        assert_whole(companies, "cedar")
        # One of the others waits still; the other one tries again and again, or has given up.
        assert runs["acme"].poll() is None
    finally:
        for process in runs.values():
            process.kill()
            process.wait()


def launched(name: str, home: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(sys.executable, "-W", "ignore", "-m", "dagster", "asset", "materialize"),
            *("-m", "harvest_pipeline.definitions", "--select", f"{name}/clients,{name}/daily"),
            *("--partition-range", f"{WEEK.first}...{WEEK.last}"),
        ],
        env={**os.environ, "DAGSTER_HOME": str(home)},
        stdout=(home / f"{name}.txt").open("w"),
        stderr=subprocess.STDOUT,
    )
