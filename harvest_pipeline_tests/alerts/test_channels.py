"""The channels by themselves: what arrives, and one sentence without a secret for what does not."""

import ssl

import pytest
import trustme

from harvest_pipeline.alerts import email as email_module
from harvest_pipeline.alerts import webhook as webhook_module
from harvest_pipeline.alerts.email import Email
from harvest_pipeline.alerts.errors import AlertNotSent
from harvest_pipeline.alerts.messages import alert
from harvest_pipeline.alerts.webhook import Webhook
from harvest_pipeline.settings.alerts import EmailEntry, WebhookEntry
from harvest_pipeline_tests.alerts.conftest import PASSWORD, PATH, Hook
from harvest_pipeline_tests.alerts.mail_server import MailServer
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.fault_server import FaultServer, script
from harvest_pipeline_tests.waiting import soon

MESSAGE = alert(
    "a run failed",
    ["acme"],
    reports=["daily", "invoices"],
    days="2026-11-19 to 2026-11-20",
    cause="Harvest does not accept the token of Łódź & <!channel> (401).",
    remedy="make a new one.",
    run_id="4f1c",
)
TEXT = (
    "Account: acme\nReports: daily, invoices\nDays: 2026-11-19 to 2026-11-20\n"
    "What happened: Harvest does not accept the token of Łódź & <!channel> (401).\n"
    "What to do: make a new one.\nRun: 4f1c"
)


def email(server: MailServer, **changes: object) -> Email:
    given = {
        "to": ["finance@example.com", "ops@example.com"],
        "from": "harvest@example.com",
        "host": "127.0.0.1",
        "port": server.port,
        **changes,
    }
    return Email(EmailEntry.model_validate(given), {"HARVEST_SMTP_PASSWORD": PASSWORD})


def webhook(address: str | None) -> Webhook:
    return Webhook(WebhookEntry(), {"HARVEST_ALERT_WEBHOOK": address} if address else {})


def refusal(channel: Email | Webhook) -> str:
    """The sentence with which it is not sent; nothing else is chained to it."""
    with pytest.raises(AlertNotSent) as refused:
        channel.send(MESSAGE)
    sentence = str(refused.value)
    assert refused.value.__cause__ is refused.value.__context__ is None
    assert sentence.endswith(".") and "\n" not in sentence
    for secret in (PASSWORD, PATH, PATH.rpartition("/")[2], "told-4711"):
        assert secret not in sentence
    return sentence


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("security", ["starttls", "ssl"])
def test_an_e_mail_is_signed_in_for_and_sent_over_tls(tls: ssl.SSLContext, security: str) -> None:
    account = ("harvest", PASSWORD)
    with MailServer(tls=tls, implicit=security == "ssl", account=account) as server:
        assert email(server, user="harvest", security=security).send(MESSAGE) is None
    (mail,) = server.mails
    assert server.secure == [True]
    assert mail["Subject"] == "[Harvest] acme: a run failed"
    assert (mail["To"], mail["From"]) == (
        "finance@example.com, ops@example.com",
        "harvest@example.com",
    )
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content().replace("\r\n", "\n") == f"acme: a run failed\n\n{TEXT}\n"


@pytest.mark.usefixtures("trusted")
def test_a_wrong_password_is_one_sentence(tls: ssl.SSLContext) -> None:
    with MailServer(tls=tls, account=("harvest", "another one")) as server:
        assert refusal(email(server, user="harvest")) == (
            f"The e-mail could not be sent by 127.0.0.1:{server.port}: it does not accept the user "
            "of harvest.yaml with HARVEST_SMTP_PASSWORD (535); correct them."
        )
    assert not server.mails


def test_nothing_goes_out_unencrypted_where_the_server_offers_no_starttls() -> None:
    with MailServer(account=("harvest", PASSWORD)) as server:
        assert "does not offer what is asked for (STARTTLS" in refusal(
            email(server, user="harvest")
        )
    assert b"AUTH" not in server.received and b"MAIL" not in server.received


def test_a_mail_server_with_a_wrong_certificate_gets_nothing(tls: ssl.SSLContext) -> None:
    """Here nobody trusts the authority."""
    with MailServer(tls=tls, account=("harvest", PASSWORD)) as server:
        assert "its certificate does not verify" in refusal(email(server, user="harvest"))
    assert b"AUTH" not in server.received


def test_a_mail_server_that_is_down_or_silent_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with MailServer() as gone:
        pass
    assert "there is no connection to it" in refusal(email(gone, security="none"))
    monkeypatch.setattr(email_module, "_TIMEOUT", 0.2)
    with MailServer(silent=True) as server:
        assert "did not answer in time" in refusal(email(server, security="none"))


