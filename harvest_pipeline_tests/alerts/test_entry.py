"""`alerts:` of harvest.yaml: what it means, and every refusal as its whole sentence."""

from datetime import time
from pathlib import Path

import pytest

from harvest_pipeline.settings.alerts import Subject
from harvest_pipeline_tests.alerts.conftest import PASSWORD, PATH
from harvest_pipeline_tests.settings.written import project_of, refusal_of

EMAIL = "email: {to: [a@example.com], from: b@example.com, host: smtp.example.com"
SECRETS = (
    "Secrets are not kept in this file: set the variables HARVEST_SMTP_PASSWORD and "
    "HARVEST_ALERT_WEBHOOK."
)
ADDRESS = "this is no e-mail address such as finance@example.com."


def alerts_with(*lines: str) -> str:
    """A file with alerts; the lines that are given are line 2 and those after it."""
    return "\n  ".join(("alerts:", *lines)) + "\n"


def test_without_the_key_nobody_is_told_anything(tmp_path: Path) -> None:
    only = project_of(tmp_path, "disabled_reports: [daily]\n")
    assert only.alerts is None


def test_a_webhook_alone_tells_of_everything_by_nine(tmp_path: Path) -> None:
    for text in ("webhook: {}", "webhook:"):
        only = project_of(tmp_path, alerts_with(text))
        assert only.alerts and only.alerts.webhook and only.alerts.email is None
        assert set(only.alerts.on) == set(Subject)
        assert only.alerts.deadline == time(9)


@pytest.mark.parametrize(
    ("security", "port"), [("", 587), (", security: ssl", 465), (", security: none", 25)]
)
def test_the_port_follows_from_the_security(security: str, port: int, tmp_path: Path) -> None:
    only = project_of(tmp_path, alerts_with(f"{EMAIL}{security}}}"))
    assert only.alerts and only.alerts.email
    assert only.alerts.email.server == ("smtp.example.com", port)


def test_every_account_has_the_same_alerts(tmp_path: Path) -> None:
    text = "accounts:\n  - {name: acme}\n  - {name: blue_sky}\n" + alerts_with("webhook: {}")
    acme, blue = project_of(tmp_path, text).accounts
    assert acme.project.alerts and acme.project.alerts is blue.project.alerts


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            ["on: [run_failure]"],
            "line 1: alerts: nobody would be told; add email or webhook, or remove `alerts:`.",
        ),
        (
            ["on: []", "webhook: {}"],
            "line 2: alerts.on: nothing is told of; name something, or remove `alerts:`.",
        ),
        (
            ["webhook: {}", "on: [run_failure, checks]"],
            "line 3: alerts.on.1: choose one of run_failure, check_failure, missing_day, "
            "credential.",
        ),
        (
            ["webhook: {}", "missing_day_by: 9 o'clock"],
            'line 3: alerts.missing_day_by: this is no time of the day; write it as "09:00", in '
            "quotes.",
        ),
        (
            ["webhook: {}", "missing_day_by: 10:30"],  # a number of minutes for YAML
            "line 3: alerts.missing_day_by: text is expected here; put it into quotes.",
        ),
        (
            ["webhook: {}", "check_severity: info"],
            "line 3: alerts.check_severity: choose one of error, warn.",
        ),
        (
            [f"webhook: {{url: https://hooks.example.com/{PATH}}}"],
            f"line 2: alerts.webhook.url: there is no such setting; there are: variable. {SECRETS}",
        ),
        (
            [f"webhook: {{variable: https://hooks.example.com/{PATH}}}"],
            "line 2: alerts.webhook.variable: write the name of a variable such as "
            "HARVEST_ALERT_WEBHOOK, and the address into that variable: it is a secret.",
        ),
        (
            [f"webhook: https://hooks.example.com/{PATH}"],
            "line 2: alerts.webhook: settings are expected here, such as {variable: "
            "HARVEST_ALERT_WEBHOOK}.",
        ),
        (
            [f"{EMAIL}, password: {PASSWORD}}}"],
            "line 2: alerts.email.password: there is no such setting; there are: to, from, host, "
            f"port, user, security. {SECRETS}",
        ),
        (["email:"], "line 2: alerts.email.to: it is missing, and there is no default."),
        (
            [f"{EMAIL}, security: tls}}"],
            "line 2: alerts.email.security: choose one of starttls, ssl, none.",
        ),
        (
            [f"{EMAIL}, security: none, user: harvest}}"],
            "line 2: alerts.email.security: the password would go over the network unencrypted; "
            "choose starttls or ssl.",
        ),
        (
            [f"{EMAIL}, port: 70000}}"],
            "line 2: alerts.email.port: it must be less than or equal to 65535.",
        ),
        (
            [EMAIL.replace("[a@example.com]", "[a@example.com, b c@example.com]") + "}"],
            f"line 2: alerts.email.to: {ADDRESS}",
        ),
        (
            [EMAIL.replace("b@example.com", '"b@example.com\\nBcc: c@example.com"') + "}"],
            f"line 2: alerts.email.from: {ADDRESS}",
        ),
        (
            [EMAIL.replace("[a@example.com]", "a@example.com") + "}"],
            "line 2: alerts.email.to: a list is expected here, such as [finance@example.com].",
        ),
        (
            [EMAIL.replace("smtp.example.com", "https://smtp.example.com") + "}"],
            "line 2: alerts.email.host: this is no name of a host such as smtp.example.com.",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    lines: list[str], sentence: str, tmp_path: Path
) -> None:
    told = refusal_of(tmp_path, alerts_with(*lines))
    assert told == sentence
    assert PATH not in told and PASSWORD not in told
