"""What is told of credentials: that one is refused, or will end and cannot be renewed.

What can be known (REFERENCE 2): a personal access token has no end; it works until somebody
revokes it. An OAuth 2 access token ends after 14 days and is renewed by itself; the refresh token
has no end that Harvest tells. So each credential is tried once a day, as a run would use it; and an
access token that ends within two days is renewed then, so that a refresh token which no longer
works is found while runs still succeed.

Belongs here: when which is tried, and the messages.
Does not belong here: how a credential is used (harvest/auth.py) and reached (access.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

from harvest_pipeline.access import client_from_environment, credentials_from_environment
from harvest_pipeline.alerts.messages import Alert, alert
from harvest_pipeline.alerts.state import CredentialState
from harvest_pipeline.harvest.auth import RefreshedTokens
from harvest_pipeline.harvest.client import user_agent
from harvest_pipeline.harvest.errors import HarvestError
from harvest_pipeline.harvest.patience import Patience
from harvest_pipeline.harvest.transport import Transport
from harvest_pipeline.settings import Account

#: The daemon gives a whole tick 60 seconds.
_PATIENCE = Patience(read=8.0, deadline=10.0, attempts=1, throttle_cap=5.0)
_EVERY = timedelta(days=1)
#: After an outage it is tried again this much later.
_AGAIN = timedelta(hours=1)
#: An access token that ends sooner than this is renewed: twice `_EVERY`, so that there is a whole
#: day left to connect anew.
_AHEAD = timedelta(days=2)


class Credentials:
    """The credentials of the accounts, at the instant `now` (UTC)."""

    def __init__(
        self, accounts: Sequence[Account], environment: Mapping[str, str], now: datetime
    ) -> None:
        self._accounts = accounts
        self._environment = environment
        self._now = now

    def alerts(self, state: CredentialState) -> Iterator[tuple[Alert | None, CredentialState]]:
        """What is to be told, with the state after it. One account at a time is tried, the one that
        was not for longest."""
        now = self._now.timestamp()
        due = [s for s in self._accounts if now >= state.tried.get(s.name, 0.0)]
        if not due:
            return
        settings = min(due, key=lambda each: state.tried.get(each.name, 0.0))
        name = settings.name
        again, told, message = _EVERY, dict(state.told), None
        try:
            problem = self._problem(settings)
        except HarvestError:  # an outage: it says nothing of the credential
            again = _AGAIN
        else:
            if problem is None:
                told.pop(name, None)
            elif told.get(name) != problem[0]:
                cause, remedy = problem
                told[name] = cause
                message = alert("a credential needs you", [name], cause=cause, remedy=remedy)
        tried = {**state.tried, name: now + again.total_seconds()}
        yield message, CredentialState(tried, told)

    def _problem(self, settings: Account) -> tuple[str, str] | None:
        """What is wrong with the credential and what to do; None if it works.

        Raises HarvestError for what may mend itself.
        """
        remedy = "what the sentence says; until then no run of this account succeeds."
        try:
            tokens = self._tokens(settings)
            ends_at = tokens.expires_at if tokens else None
            end = None if ends_at is None else datetime.fromtimestamp(ends_at, UTC)
            if tokens and end and end - self._now < _AHEAD:
                ending = "ended" if end <= self._now else "will end"
                when = f"on {end:%Y-%m-%d %H:%M} UTC"
                try:
                    self._renew(settings, tokens)
                except HarvestError as error:
                    if error.retryable:
                        raise
                    cause = f"the access {ending} {when} and could not be renewed. {error}"
                    return cause, f"what the sentence says; runs fail from {when[3:]} on."
            self._use(settings)
        except HarvestError as error:
            if error.retryable:
                raise
            return str(error), remedy
        return None

    def _tokens(self, settings: Account) -> RefreshedTokens | None:
        """The credentials if they are of the kind that is renewed. Raises as `client_of` does."""
        credentials = credentials_from_environment(settings, self._environment)
        return credentials if isinstance(credentials, RefreshedTokens) else None

    def _renew(self, settings: Account, tokens: RefreshedTokens) -> None:
        """Renew the access token that is kept, as runs do a little before it ends."""
        with closing(Transport(user_agent(settings.project.contact), _PATIENCE)) as transport:
            tokens.renew_early(transport)

    def _use(self, settings: Account) -> None:
        """Ask Harvest who the account is read as."""
        client = client_from_environment(settings, self._environment, lambda line: None, _PATIENCE)
        with closing(client):
            _ = client.identity
