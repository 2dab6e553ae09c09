"""`harvest-pipeline doctor`: what it says of settings, accounts, database and Dagster, and that it
shows no secret. It looks at a project in a folder of its own, on a sandbox account."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from unittest import mock
from urllib.parse import quote

import dagster as dg
import pytest
import requests
from dagster._daemon.types import DaemonHeartbeat

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.cli import doctor
from harvest_pipeline.cli.findings import Finding, Section
from harvest_pipeline.cli.main import main
from harvest_pipeline.scope import Proof, Scope
from harvest_pipeline.settings import VARIABLES, environment
from harvest_pipeline.warehouse import ledger, tables
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.places import place_at
from harvest_pipeline_tests.sandbox.faults import AnswerWith
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.waiting import soon
from harvest_pipeline_tests.warehouse.records import ADMINISTRATOR

SOURCES = Path(__file__).resolve().parents[2]
CANARY = "canary/4711+secret"


class Found:
    """What the doctor has found."""

    def __init__(self, sections: list[Section]) -> None:
        self.sections = sections

    def about(self, subject: str, account: str | None = None) -> Finding:
        """The only finding about a subject."""
        (found,) = (
            finding
            for section in self.sections
            for finding in section.findings
            if finding.subject == subject and account in (None, section.account)
        )
        return found

    def subjects(self, state: str) -> list[str]:
        """The subjects of all findings in that state."""
        findings = [finding for section in self.sections for finding in section.findings]
        return [finding.subject for finding in findings if finding.state == state]


class Project:
    """A project whose settings are the variables of this process, and its `.env`."""

    def __init__(self, folder: Path, sandbox: SandboxServer, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.database = folder / "data" / "warehouse.duckdb"
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / "dagster.yaml").symlink_to(SOURCES / "dagster.yaml")
        (folder / "workspace.yaml").touch()
        patch.setattr(environment, "_PACKAGE_FOLDER", folder / "harvest_pipeline")
        patch.setattr(environment, "_NAMED", set())
        self.set(
            HARVEST_DUCKDB=str(self.database),
            HARVEST_TOKEN_STORE=str(folder / "accounts"),
            HARVEST_CONFIG="",
            DAGSTER_HOME=str(self.home),
            PYTHON_DOTENV_DISABLED="",
            **sandbox.environment(),
        )

    def set(self, **variables: str) -> None:
        os.environ.update(variables)

    def name_accounts(self, *entries: str) -> None:
        (self.folder / "harvest.yaml").write_text("\n- ".join(("accounts:", *entries)))
        self.set(HARVEST_ACCOUNT_ID="")

    def load(self, account_id: int) -> None:
        """Leave the ledger of a load of that account."""
        now, then = datetime.now(UTC), datetime(2026, 11, 20, 5, 30, tzinfo=UTC)
        context = ledger.LoadContext("run", "clients", account_id, ADMINISTRATOR)
        read = (Scope("clients", None), context, Proof.TOTAL_ENTRIES, 1, 0, 0, 0.1, now, {}, {})
        with Warehouse(place_at(self.database), "harvest").transaction() as connection:
            tables.prepare_tables(connection, ledger.LEDGER)
            ledger.write(connection, ledger.Load(*read, loaded_at=then))

    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.home))

    def examined(self, *, offline: bool = False) -> Found:
        return Found(list(doctor.examine(offline=offline)))

    def asked(self) -> list[str]:
        """What has been asked of Harvest."""
        return self.sandbox.account.request_log.paths()


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(years=0.1, scale=0.3, rate_limit=None) as server:
        yield server


@pytest.fixture
def project(
    sandbox: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    with mock.patch.dict(os.environ):
        yield Project(tmp_path, sandbox, monkeypatch)


def test_every_variable_is_shown_with_its_source(project: Project) -> None:
    dotenv = project.folder / ".env"
    dotenv.write_text(
        "HARVEST_TIMEZONE=Asia/Kolkata\nHARVEST_DAYS_BACK=7\nHARVEST_REFRESH_TOKEN=canary-4711\n"
    )
    dotenv.chmod(0o640)
    project.set(HARVEST_DAYS_BACK="9")
    found = project.examined(offline=True)
    differing, readable, *others = found.sections[0].findings
    assert f"differently, in {dotenv}, which wins" in differing.text
    assert readable.remedy == f"chmod 600 {dotenv}"
    assert {each.subject for each in others} == VARIABLES.keys()
    assert found.about("HARVEST_TIMEZONE").text == "Asia/Kolkata (.env)"
    assert found.about("HARVEST_DAYS_BACK").text == "7 (.env)"
    assert found.about("HARVEST_START_DATE").text == "2020-01-01 (default)"
    assert found.about("HARVEST_DUCKDB").text == f"{project.database} (environment)"
    assert found.about("HARVEST_ACCESS_TOKEN").text == "set (environment)"
    assert found.about("HARVEST_REFRESH_TOKEN").text == "set (.env)"
    assert found.about("HARVEST_CLIENT_ID").text == "not set"
    assert found.about("HARVEST_SWEEP_REQUESTS").text == "not set"
    assert not [each for each in others if "None" in each.text]


def test_no_variable_that_the_package_or_the_readme_speaks_of_is_unknown() -> None:
    sources = [SOURCES / "README.md", SOURCES / ".env.example"]
    sources += [
        path
        for path in (SOURCES / "harvest_pipeline").rglob("*.py")
        if "sandbox" not in path.parts  # HARVEST_LIMITS there is no variable
    ]
    text = "".join(path.read_text() for path in sources)
    spoken = set(re.findall(r"(?<!_)HARVEST_[A-Z_]*[A-Z]", text))
    assert {name for name in spoken if "_ACME" not in name} == set(VARIABLES)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("HARVEST_ACESS_TOKEN", "did you mean HARVEST_ACCESS_TOKEN?"),
        ("HARVEST_TIME_ZONE", "did you mean HARVEST_TIMEZONE?"),
        ("HARVEST_FOO", "is neither a setting"),
        ("HARVEST_ACME_ACCESS_TOKEN", "nor a credential of an account of harvest.yaml"),
    ],
)
def test_a_variable_that_nothing_reads_is_named_without_its_value(
    project: Project, name: str, near: str
) -> None:
    project.set(**{name: "canary-4711"})
    found = project.examined(offline=True)
    assert found.about(name).state == "warning"
    assert near in found.about(name).text
    assert "canary" not in str(found.sections)


def test_all_settings_that_cannot_work_are_named_and_the_rest_goes_on(project: Project) -> None:
    names = ("DAYS_BACK", "TIMEZONE", "START_DATE", "SCHEMA")
    wrong = {f"HARVEST_{name}": "not/this" for name in names}
    project.set(**wrong)
    found = project.examined()
    assert set(found.subjects("wrong")) == set(wrong)
    remedy = "Use an IANA name such as Europe/Berlin or UTC."
    assert found.about("HARVEST_TIMEZONE").remedy == remedy
    assert found.about("Harvest").state == "ok"


def test_nothing_is_sent_if_the_host_is_not_harvests(project: Project) -> None:
    project.set(HARVEST_API_URL="https://api.example.com/v2")
    found = project.examined()
    assert found.subjects("wrong") == ["HARVEST_API_URL"]
    assert "only sent to Harvest" in found.about("HARVEST_API_URL").text
    assert project.asked() == []


def test_the_accounts_of_harvest_yaml_are_named_and_what_contradicts_it(project: Project) -> None:
    project.name_accounts("{name: acme, account_id: 17}", "{name: cedar, instance: oak}")
    project.set(HARVEST_ACME_ACCESS_TOKEN="canary-4711", HARVEST_ACCOUNT_ID="17")
    found = project.examined(offline=True)
    assert found.subjects("wrong") == ["HARVEST_ACCOUNT_ID"]
    assert found.about("HARVEST_CONFIG").text.endswith("which names acme (17), cedar (oak)")
    assert found.about("credentials", "acme").text == "HARVEST_ACME_ACCESS_TOKEN (environment)"
    assert found.about("credentials", "cedar").text == "HARVEST_ACCESS_TOKEN (environment)"
    assert "HARVEST_ACME_ACCESS_TOKEN" not in found.subjects("warning")
    assert "canary" not in str(found.sections)


def test_a_broken_harvest_yaml_is_shown_with_its_line_and_nobody_is_asked(
    project: Project,
) -> None:
    project.name_accounts("name: acme\n  access_token: canary-4711")
    found = project.examined()
    assert found.subjects("wrong") == ["HARVEST_CONFIG"]
    assert "harvest.yaml, line 3:" in found.about("HARVEST_CONFIG").text
    assert "canary" not in str(found.sections)
    assert project.asked() == []


def test_five_requests_show_who_reads_which_account_and_what_is_older(
    project: Project,
) -> None:
    found = project.examined()
    assert found.subjects("wrong") == []
    text = found.about("Harvest").text
    account = project.sandbox.account
    assert f"account {project.sandbox.account_id} {account.name} (" in text
    assert f"{project.sandbox.instance}.harvestapp.com" in text
    assert text.endswith(", administrator")
    lists = [f"/v2/{name}" for name in ("time_entries", "expenses", "invoices")]
    assert project.asked() == ["/v2/users/me", "/v2/company", *lists]


@pytest.mark.parametrize("role", ["manager", "member"])
def test_the_reports_that_a_role_may_not_read_are_named(project: Project, role: str) -> None:
    token = project.sandbox.tokens[role]
    project.set(HARVEST_ACCESS_TOKEN=token)
    finding = project.examined().about("role")
    assert len(project.asked()) <= 14 + 3  # which lists are longer than what is loaded
    assert finding.state == "warning"
    assert f"shows a {role} only a part" in finding.text
    account = str(project.sandbox.account_id)
    headers = {"Authorization": f"Bearer {token}", "Harvest-Account-Id": account}

    def is_refused(record: str) -> bool:
        listed = RECORDS[record]
        if listed.parent not in (None, "users"):
            listed = RECORDS[listed.parent or ""]
        own = project.sandbox.account.people[role]
        url = f"{project.sandbox.api_url}{(listed.endpoint or '').format(user_id=own)}"
        agent = {"User-Agent": "test (test@example.com)"}
        return requests.get(url, headers={**headers, **agent}, timeout=60).status_code == 403

    refused = ", ".join(each.name for each in REPORTS.values() if is_refused(each.record))
    assert finding.text.endswith(f"these reports will fail: {refused}.")


def test_a_wrong_token_is_one_finding_after_one_request(project: Project) -> None:
    project.set(HARVEST_ACCESS_TOKEN="canary-4711-wrong")
    found = project.examined()
    assert found.subjects("wrong") == ["Harvest"]
    assert "HARVEST_ACCESS_TOKEN" in found.about("Harvest").text
    remedy = "Make a new one at https://id.getharvest.com/developers."
    assert found.about("Harvest").remedy == remedy
    assert project.asked() == ["/v2/users/me"]


def test_without_credentials_nobody_is_asked(project: Project) -> None:
    project.set(HARVEST_ACCESS_TOKEN="")
    found = project.examined()
    assert found.subjects("wrong") == ["credentials"]
    assert "harvest-pipeline connect" in (found.about("credentials").remedy or "")
    assert project.asked() == []


def test_a_stored_account_is_read(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    token = project.sandbox.tokens["administrator"]
    project.set(HARVEST_ACCESS_TOKEN="", HARVEST_ACCOUNT_ID="")
    monkeypatch.setattr(sys, "stdin", io.StringIO(token))
    assert main(["connect", "--token", "-"]) == 0
    found = project.examined()
    assert found.subjects("wrong") == []
    assert f"stored in {project.folder / 'accounts'}" in found.about("credentials").text
    assert found.about("Harvest").text.endswith(", administrator")
    assert token not in str(found.sections)


def test_a_long_pause_is_a_warning_and_not_waited_for(project: Project) -> None:
    pause = AnswerWith(status=429, headers={"Retry-After": "600"}, path="/users/me")
    project.sandbox.account.faults.add(pause)
    with soon():
        found = project.examined()
    assert found.about("Harvest").state == "warning"
    assert "600 seconds" in found.about("Harvest").text


def test_each_account_is_checked_and_a_broken_one_stops_no_other(project: Project) -> None:
    mine = project.sandbox.account_id
    project.name_accounts(
        "{name: blue}", "{name: cedar, account_id: 99}", f"{{name: acme, account_id: {mine}}}"
    )
    project.set(HARVEST_BLUE_ACCESS_TOKEN="canary-4711-revoked")
    found = project.examined()
    assert found.subjects("wrong") == ["Harvest", "Harvest"]
    assert "HARVEST_BLUE_ACCESS_TOKEN" in found.about("Harvest", "blue").text
    assert "does not reach the account 99" in found.about("Harvest", "cedar").text
    assert str(mine) in (found.about("Harvest", "cedar").remedy or "")
    assert found.about("Harvest", "acme").state == "ok"


class TestAnotherDay:
    @pytest.fixture
    def sandbox(self) -> Iterator[SandboxServer]:
        day = date(2026, 11, 1)
        with SandboxServer(today=day, years=0.1, scale=0.3, rate_limit=None) as server:
            yield server

    def test_a_clock_that_differs_from_harvests_is_a_warning(self, project: Project) -> None:
        assert "minutes ahead of Harvest" in project.examined().about("clock").text


def test_before_the_first_load_there_is_no_file_and_nothing_is_wrong(project: Project) -> None:
    found = project.examined()
    assert found.subjects("wrong") == []
    assert "does not exist yet" in found.about("database").text
    assert found.about("last load").text.startswith("nothing is loaded yet")
    assert not project.database.exists()


def test_the_last_load_is_shown_and_nothing_is_written(project: Project) -> None:
    project.load(project.sandbox.account_id)
    before = project.database.read_bytes()
    found = project.examined()
    assert found.subjects("wrong") == []
    assert found.about("last load").text.startswith("2026-11-20 05:30 UTC")
    assert f"{project.database}, " in found.about("database").text
    assert project.database.read_bytes() == before
    assert list(project.database.parent.glob("warehouse*")) == [project.database]


def test_the_copy_for_readers_is_shown_with_its_time_and_a_name_that_is_ambiguous(
    project: Project,
) -> None:
    copy = project.folder / "analytics.duckdb"
    project.set(HARVEST_PUBLISH=str(copy))
    assert project.examined(offline=True).about("copy").text == f"{copy}, not published yet"
    copy.touch()
    os.utime(copy, (0, datetime(2026, 11, 20, 5, 30, tzinfo=UTC).timestamp()))
    found = project.examined(offline=True).about("copy")
    assert (found.state, found.text) == ("ok", f"{copy}, published 2026-11-20 05:30 UTC")
    project.set(HARVEST_PUBLISH=str(project.folder / "harvest.duckdb"))
    assert project.examined(offline=True).about("copy").state == "warning"


def test_the_records_of_another_company_are_wrong(project: Project) -> None:
    project.load(17)
    for offline in (False, True):
        found = project.examined(offline=offline)
        assert found.subjects("wrong") == ["last load"]
        assert "17" in found.about("last load").text


@pytest.mark.parametrize("reading", [False, True], ids=["writer", "reader"])
def test_the_process_that_holds_the_file_is_named(project: Project, reading: bool) -> None:
    project.load(project.sandbox.account_id)
    code = (
        f"import duckdb, sys; c = duckdb.connect({str(project.database)!r}, read_only={reading});"
        "print(1, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stdout and process.stdout.readline()
        found = project.examined(offline=True)
        process.stdin.close()
    assert f"(process {process.pid})" in found.about("holder").text
    assert found.subjects("wrong") == []
    # A reader keeps nobody from reading.
    assert ("last load" in found.subjects("ok")) == reading
    assert "holder" not in project.examined(offline=True).subjects("warning")


def test_a_file_that_is_no_database_is_wrong_once(project: Project) -> None:
    project.database.parent.mkdir()
    project.database.write_text("hello " * 5000)
    assert project.examined(offline=True).subjects("wrong") == ["database"]


def test_a_file_that_others_can_use_and_a_full_disk_are_warnings(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.load(project.sandbox.account_id)
    assert {"database", "disk"}.isdisjoint(project.examined(offline=True).subjects("warning"))
    project.database.chmod(0o644)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**30 - 1))
    assert {"database", "disk"} <= set(project.examined(offline=True).subjects("warning"))
    assert project.database.stat().st_mode & 0o777 == 0o644  # doctor changes nothing


def test_before_the_first_run_nothing_is_left_in_the_home(project: Project) -> None:
    (project.home / "sandbox").mkdir()  # that of an earlier demo
    finding = project.examined(offline=True).about("daemon")
    assert finding.state == "warning"
    assert "has never run" in finding.text
    assert {path.name for path in project.home.iterdir()} == {"dagster.yaml", "sandbox"}


@pytest.mark.parametrize(("ago", "state"), [(20, "ok"), (600, "warning")])
def test_a_daemon_without_a_recent_heartbeat_does_not_run(
    project: Project, ago: int, state: str
) -> None:
    """Dagster itself would call it healthy for half an hour."""
    with project.instance() as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - ago, "SCHEDULER", "1"))
    assert project.examined(offline=True).about("daemon").state == state


def test_a_job_is_named_if_its_last_run_failed(project: Project) -> None:
    @dg.job
    def mended() -> None: ...

    @dg.job
    def broken() -> None: ...

    success, failure = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE
    with project.instance() as instance:
        for job, status in ((mended, failure), (mended, success), (broken, failure)):
            instance.create_run_for_job(job, status=status)
    assert "the last run of broken failed" in project.examined(offline=True).about("runs").text


def test_a_home_with_which_this_project_does_not_work_is_named(project: Project) -> None:
    file = project.home / "dagster.yaml"
    with project.instance():
        file.unlink()
    assert project.examined(offline=True).about("dagster.yaml").state == "warning"
    file.write_text("nonsense: 3\n")
    assert project.examined(offline=True).subjects("wrong") == ["dagster.yaml"]
    for home in ("/nowhere/at/all", "relative/folder"):
        project.set(DAGSTER_HOME=home)
        assert project.examined(offline=True).subjects("wrong") == ["home"]


def test_the_exit_code_is_0_if_nothing_is_wrong(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor"]) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    assert "  ok       Harvest      account " in output
    assert "-> Start `make dev`" in output
    assert output.endswith("\nWrong: 0, warnings: 1.\n")
    assert "\x1b" not in output


def test_json_has_the_same_findings_and_the_exit_code_is_1_if_any_is_wrong(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.set(HARVEST_ACCESS_TOKEN="canary-4711", HARVEST_FOO="1")
    assert main(["doctor", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["wrong"], document["warnings"]) == (False, 1, 2)
    titles = [(each["title"], each["account"]) for each in document["sections"]]
    account = ("account", "harvest")
    before = [("settings", None), ("state", None), ("warehouse", None)]
    assert titles == [*before, account, ("Dagster", None)]
    for finding in (each for section in document["sections"] for each in section["findings"]):
        assert set(finding) == {"subject", "state", "text", "remedy"}
        assert (finding["remedy"] is None) == (finding["state"] == "ok")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_no_secret_is_shown_whatever_is_wrong(
    project: Project, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    project.name_accounts("name: acme", "name: foo")
    (project.folder / ".env").write_text(
        f"HARVEST_CLIENT_SECRET={CANARY}-dotenv\nHARVEST_FOO_ACCESS_TOKEN={CANARY}-foo\n"
    )
    project.set(
        HARVEST_ACME_ACCESS_TOKEN=f"{CANARY}-environment\n",
        HARVEST_ACESS_TOKEN=f"{CANARY}-mistyped",
        HARVEST_ACCOUNT_ID=f"{CANARY}-misplaced",
    )
    assert main(["doctor", *options]) == 1
    output = "".join(capsys.readouterr())
    assert "HARVEST_ACME_ACCESS_TOKEN" in output
    for form in (CANARY, quote(CANARY, safe=""), CANARY.replace("/", "\\/"), "canary"):
        assert form not in output
    assert base64.b64encode(CANARY.encode()).decode()[:-4] not in output


def test_a_check_that_fails_itself_is_a_finding_and_stops_no_other(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "last_loaded_at", mock.Mock(side_effect=KeyError(CANARY)))
    found = project.examined(offline=True)
    assert found.subjects("wrong") == ["account"]
    assert "This check failed: KeyError in " in found.about("account").text
    assert CANARY not in str(found.sections)
    assert found.about("versions").state == "ok"


def test_a_name_from_harvest_cannot_forge_a_line() -> None:
    forged = Finding("Harvest", "ok", "Ada\n  ok  token  accepted\x1b[2J")
    printed = str(Section.of("account", [forged]))
    assert len(printed.strip().splitlines()) == 2
    assert "\x1b[2J" not in printed


def test_an_error_is_split_into_what_is_wrong_and_what_to_do() -> None:
    for sentence, text, remedy in (
        ("It is wrong; correct it.", "It is wrong.", "Correct it."),
        ("A is b. And c. Do d; or e.", "A is b. And c.", "Do d; or e."),
        ("X is not set: set it.", "X is not set.", "Set it."),
        ("It broke.", "It broke.", "Correct that, and run this command again."),
    ):
        finding = Finding.from_error("it", ValueError(sentence))
        assert (finding.text, finding.remedy) == (text, remedy)
