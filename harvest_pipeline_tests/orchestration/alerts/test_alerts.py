"""Runs and checks that fail, on the sandbox: what is sent, how often, and again when it was not.

The last test is Dagster's own daemon on an instance of its own.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.daemon import get_default_daemon_logger
from dagster._daemon.sensor import execute_sensor_iteration

from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.harvest.errors import HarvestUnavailable
from harvest_pipeline.orchestration import alerts as alerts_module
from harvest_pipeline.orchestration.alerts import AlertNotSent, send
from harvest_pipeline.orchestration.steps import Retries, explained
from harvest_pipeline.safety.text import unlinked
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.conftest import TODAY, failure_of
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.fault_server import FaultServer
from harvest_pipeline_tests.orchestration.alerts.conftest import (
    PASSWORD,
    PATH,
    Alerts,
    Hook,
    fail,
    mail_to,
)
from harvest_pipeline_tests.orchestration.alerts.mail_server import MailServer
from harvest_pipeline_tests.sandbox.faults import Forbid
from harvest_pipeline_tests.security.canaries import Canaries

DAYS = Window(TODAY - timedelta(days=1), TODAY)
BROKEN = fault.raw(b"", 500)


@pytest.fixture
def watching(alerts: Alerts, hook: Hook) -> Alerts:
    """Alerts that have had their first look, after which failures count."""
    fail(alerts.project.instance)
    alerts.tick()
    return alerts


def lines(text: str) -> dict[str, str]:
    """The lines of a message by what they begin with."""
    parts = [line.partition(": ") for line in text.splitlines()]
    return {begin: rest for begin, _, rest in parts}


def test_each_address_has_a_sensor_that_is_on_from_the_start_and_nobody_has_none(
    alerts: Alerts,
) -> None:
    alerts.say("alerts: [$HARVEST_ALERTS, 'json://127.0.0.1:9']\n")
    found = [s for s in build_definitions().sensors or [] if s.name.startswith("alerts")]
    assert [sensor.name for sensor in found] == ["alerts_1", "alerts_2"]
    assert {sensor.default_status for sensor in found} == {dg.DefaultSensorStatus.RUNNING}
    loads = "import harvest_pipeline.definitions as d, sys; d.defs; print('apprise' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True)
    assert loaded.stdout == "False\n", loaded.stderr
    alerts.say("")
    assert not [s for s in build_definitions().sensors or [] if s.name.startswith("alerts")]


def test_a_run_that_fails_is_one_message_with_account_reports_days_cause_and_run(
    watching: Alerts, hook: Hook
) -> None:
    """A 403 for two reports of one run."""
    project = watching.project
    project.sandbox.account.faults.add(Forbid(path="/invoices", times=None))
    project.sandbox.account.faults.add(Forbid(path="/expenses", times=None))
    result = project.materialize("invoices", "project_expenses", window=DAYS)
    assert not result.success
    for _ in range(2):
        watching.tick()
    (text,) = hook.texts
    assert hook.titles == ["harvest: a run failed"]
    said = lines(text)
    assert said["Account"] == "harvest"
    assert set(said["Reports"].split(", ")) == {"invoices", "project_expenses"}
    assert said["Days"] == "2026-11-19 to 2026-11-20"
    assert "invoices: " in said["What happened"] and "project_expenses: " in said["What happened"]
    assert "(403)" in said["What happened"]
    assert "re-execute the run" in said["What to do"]
    assert said["Run"] == result.run_id


def test_a_wrong_token_and_an_outage_are_sent_as_their_sentence(
    watching: Alerts, hook: Hook
) -> None:
    """What may mend itself is no `Failure` but a retry that came to nothing."""

    @dg.asset(key=["harvest", "tasks"])
    def tasks() -> None:
        with explained(Retries(0, 0.0)):
            raise HarvestUnavailable("Harvest <!channel> cannot be reached. Try again later.")

    dg.materialize([tasks], instance=watching.project.instance, raise_on_error=False)
    watching.project.set(HARVEST_ACCESS_TOKEN="wrong-canary-4711")
    watching.project.materialize("clients")
    for _ in range(2):
        watching.tick()
    outage, token = map(lines, hook.texts)
    assert outage["What happened"] == "Harvest [!channel] cannot be reached. Try again later."
    assert token["What happened"].startswith("Harvest does not accept the token of HARVEST_ACCESS")
    assert "Days" not in token and token["Reports"] == "clients"
    assert "canary" not in hook.texts[1]


#: What a launcher or a name may hold: links of all kinds, and what notifies everyone.
HOSTILE = (
    "[click](https://evil.example/a) <https://evil.example|b> www.evil.example ftp://evil.example"
    " <!channel> @here @everyone evil@evil.example \\\\evil\\share https://harvestapp.com.evil.example"
)


def test_text_of_others_is_text_for_every_kind_of_receiver(
    watching: Alerts, hook: Hook, mail: MailServer
) -> None:
    """An e-mail in HTML, a chat in Markdown, a program."""

    @dg.asset(key=["harvest", "tasks"])
    def tasks() -> None:
        with explained(Retries(0, 0.0)):
            raise HarvestUnavailable(f"{HOSTILE}. See https://www.harveststatus.com.")

    tags = {"dagster/partition": HOSTILE}
    dg.materialize([tasks], instance=watching.project.instance, raise_on_error=False, tags=tags)
    with FaultServer(fault.script(fault.raw(b"ok"))) as chat:
        watching.tick()
        for address in (f"mmost://{chat.host}/{'a' * 24}", f"{mail_to(mail)}&format=html"):
            watching.project.set(ADDRESS=address)
            assert send("$ADDRESS", os.environ, hook.titles[0], hook.texts[0]) is None
        message = json.loads(chat.requests[0].body)["text"]
    (letter,) = mail.mails
    page = letter.get_body(("html",))
    assert page
    for text in (hook.texts[0], message, page.get_content()):
        assert "https://www.harveststatus.com" in text and "evil" in text
        others = text.replace("https://www.harveststatus.com", "")
        assert not re.findall(r"://|www\.|evil\.|\]\(|(?<!\w)@|<[!@#h]|href|\\\\", others)


@pytest.mark.parametrize(
    "sentence",
    [
        "Try again later; https://www.harveststatus.com shows outages.",
        "Make a new one (https://id.getharvest.com/developers), and set it in .env.",
        "harvest.yaml, line 2: 1.5 h, e.g. on 2026-11-02; 100,000.50 EUR; warehouse.duckdb",
        "Ada Okafor & Söhne: #7 (a/b), 50 % [sic] at Fernhill Ltd. in Perth",
    ],
)
def test_ordinary_sentences_stay_as_they_are(sentence: str) -> None:
    assert unlinked(sentence) == sentence


def test_an_error_of_others_is_sent_by_its_kind_alone(watching: Alerts, hook: Hook) -> None:
    """What a library says may repeat rows."""
    fail(watching.project.instance)
    watching.tick()
    (text,) = hook.texts
    assert "an unexpected error (ValueError); the log of the run has more." in text
    assert "Ada" not in text


@pytest.fixture(scope="module")
def retrying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """A Dagster that tries failed runs again."""
    overrides = {"run_retries": {"enabled": True, "max_retries": 2}}
    with dg.instance_for_test(
        overrides=overrides, temp_dir=str(tmp_path_factory.mktemp("dagster"))
    ) as instance:
        yield instance


def test_a_run_that_is_retried_is_sent_when_its_last_attempt_has_failed(
    alerts: Alerts, hook: Hook, retrying: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts.project.instance.dispose()
    alerts.project.instance = retrying
    alerts.tick()
    first = fail(retrying)
    alerts.tick()
    assert not hook.texts
    parents = {f"dagster/{name}_run_id": first.run_id for name in ("root", "parent")}
    last = fail(retrying, **parents, **{"dagster/max_retries": "0"})
    # Between its end and the word on whether it is retried nothing is decided.
    with monkeypatch.context() as patch:
        patch.setattr(alerts_module, "_WILL_RETRY", "dagster/not_yet")
        alerts.tick()
        assert not hook.texts
    alerts.tick()
    (text,) = hook.texts
    assert lines(text)["Run"] == last.run_id


def test_rows_that_somebody_changed_are_sent_once_as_what_failed_the_run(
    watching: Alerts, hook: Hook
) -> None:
    project = watching.project
    assert project.materialize("daily", window=DAYS).success
    watching.tick()
    assert not hook.texts
    with duckdb.connect(project.database) as connection:
        connection.execute(
            "INSERT INTO harvest.time_entries SELECT * REPLACE (1 AS id, DATE '2026-10-01' AS"
            " spent_date) FROM harvest.time_entries LIMIT 1"
        )
    result = project.materialize("daily", window=DAYS)
    watching.tick()
    said = lines(hook.texts[0])
    assert hook.titles == ["harvest: a run failed"]
    assert (said["Reports"], said["Run"]) == ("daily", result.run_id)
    assert said["What happened"] == failure_of(result)
    assert "rows_are_inside_their_window: 1, for example 1)" in said["What happened"]


def check(
    instance: dg.DagsterInstance,
    passed: bool,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> None:
    """Run an asset with a check that passes or fails."""
    key = dg.AssetKey(["harvest", "daily"])

    @dg.asset(key=key, check_specs=[dg.AssetCheckSpec("sums", asset=key)])  # type: ignore[arg-type]
    def daily() -> dg.MaterializeResult:  # type: ignore[type-arg]
        result = dg.AssetCheckResult(
            passed=passed,
            check_name="sums",
            severity=severity,
            description="September: Harvest 10.5, warehouse 9.5.",
            metadata={"person": "Ada Okafor"},
        )
        return dg.MaterializeResult(check_results=[result])

    dg.materialize([daily], instance=instance)


def test_a_check_that_fails_is_sent_once_a_day_until_it_passes_and_a_warning_is_not(
    watching: Alerts, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = watching.project.instance
    check(instance, False, dg.AssetCheckSeverity.WARN)
    watching.tick()
    assert not hook.texts
    check(instance, False)
    watching.tick()
    (text,) = hook.texts
    assert "the check sums failed. September: Harvest 10.5, warehouse 9.5." in text
    assert "Ada" not in text
    check(instance, False)
    watching.tick()
    assert len(hook.texts) == 1  # it fails on
    with monkeypatch.context() as patch:
        patch.setattr(alerts_module, "_AGAIN_SECONDS", 0.0)
        check(instance, False)
        watching.tick()
    assert len(hook.texts) == 2  # a day later
    check(instance, True)
    check(instance, False)
    watching.tick()
    assert len(hook.texts) == 3  # it had passed in between


def test_runs_of_other_programs_are_not_sent_and_one_over_two_accounts_names_both(
    alerts: Alerts, hook: Hook
) -> None:
    alerts.project.set(HARVEST_ACCOUNT_ID="")
    alerts.say(
        "accounts: [{name: acme}, {name: blue_sky}, {name: cedar}]\nalerts: [$HARVEST_ALERTS]\n"
    )
    alerts.tick()

    def failing(account: str, report: str) -> dg.AssetsDefinition:
        @dg.asset(key=[account, report])
        def asset() -> None:
            raise dg.Failure(f"The sentence of {report}.", allow_retries=False)

        return asset

    for assets in (
        [failing("sales", "orders")],
        [failing("acme", "invoices"), failing("blue_sky", "daily")],
    ):
        dg.materialize(assets, instance=alerts.project.instance, raise_on_error=False)
    alerts.tick()
    (text,) = hook.texts
    said = lines(text)
    assert set(said["Account"].split(", ")) == {"acme", "blue_sky"}
    assert "invoices: The sentence of invoices." in said["What happened"]
    assert "daily: The sentence of daily." in said["What happened"]


def test_a_message_that_was_not_sent_is_sent_by_a_later_tick_and_nothing_is_sent_twice(
    watching: Alerts, hook: Hook
) -> None:
    with Hook() as other:
        watching.say(f"alerts: [$HARVEST_ALERTS, '{other.address}']\n")
        watching.tick(2)
        runs = [fail(watching.project.instance).run_id for _ in range(3)]
        hook.then = [fault.raw(b"ok"), BROKEN, BROKEN]
        watching.tick()  # the first one arrives
        for _ in range(2):
            with pytest.raises(AlertNotSent) as error:
                watching.tick()
            assert str(error.value) == (
                f"The alert about the run {runs[1]} could not be sent to $HARVEST_ALERTS: Failed "
                "to send JSON POST notification: Internal server error., error=500. It is tried "
                "again at every tick, for a day."
            )
        for _ in range(4):
            watching.tick()
            watching.tick(2)
        assert [lines(text)["Run"] for text in hook.texts] == runs[1:]
        assert [lines(text)["Run"] for text in other.texts] == runs


def test_after_a_day_of_trying_a_message_is_given_up_with_a_line(
    watching: Alerts, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(watching.project.instance)
    hook.then = [BROKEN]
    with pytest.raises(AlertNotSent):
        watching.tick()
    with monkeypatch.context() as patch:
        patch.setattr(alerts_module, "_GIVEN_UP_SECONDS", -1.0)
        watching.tick()
    last = fail(watching.project.instance)
    watching.tick()
    assert [lines(text)["Run"] for text in hook.texts] == [last.run_id]


def test_dagsters_daemon_shows_the_failure_keeps_the_cursor_and_holds_no_secret(
    alerts: Alerts, hook: Hook, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project = alerts.project
    (home := tmp_path / "dagster home").mkdir()
    server = MailServer(("harvest", "another one"))
    project.set(
        MAIL=f"mailto://harvest:{PASSWORD}@127.0.0.1:{server.port}"
        "?to=finance@example.com&from=harvest@example.com"
    )
    with server, dg.instance_for_test(temp_dir=str(home)) as instance:
        project.instance.dispose()
        project.instance = instance
        alerts.say("alerts: [$MAIL, $HARVEST_ALERTS]\n")
        file = tmp_path / "project.py"
        file.write_text(
            "from harvest_pipeline.definitions import build_definitions\n"
            "defs = build_definitions()\n"
        )
        origin = InProcessCodeLocationOrigin(
            LoadableTargetOrigin(executable_path=sys.executable, python_file=str(file))
        )
        with WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as workspace:
            (entry,) = workspace.create_request_context().get_code_location_entries().values()
            assert entry.code_location, entry.load_error
            (repository,) = entry.code_location.get_repositories().values()

            def ticked(name: str) -> list[InstigatorTick]:
                sensor = repository.get_sensor(name)
                return list(instance.get_ticks(sensor.get_remote_origin_id(), sensor.selector_id))

            looked(workspace)
            fail(instance)
            again(instance)
            looked(workspace)
            assert len(hook.texts) == 1
            failed = ticked("alerts_1")[0]
            assert failed.status is TickStatus.FAILURE and failed.error
            cause = failed.error.cause or failed.error
            assert "could not be sent to $MAIL: Connection error" in cause.message
            assert ticked("alerts_2")[0].status is TickStatus.SKIPPED
            server.account = ("harvest", PASSWORD)
            again(instance)
            looked(workspace)
            assert (len(server.mails), len(hook.texts)) == (1, 1)
    output = "".join(capfd.readouterr()).encode()
    canaries = Canaries({"webhook": PATH.rpartition("/")[2], "password": PASSWORD})
    assert canaries.within(f"x{PASSWORD} {PATH}".encode()) == {"webhook", "password"}
    assert canaries.below(home) == {} and any(home.rglob("*.db"))
    assert not canaries.within(output)
    assert not canaries.within(server.mails[0].as_bytes() + "".join(hook.texts).encode())


def looked(workspace: WorkspaceProcessContext) -> None:
    """The daemon has looked once at all sensors."""
    list(execute_sensor_iteration(workspace, get_default_daemon_logger("SensorDaemon"), None, None))


def again(instance: dg.DagsterInstance) -> None:
    """The time between two ticks has passed."""
    for state in instance.all_instigator_state():
        data = state.instigator_data
        instance.update_instigator_state(
            state.with_data(data._replace(last_tick_timestamp=0.0, last_tick_start_timestamp=0.0))  # type: ignore[union-attr]
        )
