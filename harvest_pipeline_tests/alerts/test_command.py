"""`harvest-pipeline alerts test`: a message through each channel, and what happened to it."""

import pytest

from harvest_pipeline.cli.main import main
from harvest_pipeline_tests.alerts.conftest import PASSWORD, PATH, Alerts, Hook
from harvest_pipeline_tests.alerts.mail_server import MailServer
from harvest_pipeline_tests.harvest import fault_server as fault


@pytest.fixture
def both(alerts: Alerts) -> MailServer:
    server = MailServer(account=("harvest", PASSWORD))
    alerts.say(
        "accounts: [{name: acme}, {name: blue_sky}]\n"
        "alerts: {webhook: {}, email: {to: [a@example.com], from: b@example.com, host: 127.0.0.1, "
        f"port: {server.port}, security: none, user: harvest}}}}\n"
    )
    alerts.project.set(HARVEST_ACCOUNT_ID="", HARVEST_SMTP_PASSWORD=PASSWORD)
    return server


def test_a_message_goes_through_each_channel_and_names_the_accounts(
    both: MailServer, hook: Hook, capsys: pytest.CaptureFixture[str]
) -> None:
    with both:
        assert main(["alerts", "test"]) == 0
    assert capsys.readouterr().out == (
        f"email: sent to a@example.com by 127.0.0.1:{both.port}.\n"
        "webhook: sent to the address in HARVEST_ALERT_WEBHOOK.\n"
    )
    (text,), (mail,) = hook.texts, both.mails
    assert text.startswith("*acme, blue_sky: a test of alerts*")
    assert mail["Subject"] == "[Harvest] acme, blue_sky: a test of alerts"
    assert "run_failure, check_failure, missing_day, credential" in text


def test_what_fails_is_told_the_others_are_tried_all_the_same_and_the_exit_code_is_one(
    both: MailServer, hook: Hook, capsys: pytest.CaptureFixture[str]
) -> None:
    both.account = ("harvest", "another one")
    with both:
        assert main(["alerts", "test"]) == 1
    told = capsys.readouterr()
    assert "does not accept the user of harvest.yaml with HARVEST_SMTP_PASSWORD (535)" in told.out
    assert "webhook: sent to" in told.out and len(hook.texts) == 1
    hook.then = [fault.raw(b"", 404)]
    main(["alerts", "test"])  # the mail server is gone by now
    told = capsys.readouterr()
    assert "there is no connection to it" in told.out and "it answered 404" in told.out
    for secret in (PASSWORD, PATH, "Traceback"):
        assert secret not in told.out + told.err


def test_without_alerts_it_says_so(alerts: Alerts, capsys: pytest.CaptureFixture[str]) -> None:
    alerts.say("")
    assert main(["alerts", "test"]) == 1
    assert "Alerts are off: harvest.yaml has no `alerts:`" in capsys.readouterr().err
