"""Addresses: which may stand in harvest.yaml, what arrives at them, and one sentence without a
secret where nothing does."""

from pathlib import Path

import pytest

from harvest_pipeline.cli.main import main
from harvest_pipeline.orchestration.alerts import send
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.orchestration.alerts.conftest import (
    PASSWORD,
    PATH,
    Alerts,
    Hook,
    mail_to,
)
from harvest_pipeline_tests.orchestration.alerts.mail_server import MailServer
from harvest_pipeline_tests.settings.written import project_of, refusal_of


@pytest.mark.parametrize(
    "address",
    [
        "$HARVEST_ALERTS",
        "$my_slack",
        "mailto://mail.example.com:25?to=finance@example.com&from=harvest@example.com",
        "mailtos://harvest@mail.example.com",
        "json://127.0.0.1:8080/alerts",
    ],
)
def test_variables_and_addresses_without_a_secret_are_the_same_for_all_accounts(
    address: str, tmp_path: Path
) -> None:
    text = f"accounts: [{{name: acme}}, {{name: blue_sky}}]\nalerts: ['{address}']\n"
    assert project_of(tmp_path, text).alerts == (address,)


@pytest.mark.parametrize(
    "address",
    [
        f"slack://{PATH}",
        f"https://hooks.slack.com/services/{PATH}",
        f"mailtos://harvest:{PASSWORD}@mail.example.com",
        f"mailto://mail.example.com?to=a@example.com&pass={PASSWORD}",
        f"json://example.com/hook?+X-Token={PASSWORD}",
        f"json://[{PASSWORD}",
        "HARVEST_ALERTS",
        "$",
    ],
)
def test_an_address_that_may_hold_a_secret_is_refused_and_not_repeated(
    address: str, tmp_path: Path
) -> None:
    refusal = refusal_of(tmp_path, f"alerts:\n  - $HARVEST_ALERTS\n  - '{address}'\n")
    assert refusal == (
        "line 3: alerts.1: an address can hold a secret, so it is kept in a variable: put it into "
        "HARVEST_ALERTS, say, and write $HARVEST_ALERTS here."
    )


def test_one_address_that_is_no_list_is_refused_with_an_example(tmp_path: Path) -> None:
    assert refusal_of(tmp_path, f"alerts: slack://{PATH}\n") == (
        "line 1: alerts: a list is expected here, such as [$HARVEST_ALERTS]."
    )


def test_a_webhook_and_a_mailbox_get_the_message(hook: Hook, mail: MailServer) -> None:
    text = "Account: acme\nWhat happened: Łódź & others."
    for address in (hook.address, mail_to(mail)):
        assert send("$A", {"A": f" {address}\n"}, "acme: a run failed", text) is None
    assert (hook.titles, hook.texts) == (["acme: a run failed"], [text])
    (letter,) = mail.mails
    assert (letter["To"], letter["From"]) == ("finance@example.com", "harvest@example.com")
    assert letter["Subject"] == "acme: a run failed"
    body = letter.get_body(("plain", "html"))
    assert body and "Łódź" in body.get_content() and "What happened" in body.get_content()


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("", "A is not set; put the address into it, in the environment or in .env"),
        (
            f"http://hooks.example.com/{PATH}",
            "Apprise does not know such an address; docs/alerts.md has examples",
        ),
        (
            f"mailtos://u:{PASSWORD}@mail.example.com?to=a@example.com,b@example.com",
            "it has 2 recipients; write an address for each, so that what one does not take is not "
            "sent to the others again and again",
        ),
        *(
            (address, "what is sent could be read on its way; write mailtos, jsons, … instead")
            for address in (
                f"json://hooks.example.com/{PATH}",
                f"mailto://u:{PASSWORD}@mail.example.com?to=a@example.com",
            )
        ),
    ],
)
def test_what_cannot_work_is_one_sentence(address: str, sentence: str) -> None:
    assert send("$A", {"A": address}, "title", "text") == sentence


def test_what_a_server_refuses_is_said_without_the_address(
    hook: Hook, mail: MailServer, capfd: pytest.CaptureFixture[str]
) -> None:
    with Hook() as elsewhere:
        hook.then = [
            fault.raw(b"", 404),
            fault.raw(PATH.encode(), 500),
            fault.raw(b"", 307, {"Location": f"{elsewhere.url}/{PATH}"}),
        ]
        for status in (404, 500, 307):
            problem = send("$A", {"A": hook.address}, "title", "text")
            assert problem and f"error={status}" in problem
            assert not any(word in problem for word in PATH.split("/"))
        assert not elsewhere.requests
    wrong = send("$A", {"A": mail_to(mail, "another-one")}, "title", "text")
    assert wrong == 'Connection error while submitting email to "…"'
    gone = send("$A", {"A": hook.address.replace(hook.host, "127.0.0.1:9")}, "title", "text")
    assert gone == "A Connection error occurred sending JSON notification to …"
    assert "".join(capfd.readouterr()) == ""


def test_the_command_tries_every_address_and_says_which_does_not_work(
    alerts: Alerts, hook: Hook, mail: MailServer, capsys: pytest.CaptureFixture[str]
) -> None:
    alerts.project.set(MAIL=mail_to(mail), HARVEST_ACCOUNT_ID="")
    alerts.say("accounts: [{name: acme}, {name: blue_sky}]\nalerts: [$MAIL, $HARVEST_ALERTS]\n")
    assert main(["alerts", "test"]) == 0
    assert capsys.readouterr().out == "$MAIL: sent.\n$HARVEST_ALERTS: sent.\n"
    assert hook.titles == [mail.mails[0]["Subject"]] == ["acme, blue_sky: a test of alerts"]
    mail.account = ("harvest", "another one")
    assert main(["alerts", "test"]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("$MAIL: Connection error") and "$HARVEST_ALERTS: sent." in said.out
    assert not any(secret in said.out + said.err for secret in (PASSWORD, PATH, "Traceback"))
    alerts.say("")
    assert main(["alerts", "test"]) == 1
    assert "Alerts are off: harvest.yaml has no `alerts:`" in capsys.readouterr().err
