"""Alerts by webhook, in the form of Slack's incoming webhooks.

Belongs here: the one request, where it may go, a sentence for each refusal.
Does not belong here: what the message says (messages.py).
"""

from collections.abc import Mapping
from contextlib import closing
from urllib.parse import urlsplit

import requests

from harvest_pipeline.alerts.errors import AlertNotSent
from harvest_pipeline.alerts.messages import Alert
from harvest_pipeline.harvest.deadline import Watchdog, WatchedAdapter
from harvest_pipeline.harvest.secrecy import Secretive
from harvest_pipeline.harvest.transport import NoAuthorization
from harvest_pipeline.settings.alerts import WebhookEntry
from harvest_pipeline.settings.values import is_loopback

#: For the whole exchange, in seconds: the daemon gives a whole tick 60.
_DEADLINE = 10.0
_TOO_LATE = "it did not answer in time"
#: Slack's own signs: `<!channel>` in a name from Harvest would wake everybody.
_SIGNS = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class Webhook(Secretive):
    """Posts alerts to the address in the variable that `entry` names.

    The address is a secret: whoever has it can post. It is in no message, not even its host.
    """

    name = "webhook"

    def __init__(self, entry: WebhookEntry, environment: Mapping[str, str]) -> None:
        self._variable = entry.variable
        self._environment = environment

    @property
    def target(self) -> str:
        """Where alerts go, for a person to read."""
        return f"the address in {self._variable}"

    def send(self, alert: Alert) -> str | None:
        """Post it; there is nothing else to tell. Raises AlertNotSent."""
        address = self._address()
        reason = _refusal(address, {"text": f"*{alert.title}*\n{alert.text}".translate(_SIGNS)})
        if reason:
            raise AlertNotSent(
                f"The alert could not be posted to the webhook in {self._variable}: {reason}."
            )

    def _address(self) -> str:
        address = self._environment.get(self._variable, "").strip()
        if not address:
            raise AlertNotSent(
                f"The alert could not be posted: {self._variable} is not set; put the webhook's "
                "address into it, in the environment or in .env."
            )
        if not _is_allowed(address):
            raise AlertNotSent(
                f"The alert could not be posted: {self._variable} holds no https address; correct "
                "it."
            )
        return address


def _is_allowed(address: str) -> bool:
    """Whether nobody can listen in: https, or an address of this machine."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def _refusal(address: str, message: dict[str, str]) -> str | None:
    """Post it once; why that was not possible, None if it was."""
    watchdog = Watchdog()
    with closing(watchdog), requests.Session() as session:
        session.mount("https://", WatchedAdapter(pool_maxsize=1))
        session.mount("http://", WatchedAdapter(pool_maxsize=1))
        session.trust_env = address.startswith("https:")  # no proxy for this machine
        try:
            with (
                watchdog.watching(_DEADLINE),
                session.post(
                    address,
                    json=message,
                    auth=NoAuthorization(),
                    timeout=_DEADLINE,
                    allow_redirects=False,
                    stream=True,  # what it says is not read: it may be endless, and is not needed
                ) as response,
            ):
                status = response.status_code
        except requests.exceptions.SSLError:
            return "its certificate does not verify, so nothing was sent to it"
        except (requests.RequestException, OSError) as error:
            if watchdog.expired or isinstance(error, requests.Timeout):
                return _TOO_LATE
            return "there is no connection to it"
    if watchdog.expired:  # a header without an end looks whole where it is cut
        return _TOO_LATE
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"it leads to another address ({status}), which is not followed; correct the address"
    return f"it answered {status}"
