"""The sensors: nothing when off, a failing channel is seen and tried again, nothing goes out twice.

The last test is Dagster's own daemon on an instance of its own.
"""

import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.daemon import get_default_daemon_logger
from dagster._daemon.sensor import execute_sensor_iteration

from harvest_pipeline.alerts import sensors
from harvest_pipeline.alerts.errors import AlertNotSent
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline_tests.alerts.conftest import PASSWORD, PATH, Alerts, Hook, fail
from harvest_pipeline_tests.alerts.mail_server import MailServer
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.security.canaries import Canaries

BROKEN = fault.raw(b"", 500)


def mail_alerts(server: MailServer, on: str = "run_failure") -> str:
    return (
        f"alerts: {{on: [{on}], webhook: {{}}, email: {{to: [a@example.com], from: b@example.com, "
        f"host: 127.0.0.1, port: {server.port}, user: harvest, security: none}}}}\n"
    )


def test_without_the_key_there_is_no_sensor_and_nothing_is_sent(alerts: Alerts, hook: Hook) -> None:
    alerts.say("disabled_reports: [daily]\n")
    assert not alerts.names()
    fail(alerts.project.instance)
    names = [sensor.name for sensor in build_definitions().sensors or []]
    assert not [name for name in names if name.startswith("alerts")]
    assert not hook.requests


def test_with_it_there_is_a_sensor_for_each_channel_which_runs_from_the_start(
    alerts: Alerts,
) -> None:
    with MailServer() as server:
        alerts.say(mail_alerts(server))
    found = [s for s in build_definitions().sensors or [] if s.name.startswith("alerts")]
    assert [sensor.name for sensor in found] == ["alerts_by_email", "alerts_by_webhook"]
    assert {sensor.default_status for sensor in found} == {dg.DefaultSensorStatus.RUNNING}


def test_a_channel_that_fails_makes_its_tick_fail_and_is_tried_again_and_the_other_is_not(
    alerts: Alerts, hook: Hook
) -> None:
    alerts.project.set(HARVEST_SMTP_PASSWORD=PASSWORD)
    with MailServer(account=("harvest", PASSWORD)) as server:
        alerts.say(mail_alerts(server))
        for name in alerts.names():
            alerts.tick(name)
        fail(alerts.project.instance)
        hook.then = [BROKEN]
        alerts.tick("alerts_by_email")
        with pytest.raises(AlertNotSent, match="it answered 500"):
            alerts.tick("alerts_by_webhook")
        for name in alerts.names() * 2:
            alerts.tick(name)
        assert (len(server.mails), len(hook.texts)) == (1, 1)


def test_of_several_messages_those_that_were_sent_are_not_sent_again(
    alerts: Alerts, hook: Hook
) -> None:
    alerts.say("alerts: {on: [run_failure], webhook: {}}\n")
    alerts.tick()
    for _ in range(3):
        fail(alerts.project.instance)
    hook.then = [fault.raw(b"ok"), BROKEN, BROKEN]
    sent = len(hook.requests)
    data = alerts.tick()  # the first is sent, the second is not: what was sent is kept
    assert len(hook.requests) - sent == 2
    assert "it answered 500" in (data.skip_message or "")
    with pytest.raises(AlertNotSent):  # it begins with the one that failed, and fails
        alerts.tick()
    alerts.tick()
    runs = {text.rpartition("Run: ")[2] for text in hook.texts}
    assert len(hook.texts) == len(runs) == 2


def test_a_tick_sends_a_bounded_number_and_the_next_one_goes_on(
    alerts: Alerts, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "_MOST_MESSAGES", 2)
    alerts.say("alerts: {on: [run_failure], webhook: {}}\n")
    alerts.tick()
    for _ in range(3):
        fail(alerts.project.instance)
    for messages in (2, 3, 3):
        alerts.tick()
        assert len(hook.texts) == messages


@pytest.mark.parametrize("cursor", ["", "{}", "no json", '{"version": 99}', '{"runs": 3}'])
def test_a_cursor_that_means_nothing_is_a_beginning(
    alerts: Alerts, hook: Hook, cursor: str
) -> None:
    alerts.say("alerts: {on: [run_failure], webhook: {}}\n")
    alerts.cursors["alerts_by_webhook"] = cursor
    fail(alerts.project.instance)
    alerts.tick()
    assert not hook.texts


def test_dagsters_daemon_shows_the_failure_keeps_the_cursor_and_holds_no_secret(
    alerts: Alerts, hook: Hook, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project = alerts.project
    (home := tmp_path / "dagster home").mkdir()
    project.set(HARVEST_SMTP_PASSWORD=PASSWORD)
    server = MailServer(account=("harvest", "another one"))
    with server, dg.instance_for_test(temp_dir=str(home)) as instance:
        project.instance.dispose()
        project.instance = instance
        alerts.say(mail_alerts(server, on="run_failure, check_failure"))
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
            failed = ticked("alerts_by_email")[0]
            assert failed.status is TickStatus.FAILURE and failed.error
            cause = failed.error.cause or failed.error
            assert "does not accept the user of harvest.yaml" in cause.message
            assert ticked("alerts_by_webhook")[0].status is TickStatus.SKIPPED
            server.account = ("harvest", PASSWORD)
            again(instance)
            looked(workspace)
            assert (len(server.mails), len(hook.texts)) == (1, 1)
    output = "".join(capfd.readouterr()).encode()
    canaries = Canaries({"webhook": hook.address, "password": PASSWORD})
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
