"""The channels that alerts can go through.

Belongs here: what a channel is, and which ones harvest.yaml names.
Does not belong here: how each of them sends (email.py, webhook.py); Dagster.
"""

from collections.abc import Mapping
from typing import Protocol

from harvest_pipeline.alerts.email import Email
from harvest_pipeline.alerts.messages import Alert
from harvest_pipeline.alerts.webhook import Webhook
from harvest_pipeline.settings.alerts import AlertsEntry


class Channel(Protocol):
    """A way to reach people."""

    @property
    def name(self) -> str:
        """What it is called in harvest.yaml."""
        ...

    @property
    def target(self) -> str:
        """Where alerts go, for a person to read; no secret."""
        ...

    def send(self, alert: Alert) -> str | None:
        """Send it; a sentence if only some got it. Raises AlertNotSent."""
        ...


def channels(entry: AlertsEntry, environment: Mapping[str, str]) -> list[Channel]:
    """The channels of `alerts:`; their secrets are looked up in `environment` when they send."""
    every: list[Channel] = []
    if entry.email:
        every.append(Email(entry.email, environment))
    if entry.webhook:
        every.append(Webhook(entry.webhook, environment))
    return every
