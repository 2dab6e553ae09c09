"""`harvest-pipeline sync` from a shell: a real run of the instance, and what is said of it."""

import socket
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from harvest_pipeline.cli.choice import runs_of
from harvest_pipeline.cli.progress import Progress
from harvest_pipeline.orchestration.partitions import range_tags
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import load_project, project_folder
from harvest_pipeline.settings.parameters import RunOptions
from harvest_pipeline_tests.cli.command import Place, Terminal
from harvest_pipeline_tests.conftest import Project
from harvest_pipeline_tests.sandbox.faults import AnswerWith
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import days_of, truth
from harvest_pipeline_tests.surroundings import utc_today

pytestmark = pytest.mark.slow

CHOSEN = ("clients", "invoices", "invoice_payments")


def days_ago(first: int, last: int) -> Window:
    """From so many days ago to so many days ago."""
    return Window(utc_today() - timedelta(days=first), utc_today() - timedelta(days=last))


class Synced:
    """One command that went well, and what it left."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.days = days_ago(40, 5)
        first, last = str(self.days.first), str(self.days.last)
        self.done = place.run(
            *("sync", *CHOSEN, "--from", first, "--to", last), HARVEST_START_DATE=first
        )
        self.run = place.last_run()

    def cells(self, report: str) -> list[str]:
        """The line of the table on a report."""
        (line,) = [row for row in self.done.stdout.splitlines() if row.startswith(f"{report} ")]
        return line.split()


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synced]:
    with SandboxServer(years=0.3, rate_limit=None) as sandbox:
        yield Synced(Place(sandbox, tmp_path_factory.mktemp("synced")))


def test_it_ends_well_and_says_what_it_loaded(synced: Synced) -> None:
    assert synced.done.returncode == 0, synced.done.stderr
    first, last = str(synced.days.first), str(synced.days.last)
    ((rows, requests),) = synced.place.query(
        "SELECT sum(rows), sum(requests) FROM _loads WHERE report = 'invoices'"
    )
    assert synced.cells("invoices") == [
        *("invoices", first, "to", last, str(rows), str(requests), "loaded")
    ]
    assert synced.cells("clients")[1] == "all"
    ((total,),) = synced.place.query("SELECT sum(requests) FROM _loads")
    assert synced.cells("total") == ["total", str(total)]
    assert synced.run.run_id in synced.done.stdout


def test_without_a_terminal_a_line_tells_when_a_report_begins_and_when_it_ends(
    synced: Synced,
) -> None:
    lines = synced.done.stderr.splitlines()
    assert lines[0] == "--from and --to mean nothing for clients."
    assert [line.split(":")[0] for line in lines[1:-2]] == [
        name for name in CHOSEN for _ in ("begins", "ends")
    ]
    older = [
        day
        for day in days_of(synced.place.sandbox.account.records, "invoices")
        if day < synced.days.first
    ]
    assert f"Harvest has {len(older)} invoices, the oldest of {older[0]}." in lines[-1]
    assert synced.done.stderr.isascii()


def test_the_database_has_exactly_these_days(synced: Synced) -> None:
    issued = {
        row["id"]
        for row in truth(synced.place.sandbox.account.records, "invoices")
        if synced.days.first <= row["issue_date"] <= synced.days.last
    }
    assert issued
    assert {row[0] for row in synced.place.query("SELECT id FROM invoices")} == issued


def test_the_run_is_in_the_instance_with_its_days(synced: Synced) -> None:
    assert synced.run.status == dg.DagsterRunStatus.SUCCESS
    assert synced.run.tags.items() >= range_tags(synced.days).items()
    assert synced.run.asset_selection == {dg.AssetKey(["harvest", name]) for name in CHOSEN}
    with synced.place.instance() as instance:
        days = instance.get_materialized_partitions(dg.AssetKey(["harvest", "invoices"]))
        assert days == {day.isoformat() for day in synced.days.days()}
        assert instance.get_latest_materialization_event(dg.AssetKey(["harvest", "clients"]))
        logs = instance.all_logs(synced.run.run_id)
    assert any("Loaded invoices of" in event.message for event in logs)


def test_the_ui_finds_what_to_execute_again(synced: Synced) -> None:
    workspace = yaml.safe_load((project_folder() / "workspace.yaml").read_text())
    module = workspace["load_from"][0]["python_module"]
    origin = synced.run.remote_job_origin
    assert origin is not None
    assert origin.location_name == module["location_name"]
    target = origin.repository_origin.code_location_origin.loadable_target_origin
    assert target.module_name == module["module_name"]


def test_a_part_is_replaced_and_the_rest_stays(synced: Synced) -> None:
    place, days = synced.place, ("--days-back", "40")
    assert place.run("sync", "daily", *days).returncode == 0
    ((project,),) = place.query(
        "SELECT project_id FROM time_entries GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
    )
    before = dict(place.query("SELECT id, _loaded_at FROM time_entries"))
    done = place.run("sync", "daily", "clients", *days, "--project-ids", str(project))
    assert done.returncode == 0, done.stderr
    assert "--days-back and --project-ids mean nothing for clients." in done.stderr
    after = place.query("SELECT id, _loaded_at, project_id FROM time_entries")
    assert {row[0] for row in after} == before.keys()
    loaded = {row[0] for row in after if row[1] != before[row[0]]}
    assert loaded == {row[0] for row in after if row[2] == project}
    assert place.last_run().run_config == {
        "resources": {"report_options": {"config": {"project_ids": [project]}}}
    }


def test_a_failure_is_its_sentence_said_once_and_exit_code_1(place: Place) -> None:
    done = place.run("sync", *CHOSEN, HARVEST_ACCESS_TOKEN="wrong")
    assert done.returncode == 1
    assert place.last_run().status == dg.DagsterRunStatus.FAILURE
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert errors[0].startswith("Error: clients, invoices: Harvest does not accept")
    assert errors[1:] == ["Error: invoice_payments: not read, because what it needs failed."]
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.long
def test_a_host_that_does_not_answer_is_named_at_once_and_given_up_while_a_person_waits(
    place: Place,
) -> None:
    """Without a person Dagster would try each report three times, a minute apart."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        host = f"127.0.0.1:{closed.getsockname()[1]}"
    place.environment["HARVEST_API_URL"] = f"http://{host}/v2"
    terminal = Terminal(place, "sync", "clients", "tasks", columns=200)
    problem = f"there is no connection to {host}, connection refused"
    terminal.until(lambda: f": {problem}; /v2/users/me is asked again" in terminal.output)
    assert terminal.end() == 1
    sentence = (
        f"Error: clients, tasks: The host of HARVEST_API_URL does not answer: {problem} (attempts: "
        "5). Check the network, and that variable."
    )
    assert sentence in terminal.lines()
    with place.instance() as instance:
        events = [entry.dagster_event for entry in instance.all_logs(place.last_run().run_id)]
    assert not any(event and event.is_step_up_for_retry for event in events)