def test_what_speaks_no_smtp_is_one_sentence(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email_module, "_TIMEOUT", 0.2)
    server = MailServer()
    server.port = int(hook.host.rpartition(":")[2])
    assert "could not be sent" in refusal(email(server, security="ssl"))


def test_an_address_that_is_refused_is_named_and_the_others_get_the_mail_once() -> None:
    with MailServer(refused=("ops@example.com",)) as server:
        assert email(server, security="none").send(MESSAGE) == (
            f"127.0.0.1:{server.port} sent the e-mail, but it does not accept ops@example.com; "
            "correct `to` in harvest.yaml."
        )
        assert len(server.mails) == 1
    with MailServer(refused=("example.com",)) as server:
        assert "finance@example.com, ops@example.com" in refusal(email(server, security="none"))


@pytest.mark.parametrize(
    ("password", "sentence"),
    [("", "HARVEST_SMTP_PASSWORD is not set"), ("pässwort", "plain letters")],
)
def test_a_password_that_cannot_be_used_is_told_before_anything_is_sent(
    password: str, sentence: str
) -> None:
    entry = EmailEntry.model_validate(
        {"to": ["a@b.c"], "from": "a@b.c", "host": "127.0.0.1", "port": 9, "user": "harvest"}
    )
    told = refusal(Email(entry, {"HARVEST_SMTP_PASSWORD": password}))
    assert sentence in told and "pässwort" not in told


def test_a_webhook_gets_the_text_and_no_sign_of_slacks_in_it(hook: Hook) -> None:
    """`<!channel>` in a name from Harvest would wake everybody."""
    assert webhook(hook.address).send(MESSAGE) is None
    safe = TEXT.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert hook.texts == [f"*acme: a run failed*\n{safe}"]
    (request,) = hook.requests
    assert request.headers["content-type"] == "application/json"
    assert "authorization" not in request.headers


@pytest.mark.usefixtures("trusted")
def test_a_webhook_is_reached_over_tls(tls: ssl.SSLContext) -> None:
    with FaultServer(script(fault.raw(b"ok")), tls=tls) as server:
        assert webhook(f"{server.url}/{PATH}").send(MESSAGE) is None
        assert len(server.requests) == 1


def test_a_webhook_with_a_wrong_certificate_gets_nothing(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    bundle = f"{tmp_path}/other.pem"
    trustme.CA().cert_pem.write_to_path(bundle)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    with FaultServer(script(fault.raw(b"ok")), tls=tls) as server:
        assert "its certificate does not verify" in refusal(webhook(f"{server.url}/{PATH}"))
        assert not server.requests


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (fault.answer({"error": PATH}, 500), "it answered 500."),
        (fault.raw(b"no_service", 404), "it answered 404."),
        (fault.reset, "there is no connection to it."),
    ],
)
def test_a_webhook_that_fails_is_one_sentence(
    hook: Hook, answer: fault.Action, sentence: str
) -> None:
    hook.then = [answer]
    assert refusal(webhook(hook.address)) == (
        f"The alert could not be posted to the webhook in HARVEST_ALERT_WEBHOOK: {sentence}"
    )


def test_a_redirect_is_not_followed(hook: Hook) -> None:
    with FaultServer(script(fault.raw(b"ok"))) as elsewhere:
        hook.then = [fault.raw(b"", 307, {"Location": f"{elsewhere.url}/mine"})]
        assert "leads to another address (307), which is not followed" in refusal(
            webhook(hook.address)
        )
        assert not elsewhere.requests


@pytest.mark.parametrize("slow", [fault.hang, fault.drip_headers])
def test_a_webhook_that_never_answers_is_left_in_time(
    hook: Hook, slow: fault.Action, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_module, "_DEADLINE", 0.3)
    hook.then = [slow]
    with soon():
        assert "did not answer in time" in refusal(webhook(hook.address))


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (None, "HARVEST_ALERT_WEBHOOK is not set; put the webhook's address into it"),
        (f"http://hooks.example.com/{PATH}", "holds no https address; correct it"),
        (f"ftp://hooks.example.com/{PATH}", "holds no https address; correct it"),
        (f"https://[hooks/{PATH}", "holds no https address; correct it"),
        (PATH, "holds no https address; correct it"),
    ],
)
def test_an_address_that_anybody_could_listen_in_on_gets_nothing(
    address: str | None, sentence: str
) -> None:
    assert sentence in refusal(webhook(address))


def test_channels_show_their_secrets_neither_in_a_repr_nor_in_a_pickle() -> None:
    with MailServer() as server:
        for channel in (
            email(server, user="harvest"),
            webhook(f"https://hooks.example.com/{PATH}"),
        ):
            assert repr(channel) in ("<Email>", "<Webhook>")
            with pytest.raises(TypeError):
                channel.__reduce__()
