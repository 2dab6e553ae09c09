"""What the doctor says of Dagster: its home, what dagster.yaml there says, daemon and runs."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._daemon.types import DaemonHeartbeat

from harvest_pipeline.doctor import dagster_runs
from harvest_pipeline_tests.doctor.conftest import PROJECT, Patient


@contextmanager
def instance(patient: Patient) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(patient.home)) as opened:
        yield opened


def give_sign_of_life(patient: Patient, ago: float) -> None:
    """What the daemon leaves every 30 seconds."""
    with instance(patient) as opened:
        opened.add_daemon_heartbeat(DaemonHeartbeat(time.time() - ago, "SCHEDULER", "1"))


@dg.job
def nightly() -> None: ...


def test_the_projects_own_dagster_yaml_is_in_order(patient: Patient) -> None:
    found = patient.examined(offline=True)
    assert found.wrong() == []
    assert found.about("home").text == f"{patient.home} (DAGSTER_HOME, environment)"
    assert found.about("dagster.yaml").state == "ok"
    assert f"dagster {dg.__version__}" in found.about("versions").text


def test_a_home_without_dagster_yaml_is_told_with_what_that_means(patient: Patient) -> None:
    (patient.home / "dagster.yaml").unlink()
    finding = patient.examined(offline=True).about("dagster.yaml")
    assert finding.state == "warning"
    assert "count as running for ever" in finding.text
    assert finding.remedy == f"ln -s {PROJECT / 'dagster.yaml'} {patient.home / 'dagster.yaml'}"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("instance_class", "class"), "DagsterInstance"),
        (("run_queue", "max_user_code_failure_retries"), 0),
        (("run_monitoring", "enabled"), False),
        (("telemetry", "enabled"), True),
    ],
)
def test_a_setting_of_dagster_that_the_project_needs_is_told_when_it_differs(
    patient: Patient, path: tuple[str, ...], value: object
) -> None:
    config = yaml.safe_load((PROJECT / "dagster.yaml").read_text())
    inner = config
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    (patient.home / "dagster.yaml").unlink()
    (patient.home / "dagster.yaml").write_text(yaml.safe_dump(config))
    finding = patient.examined(offline=True).about("dagster.yaml")
    assert finding.state == "warning"
    assert ".".join(path) in finding.text


@pytest.mark.parametrize("text", ["", "concurrency: 3\n", "run_monitoring:\n"])
def test_a_dagster_yaml_of_any_form_is_looked_at(patient: Patient, text: str) -> None:
    (patient.home / "dagster.yaml").unlink()
    (patient.home / "dagster.yaml").write_text(text)
    found = patient.examined(offline=True)
    assert found.warnings().count("dagster.yaml") == 4
    assert found.wrong() == []


@pytest.mark.parametrize("text", ["concurrency: [\n", "- a list\n", "words\n"])
def test_a_dagster_yaml_that_holds_no_settings_is_wrong(patient: Patient, text: str) -> None:
    (patient.home / "dagster.yaml").unlink()
    (patient.home / "dagster.yaml").write_text(text)
    assert patient.examined(offline=True).wrong() == ["dagster.yaml"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [("nonsense: 3\n", "DagsterInvalidConfigError"), ("concurrency: 3\n", "TypeError")],
)
def test_a_dagster_yaml_that_dagster_refuses_is_wrong(
    patient: Patient, text: str, kind: str
) -> None:
    give_sign_of_life(patient, ago=20)
    (patient.home / "dagster.yaml").unlink()
    (patient.home / "dagster.yaml").write_text(text)
    found = patient.examined(offline=True)
    assert found.wrong() == ["instance"]
    assert found.about("instance").text.endswith(f"({kind}).")


@pytest.mark.parametrize("home", ["/nowhere/at/all", "relative/folder"])
def test_a_home_with_which_dagster_does_not_start_is_wrong(patient: Patient, home: str) -> None:
    patient.set(DAGSTER_HOME=home)
    found = patient.examined(offline=True)
    assert found.wrong() == ["home"]
    assert home in found.about("home").text


def test_looking_at_a_home_leaves_nothing_in_it(patient: Patient) -> None:
    finding = patient.examined(offline=True).about("daemon")
    assert finding.state == "warning"
    assert "has never run" in finding.text
    assert [path.name for path in patient.home.iterdir()] == ["dagster.yaml"]


def test_a_daemon_that_gave_a_sign_of_life_just_now_runs(patient: Patient) -> None:
    give_sign_of_life(patient, ago=20)
    found = patient.examined(offline=True)
    assert found.about("daemon").state == "ok"
    assert found.warnings() == []


def test_a_daemon_that_has_been_silent_is_told_not_to_run(patient: Patient) -> None:
    """Dagster itself would call it healthy for half an hour."""
    give_sign_of_life(patient, ago=600)
    finding = patient.examined(offline=True).about("daemon")
    assert finding.state == "warning"
    assert "0:10:00 old" in finding.text
    assert "Schedules do not start" in finding.text


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
def test_a_run_that_is_unfinished_for_too_long_is_told(
    patient: Patient, status: dg.DagsterRunStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dagster_runs, "_LONG", timedelta(seconds=1))
    with instance(patient) as opened:
        run = opened.create_run_for_job(nightly, status=status)
        opened.create_run_for_job(nightly, status=dg.DagsterRunStatus.SUCCESS)
    with closing(sqlite3.connect(patient.home / "history" / "runs.db")) as runs, runs:
        runs.execute("UPDATE runs SET create_timestamp = datetime('now', '-2 hours')")
    with instance(patient) as opened:
        opened.create_run_for_job(nightly, status=status)  # this one is young
    finding = patient.examined(offline=True).about("runs")
    assert finding.state == "warning"
    assert f"run {run.run_id[:8]} of nightly is {status.value}" in finding.text


def test_without_stuck_runs_that_is_said(patient: Patient) -> None:
    with instance(patient) as opened:
        opened.create_run_for_job(nightly, status=dg.DagsterRunStatus.STARTED)
    finding = patient.examined(offline=True).about("runs")
    assert (finding.state, finding.text) == ("ok", "none is unfinished for longer than 4:00:00")


def test_without_a_home_that_of_the_project_is_looked_at(patient: Patient) -> None:
    patient.set(DAGSTER_HOME=None)
    home = patient.examined(offline=True).about("home")
    assert home.state == "ok"
    assert str(Path(PROJECT / ".dagster")) in home.text