def test_a_retry_is_one_sentence_with_one_full_stop(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harvest_pipeline.orchestration.steps._PAUSE_SECONDS", 0.01)
    project.sandbox.account.faults.add(AnswerWith(path="/clients", times=None, status=503))
    (run,) = runs_of(load_project().accounts[0], ["clients"], RunOptions())
    run_id = str(uuid.uuid4())
    with Progress(run, plain=True) as progress:
        project.instance.add_event_listener(run_id, progress.hear)
        assert not project.materialize("clients", run_id=run_id).success
    told = capsys.readouterr().err.splitlines()
    (retry,) = {line for line in told if "is tried again" in line}
    assert retry.startswith("Waiting: clients is tried again: /v2/clients could not be read: ")
    assert retry.endswith(" shows outages.")
    assert not [line for line in told if ".." in line]


@pytest.mark.long
def test_several_accounts_are_read_one_after_the_other(tmp_path: Path) -> None:
    with SandboxServer(years=0.2, accounts=2, rate_limit=None) as sandbox:
        accounts = [
            {"name": name, "account_id": account.id}
            for name, account in zip(("acme", "cedar"), sandbox.accounts, strict=True)
        ]
        dataset = {"name": "old_time", "report": "daily", "account": "cedar"}
        dataset["window"] = {"days_back_to_start_from": 10, "days_back_to_end_at": 5}
        config = tmp_path / "harvest.yaml"
        config.write_text(yaml.safe_dump({"accounts": accounts, "datasets": [dataset]}))
        place = Place(sandbox, tmp_path)
        variables = {"HARVEST_CONFIG": str(config), "HARVEST_ACCOUNT_ID": ""}
        both = place.run("sync", "tasks", **variables)
        own = place.run("sync", "old_time", "--account", "cedar", **variables)
    assert (both.returncode, own.returncode) == (0, 0), both.stderr + own.stderr
    assert [line for line in both.stderr.splitlines() if "begins" not in line][::2] == [
        "acme: tasks",
        "cedar: tasks",
    ]
    with place.instance() as instance:
        last, *others = instance.get_runs()
    assert [run.asset_selection for run in others] == [
        {dg.AssetKey([name, "tasks"])} for name in ("cedar", "acme")
    ]
    days = range_tags(days_ago(10, 5))
    assert last.tags.items() >= days.items()


@pytest.mark.parametrize(
    ("words", "variables", "sentence"),
    [
        ((), {"HARVEST_ACCESS_TOKEN": ""}, "No Harvest credentials for harvest: run `harvest-"),
        (("invoces",), {}, "harvest has no report 'invoces'; did you mean invoices or"),
        (("--days-back", "soon"), {}, "--days-back: it must be a valid integer;"),
        (
            ("clients", "--invoice-status", "open"),
            {},
            "--invoice-status means nothing for clients;",
        ),
        (("invoices", "--from", "2000-01-01"), {}, "--from is 2000-01-01, and the first"),
        (("--account", "acme"), {}, "There is no account 'acme'; there are: harvest."),
    ],
)
def test_a_mistake_is_one_sentence_before_dagster_is_loaded_and_a_run_made(
    place: Place, words: tuple[str, ...], variables: dict[str, str], sentence: str
) -> None:
    code = (
        "import sys; from harvest_pipeline.cli.main import main; code = main(sys.argv[1:])\n"
        "assert 'dagster' not in sys.modules; sys.exit(code)"
    )
    done = place.run("sync", *words, code=code, **variables)
    assert done.stderr.startswith(f"Error: {sentence}")
    assert done.stderr.count("\n") == 1
    assert (done.returncode, done.stdout) == (1, "")
    assert list(place.home.iterdir()) == [place.home / "dagster.yaml"]
