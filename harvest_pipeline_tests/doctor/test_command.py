"""`harvest-pipeline doctor`: what is printed, for people and for programs, and its exit code."""

import base64
import os
import pty
import subprocess
import sys
from urllib.parse import quote

import pytest

from harvest_pipeline.doctor import command
from harvest_pipeline.doctor.endpoints import Endpoints
from harvest_pipeline.doctor.findings import Finding, ok, section, told
from harvest_pipeline.doctor.output import as_text
from harvest_pipeline.harvest.errors import HarvestError
from harvest_pipeline.harvest.oauth import TokenSet
from harvest_pipeline.harvest.token_store import TokenStore
from harvest_pipeline_tests.doctor.conftest import Patient, document
from harvest_pipeline_tests.doctor.test_account import ENDPOINTS, connected
from harvest_pipeline_tests.waiting import PATIENCE

CANARY = "canary/4711+secret"


def test_everything_in_order_ends_with_0_and_lists_every_endpoint(patient: Patient) -> None:
    completed = patient.command()
    assert completed.returncode == 0, completed.stdout
    assert completed.stderr == ""
    assert "WRONG" not in completed.stdout
    lines = completed.stdout.splitlines()
    for endpoint in ENDPOINTS:
        assert [line for line in lines if line.split()[:2] == ["ok", endpoint]]
    # Only the daemon is missing; what to do is said below.
    (daemon,) = [n for n, line in enumerate(lines) if line.strip().startswith("warning")]
    assert lines[daemon + 1].strip().startswith("-> Start `make dev`")
    assert lines[-1].startswith("Nothing is wrong; warnings: 1, in order: ")
    assert "\x1b" not in completed.stdout


def test_something_wrong_ends_with_1_and_is_said_at_the_end(patient: Patient) -> None:
    patient.set(HARVEST_ACCESS_TOKEN="canary-4711")
    completed = patient.command()
    assert completed.returncode == 1
    assert "  WRONG    token" in completed.stdout
    assert "Things that are wrong: 1;" in completed.stdout.splitlines()[-1]


def test_json_has_the_same_findings_as_the_text(patient: Patient) -> None:
    patient.set(HARVEST_ACCESS_TOKEN="canary-4711", HARVEST_FOO="1")
    found = patient.examined()
    printed = document(patient.command("--json"))
    assert printed["ok"] is False
    assert printed["wrong"] == len(found.wrong()) == 1
    assert printed["warnings"] == len(found.warnings()) == 2
    assert [(s["title"], s["account"]) for s in printed["sections"]] == [
        ("settings", None),
        ("account", "harvest"),
        ("request limits", "harvest"),
        ("warehouse", None),
        ("Dagster", None),
        ("this machine", None),
    ]
    in_document = [(f["subject"], f["state"]) for s in printed["sections"] for f in s["findings"]]
    assert in_document == [(f.subject, f.state) for f in found.findings]
    for each in (f for s in printed["sections"] for f in s["findings"]):
        assert set(each) == {"subject", "state", "text", "remedy"}
        assert (each["remedy"] is None) == (each["state"] == "ok")


def test_no_secret_is_in_the_output_whatever_is_wrong(patient: Patient) -> None:
    place = patient.installed()
    patient.name_accounts("accounts:\n  - name: acme\n  - name: stored\n  - name: foo\n")
    (place / ".env").write_text(
        f"HARVEST_CLIENT_SECRET={CANARY}-dotenv\nHARVEST_FOO_ACCESS_TOKEN={CANARY}-foo\n"
    )
    secrets = TokenSet(
        client_id=f"{CANARY}-id",
        client_secret=f"{CANARY}-stored",
        refresh_token=f"{CANARY}-refresh",
    )
    TokenStore.from_environment(os.environ).save(connected(patient, "stored", tokens=secrets))
    patient.set(
        HARVEST_ACCESS_TOKEN=None,
        HARVEST_ACME_ACCESS_TOKEN=f"{CANARY}-environment\n",
        HARVEST_ACESS_TOKEN=f"{CANARY}-mistyped",
        HARVEST_ACCOUNT_ID=f"{CANARY}-misplaced",
    )
    for arguments in ((), ("--json",)):
        completed = patient.command(*arguments, place=place)
        assert completed.returncode == 1
        output = completed.stdout + completed.stderr
        assert "HARVEST_ACME_ACCESS_TOKEN" in output
        for form in (CANARY, quote(CANARY, safe=""), CANARY.replace("/", "\\/"), "canary"):
            assert form not in output
        assert base64.b64encode(CANARY.encode()).decode()[:-4] not in output


def test_a_check_that_fails_itself_is_a_finding_and_stops_no_other(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Endpoints) -> None:
        raise ZeroDivisionError(CANARY)

    monkeypatch.setattr(Endpoints, "_of_company", fails)
    found = patient.examined()
    assert found.wrong() == ["findings"]
    assert "ZeroDivisionError in test_command.py, line" in found.about("findings").text
    assert CANARY not in str(found)
    assert found.about("versions").state == "ok"


def test_what_fails_between_the_checks_is_a_finding_too(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(origins: object) -> None:
        raise KeyError(CANARY)

    monkeypatch.setattr(command, "DagsterCheck", fails)
    arguments = command.argparse.Namespace(json=False, offline=True)
    assert command.run(arguments) == 1
    output = capsys.readouterr().out
    assert "WRONG    doctor" in output
    assert CANARY not in output


def test_colours_are_for_terminals_only(patient: Patient) -> None:
    keyboard, screen = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "harvest_pipeline.cli", "doctor", "--offline"],
        stdout=screen,
        stdin=screen,
    )
    os.close(screen)
    output = b""
    try:
        while piece := os.read(keyboard, 65536):
            output += piece
    except OSError:  # the terminal is closed
        pass
    process.wait(PATIENCE)
    assert b"\x1b[32mok     \x1b[0m" in output
    assert b"\x1b[33mwarning\x1b[0m" in output


def test_text_from_outside_cannot_forge_a_line() -> None:
    hostile = ok("per\x1bson", "Ada\n  ok  token  accepted\x1b[2J")
    printed = as_text(section("account", lambda: [hostile]), coloured=False)
    assert len(printed.strip().splitlines()) == 2
    assert "\x1b" not in printed


def test_a_remedy_belongs_to_what_is_not_in_order_and_only_there() -> None:
    with pytest.raises(ValueError, match="remedy"):
        Finding("token", "wrong", "it is not accepted")
    with pytest.raises(ValueError, match="remedy"):
        Finding("token", "ok", "accepted", "Do nothing.")


@pytest.mark.parametrize(
    ("sentence", "text", "remedy"),
    [
        ("It is wrong; correct it.", "It is wrong.", "Correct it."),
        ("A is b. And c. Do d; or e.", "A is b. And c.", "Do d; or e."),
        ("X is not set: set it.", "X is not set.", "Set it."),
        (
            "It broke.",
            "It broke.",
            "Correct that, and run `harvest-pipeline doctor` again.",
        ),
    ],
)
def test_the_sentence_of_an_error_is_told_as_what_is_and_what_to_do(
    sentence: str, text: str, remedy: str
) -> None:
    finding = told("it", HarvestError(sentence))
    assert (finding.text, finding.remedy) == (text, remedy)
