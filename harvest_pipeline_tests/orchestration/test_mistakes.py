"""What a person does wrong, and what they are told (section 7 of the issue that asked for it)."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.orchestration.resources import HarvestResource
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.conftest import TODAY, Project, failure_of
from harvest_pipeline_tests.sandbox.faults import AnswerWith, Forbid
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.waiting import PATIENCE

WEEK = Window(TODAY - timedelta(days=6), TODAY)


def attempts(result: dg.ExecuteInProcessResult) -> int:
    return sum(1 for event in result.all_events if event.is_step_start or event.is_step_restarted)


def test_without_credentials_a_run_says_what_to_set_and_that_the_demo_needs_none(
    project: Project,
) -> None:
    project.set(HARVEST_ACCESS_TOKEN="")
    result = project.materialize("clients")
    sentence = failure_of(result)
    for word in ("HARVEST_ACCESS_TOKEN", "id.getharvest.com/developers", "make demo"):
        assert word in sentence
    assert project.paths() == []


def test_half_of_an_oauth_application_is_named(project: Project) -> None:
    project.set(HARVEST_ACCESS_TOKEN="", HARVEST_CLIENT_ID="x", HARVEST_REFRESH_TOKEN="y")
    assert failure_of(project.materialize("clients")).startswith("HARVEST_CLIENT_SECRET is not set")


def test_oauth_credentials_from_the_environment_load_a_report(project: Project) -> None:
    sandbox = project.sandbox
    project.set(
        HARVEST_ACCESS_TOKEN="",
        HARVEST_CLIENT_ID=sandbox.client_id,
        HARVEST_CLIENT_SECRET=sandbox.client_secret,
        HARVEST_REFRESH_TOKEN=sandbox.refresh_token,
    )
    assert project.materialize("clients", "tasks").success
    project.assert_equal("clients")


def test_a_wrong_token_fails_the_run_at_once_and_names_the_variable(project: Project) -> None:
    project.set(HARVEST_ACCESS_TOKEN="wrong-canary-4711")
    result = project.materialize("clients")
    assert "HARVEST_ACCESS_TOKEN" in failure_of(result)
    assert "canary" not in failure_of(result)
    assert attempts(result) == 1
    assert len(project.paths()) == 1


def test_a_token_with_a_line_break_is_refused_without_being_shown(project: Project) -> None:
    project.set(HARVEST_ACCESS_TOKEN="canary\n4711")
    assert "HARVEST_ACCESS_TOKEN" in failure_of(project.materialize("clients"))
    assert "canary" not in failure_of(project.materialize("clients"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"HARVEST_ACCOUNT_ID": "999"},
        {"HARVEST_ACCOUNT_ID": "", "HARVEST_INSTANCE": "nobody"},
    ],
    ids=["account id", "instance"],
)
def test_an_account_out_of_reach_is_answered_with_those_in_reach(
    project: Project, wrong: dict[str, str]
) -> None:
    project.set(**wrong)
    sentence = failure_of(project.materialize("clients"))
    assert str(project.sandbox.account_id) in sentence
    assert project.sandbox.account.name in sentence


def test_an_account_id_that_is_no_number_is_named(project: Project) -> None:
    project.set(HARVEST_ACCOUNT_ID="acme")
    assert failure_of(project.materialize("clients")).startswith("HARVEST_ACCOUNT_ID is not a")


def test_an_instance_name_finds_the_account(project: Project) -> None:
    project.set(HARVEST_ACCOUNT_ID="", HARVEST_INSTANCE=project.sandbox.instance)
    assert project.materialize("clients").success
    project.assert_equal("clients")


def test_another_account_is_refused_before_anything_is_written(
    project: Project,
) -> None:
    project.materialize("clients")
    before = project.query("SELECT * FROM clients ORDER BY id")
    with SandboxServer(today=TODAY, years=0.1, accounts=2, rate_limit=None) as both:
        other = next(a.id for a in both.accounts if a.id != project.sandbox.account_id)
        project.set(**both.environment() | {"HARVEST_ACCOUNT_ID": str(other)})
        sentence = failure_of(project.materialize("clients"))
    assert str(other) in sentence
    assert str(project.sandbox.account_id) in sentence
    assert project.query("SELECT * FROM clients ORDER BY id") == before


def test_a_members_token_is_told_by_a_check_and_in_the_metadata(project: Project) -> None:
    project.set(HARVEST_ACCESS_TOKEN=project.sandbox.tokens["member"])
    result = project.materialize("daily", window=WEEK)
    assert result.success
    failed = {c.check_name: c for c in result.get_asset_check_evaluations() if not c.passed}
    role = failed.pop("everything_is_visible")
    assert role.severity is dg.AssetCheckSeverity.ERROR
    assert role.metadata["role"].value == "member"
    assert "a member own" in str(role.metadata["what may be missing"].value)
    # Rates are hidden from members; the check of the fields says so too.
    assert set(failed) == {"fields_are_known"}
    assert "missing: cost_rate" in failed["fields_are_known"].metadata
    for event in result.asset_materializations_for_node("harvest__daily"):
        assert event.metadata["role"].value == "member"
    assert project.query("SELECT DISTINCT role FROM _loads") == [("member",)]


def test_403_on_one_report_fails_that_one_and_keeps_its_table(project: Project) -> None:
    reports = ("clients", "contacts", "tasks")
    project.materialize(*reports)
    before = project.query("SELECT * FROM contacts ORDER BY id")
    project.sandbox.account.faults.add(Forbid(path="/contacts", times=None))
    result = project.materialize(*reports)
    assert not result.success
    assert "an administrator, or a manager allowed" in failure_of(result)
    landed = {event.step_key for event in result.all_events if event.is_step_success}
    assert landed == {"harvest__clients", "harvest__tasks"}
    assert project.query("SELECT * FROM contacts ORDER BY id") == before
    assert attempts(result) == 3


def test_an_outage_is_retried_by_dagster_and_loses_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harvest_pipeline.orchestration.steps._PAUSE_SECONDS", 0.01)
    project.materialize("clients")
    before = project.query("SELECT * FROM clients ORDER BY id")
    outage = AnswerWith(path="/clients", times=None, status=503)
    project.sandbox.account.faults.add(outage)
    result = project.materialize("clients")
    assert attempts(result) == 3
    assert "503" in failure_of(result)
    assert project.query("SELECT * FROM clients ORDER BY id") == before


def test_a_dataset_is_tried_as_often_as_its_entry_says(project: Project, tmp_path: Path) -> None:
    declared = tmp_path / "harvest.yaml"
    declared.write_text(
        "datasets:\n"
        "  - name: our_clients\n"
        "    report: clients\n"
        "    retry: {attempts: 4, wait_minutes: 0.0001}\n"
    )
    project.set(HARVEST_CONFIG=str(declared))
    # The client itself asks three times in each try.
    project.sandbox.account.faults.add(AnswerWith(path="/clients", times=9, status=503))
    result = project.materialize("our_clients")
    assert (result.success, attempts(result)) == (True, 4)
    assert project.query("SELECT count(*) FROM our_clients") == [(len(project.truth("clients")),)]
    project.sandbox.account.faults.add(AnswerWith(path="/clients", times=None, status=503))
    result = project.materialize("our_clients")
    assert (result.success, attempts(result)) == (False, 4)
    assert project.query("SELECT count(*) FROM our_clients") == [(len(project.truth("clients")),)]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_text("no database, " * 1000), "is not a DuckDB database"),
    ],
    ids=["a folder", "another file"],
)
def test_a_database_path_that_cannot_work_is_named(
    project: Project, make: Callable[[Path], object], words: str
) -> None:
    # Definitions are built first: what was a file then may be something else when the run starts.
    job = build_definitions().resolve_implicit_global_asset_job_def()
    make(project.database)
    result = job.execute_in_process(
        instance=project.instance,
        asset_selection=[dg.AssetKey(["harvest", "clients"])],
        raise_on_error=False,
    )
    assert words in failure_of(result)
    assert str(project.database) in failure_of(result)


@pytest.fixture
def holder(project: Project) -> Iterator[subprocess.Popen[str]]:
    """Another program that holds the database."""
    duckdb.connect(project.database).close()
    code = (
        f"import duckdb, time; held = duckdb.connect({str(project.database)!r});"
        f"print(1, flush=True); time.sleep({PATIENCE})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()


def test_a_locked_database_is_waited_for_and_its_holder_named(
    project: Project, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARVEST_DUCKDB_WAIT_SECONDS", "1")
    monkeypatch.setattr("harvest_pipeline.orchestration.steps._PAUSE_SECONDS", 0.01)
    sentence = failure_of(project.materialize("clients"))
    assert f"process {holder.pid}" in sentence
    assert "python" in sentence


@pytest.mark.parametrize(
    ("resource", "config"),
    [
        ("io_manager", {"database": "elsewhere.duckdb"}),
        ("io_manager", {"schema": "elsewhere"}),
        ("io_manager", {"connection_config": {"temp_directory": "elsewhere"}}),
        ("harvest", {"access_token": "canary-of-a-launch"}),
        ("harvest", {"access_token": {"env": "HOME"}}),
        ("harvest", {"refresh_token": "canary-of-a-launch"}),
        ("harvest", {"account_id": "17"}),
        ("harvest", {"instance": "elsewhere"}),
    ],
)
def test_a_launch_cannot_change_a_resource(
    project: Project,
    resource: str,
    config: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    (field,) = config
    if resource == "io_manager":  # it has to be given whole
        config = {"database": str(project.database), **config}
    run_config = {"resources": {resource: {"config": config}}}
    result = project.materialize("clients", run_config=run_config)
    assert not result.success
    told = "".join(str(event.event_specific_data) for event in result.all_events)
    assert re.search(f"The launch changes [a-z_, ]*{field}", told)
    assert "canary" not in told
    assert not list(tmp_path.glob("elsewhere*"))
    assert project.paths() == []


@pytest.mark.parametrize("host", ["api_url", "base_url", "id_url", "token_store"])
def test_a_launch_cannot_name_a_host_or_the_token_store(project: Project, host: str) -> None:
    run_config = {"resources": {"harvest": {"config": {host: "http://127.0.0.1:9/"}}}}
    with pytest.raises(dg.DagsterInvalidConfigError, match="unexpected config entry"):
        project.materialize("clients", run_config=run_config)
    assert project.paths() == []


def test_a_misspelt_argument_of_a_resource_is_refused_without_showing_its_value() -> None:
    with pytest.raises(ValueError, match="acess_token") as refused:
        HarvestResource(acess_token="canary-4711")  # pyright: ignore[reportCallIssue]
    assert "canary" not in str(refused.value)


def command(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A `dagster asset materialize` as a person types it, from a folder that is not the project."""
    return subprocess.run(
        [sys.executable, "-m", "dagster", "asset", "materialize",
         "-m", "harvest_pipeline.definitions", *arguments],
        cwd=project.database.parent, env=os.environ,
        capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("variables", "arguments", "words"),
    [
        ({"HARVEST_API_URL": "http://api.example.com/v2"}, [], "only sent to Harvest"),
        ({"HARVEST_START_DATE": "2999-01-01"}, [], "in the future"),
        ({"HARVEST_TIMEZONE": "Mars/Olympus"}, [], "not a time zone"),
        ({}, ["--partition", "2026-13-45"], "2026-13-45"),
        (
            {},
            ["--partition-range", "2026-11-10...2026-11-01"],
            "The range 2026-11-10...2026-11-01 ends before it begins",
        ),
    ],
    ids=["http", "future", "zone", "bad day", "upside down"],
)
@pytest.mark.long
def test_what_the_command_line_is_given_wrong_is_named_before_any_request(
    project: Project, variables: dict[str, str], arguments: list[str], words: str
) -> None:
    project.set(**variables)
    done = command(project, "--select", "harvest/daily", *arguments)
    assert done.returncode != 0
    assert words in done.stdout + done.stderr
    assert project.paths() == []
    if variables:
        assert "Traceback" not in done.stderr
        assert done.stderr.strip().splitlines()[-1].startswith("Error: HARVEST_")


@pytest.mark.long
def test_the_command_line_loads_a_day_and_a_range_from_anywhere(project: Project) -> None:
    day = (TODAY - timedelta(days=3)).isoformat()
    assert command(project, "--select", "harvest/invoices", "--partition", day).returncode == 0
    assert project.query("SELECT window_first::TEXT, window_last::TEXT FROM _loads") == [(day, day)]
    last = TODAY.isoformat()
    done = command(project, "--select", "*", "--partition-range", f"{day}...{last}")
    assert done.returncode == 0, done.stdout[-2000:]
    there = [row for row in project.truth("time_entries") if row["spent_date"].isoformat() >= day]
    assert project.query("SELECT count(*), sum(hours) FROM daily") == [
        (len(there), sum(row["hours"] for row in there))
    ]
    assert project.query("SELECT count(*) FROM people") == [(len(project.truth("users")),)]
