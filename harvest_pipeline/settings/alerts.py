"""`alerts:` of harvest.yaml: who is told of what.

Secrets are variables: the password and the webhook's address are read when something is sent."""

import re
from datetime import time
from enum import StrEnum
from typing import Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from harvest_pipeline.settings.values import Model, is_loopback, misplaced

#: The variable with the webhook's address, where the file names no other one.
WEBHOOK_VARIABLE = "HARVEST_ALERT_WEBHOOK"

_ADDRESS = re.compile(r"[!-~]+@[!-~]+")
_NO_ADDRESS = re.compile(r"[\s<>,;:\"()\[\]\\]")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:]*")
_EXAMPLE = {
    "to": ["finance@example.com"],
    "from": "harvest@example.com",
    "host": "smtp.example.com",
}


class Subject(StrEnum):
    """What can be told of."""

    RUN_FAILURE = "run_failure"
    CHECK_FAILURE = "check_failure"
    MISSING_DAY = "missing_day"
    CREDENTIAL = "credential"


class Security(StrEnum):
    """How the connection to a mail server is encrypted."""

    STARTTLS = "starttls"
    SSL = "ssl"
    NONE = "none"


_PORTS = {Security.STARTTLS: 587, Security.SSL: 465, Security.NONE: 25}


class CheckSeverity(StrEnum):
    """How bad a failing check must be to be told of."""

    ERROR = "error"
    WARN = "warn"


class EmailEntry(Model):
    """By e-mail, over SMTP. The password of `user` is the variable HARVEST_SMTP_PASSWORD."""

    to: tuple[str, ...] = Field(
        description="Who gets it: e-mail addresses.", examples=[["finance@example.com"]]
    )
    sender: str = Field(
        alias="from", description="Who it is from.", examples=["harvest@example.com"]
    )
    host: str = Field(description="The mail server.", examples=["smtp.example.com"])
    port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        strict=True,
        description="Its port; without it 587 for starttls, 465 for ssl, 25 for none.",
    )
    user: str | None = Field(
        default=None,
        min_length=1,
        description="Who signs in there; nobody without it.",
        examples=["harvest"],
    )
    security: Security = Field(
        default=Security.STARTTLS,
        description="How the connection is encrypted; with none there can be no `user`, but on "
        "this machine.",
    )

    @field_validator("to", "sender")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...] | str) -> tuple[str, ...] | str:
        if not value:
            raise ValueError("nobody is named; write e-mail addresses")
        for address in (value,) if isinstance(value, str) else value:
            if not _ADDRESS.fullmatch(address) or _NO_ADDRESS.search(address):
                raise ValueError("this is no e-mail address such as finance@example.com")
        return value

    @field_validator("host")
    @classmethod
    def _is_host(cls, host: str) -> str:
        if not _HOST.fullmatch(host):
            raise ValueError("this is no name of a host such as smtp.example.com")
        return host

    @model_validator(mode="after")
    def _password_is_protected(self) -> Self:
        if self.user and self.security is Security.NONE and not is_loopback(self.host):
            reason = "the password would go over the network unencrypted; choose starttls or ssl"
            raise misplaced(reason, "security")
        return self

    @property
    def server(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port or _PORTS[self.security]


class WebhookEntry(Model):
    """By webhook: `{"text": …}` is posted, as Slack's incoming webhooks take it, and those that are
    compatible with them. Its address is a secret, so it is a variable: `webhook: {}` is enough."""

    variable: str = Field(
        default=WEBHOOK_VARIABLE,
        description="Name of the variable that holds the address: https, or this machine.",
    )

    @field_validator("variable")
    @classmethod
    def _is_a_name(cls, variable: str) -> str:
        # The value is never repeated: it may be the address itself.
        if not re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", variable):
            raise ValueError(
                f"write the name of a variable such as {WEBHOOK_VARIABLE}, and the address into "
                "that variable: it is a secret"
            )
        return variable


class AlertsEntry(Model):
    """Who is told what goes wrong, in all accounts. Without this key nobody is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"webhook": {}}]})

    on: tuple[Subject, ...] = Field(
        default=tuple(Subject),
        description="What is told of: runs that fail, checks that fail, days that have not come, "
        "credentials that end.",
        examples=[["run_failure", "missing_day"]],
    )
    missing_day_by: str = Field(
        default="09:00",
        description="The time, in HARVEST_TIMEZONE, by which the day before must have been read.",
        examples=["07:30"],
    )
    check_severity: CheckSeverity = Field(
        default=CheckSeverity.ERROR,
        description="Which failing checks are told of: errors, or warnings too.",
    )
    email: EmailEntry | None = Field(default=None, description="By e-mail.", examples=[_EXAMPLE])
    webhook: WebhookEntry | None = Field(
        default=None, description="By webhook.", examples=[{"variable": WEBHOOK_VARIABLE}]
    )

    @field_validator("email", "webhook", mode="before")
    @classmethod
    def _is_meant(cls, value: object) -> object:
        # `webhook:` with nothing after it would otherwise be switched off without a word.
        return {} if value is None else value

    @field_validator("on")
    @classmethod
    def _is_something(cls, on: tuple[Subject, ...]) -> tuple[Subject, ...]:
        if not on:
            raise ValueError("nothing is told of; name something, or remove `alerts:`")
        return on

    @field_validator("missing_day_by")
    @classmethod
    def _is_time(cls, text: str) -> str:
        if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
            raise ValueError('this is no time of the day; write it as "09:00", in quotes')
        return text

    @model_validator(mode="after")
    def _reaches_somebody(self) -> Self:
        if self.email is None and self.webhook is None:
            raise ValueError("nobody would be told; add email or webhook, or remove `alerts:`")
        return self

    @property
    def deadline(self) -> time:
        """`missing_day_by` as a time of the day."""
        return time.fromisoformat(self.missing_day_by)
