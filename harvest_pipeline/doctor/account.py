"""The sections on one account: credentials, person and company, endpoints, request limits.

Belongs here: where the credentials are from, the first questions to Harvest, and what follows when
they are refused.
Does not belong here: the endpoints (endpoints.py).
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from harvest_pipeline.access import (
    client_from_environment,
    credentials_from_environment,
    renewed_variable,
    variables,
    winning_variables,
)
from harvest_pipeline.accounts.store import AccountStore
from harvest_pipeline.accounts.stored import StoredAccount, is_name
from harvest_pipeline.doctor.endpoints import Endpoints
from harvest_pipeline.doctor.findings import Finding, Section, ok, section, told, warning, wrong
from harvest_pipeline.doctor.origins import Origins
from harvest_pipeline.harvest.account import Identity, Role
from harvest_pipeline.harvest.auth import RefreshedTokens
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import (
    AccountAmbiguous,
    AccountNotFound,
    HarvestError,
    RateLimited,
    StoreUnusable,
)
from harvest_pipeline.harvest.patience import Patience
from harvest_pipeline.settings import Account
from harvest_pipeline.text import one_line

#: A person waits: so few attempts, short pauses, and none of the minutes that Harvest may ask for.
#: The deadline is that of runs, by which they and we tell each other's requests from old ones.
_PATIENCE = Patience(read=20.0, attempts=2, first_pause=0.5, throttle_cap=20.0)

#: What Harvest leaves out for others than administrators (REFERENCE 7).
_SHOWN: Mapping[Role, str] = {
    "manager": "only the people, projects, time and expenses that this person manages, and no cost "
    "rates",
    "member": "only this person's own time and expenses",
}


class AccountCheck:
    """Looks at one account. `account_id` is known once it was named, stored or found.

    `clock` is by how many seconds our clock is ahead of Harvest's, None if that was not seen.
    """

    def __init__(self, settings: Account, origins: Origins) -> None:
        self.settings = settings
        self.clock: float | None = None
        self._origins = origins
        self._names = variables(settings, origins.environment)
        self._winning = winning_variables(settings, origins.environment)
        self._store: AccountStore | None = None
        self._stored: StoredAccount | None = None
        self._unusable: StoreUnusable | None = None
        try:
            self._store = AccountStore.from_environment(origins.environment)
            if is_name(settings.name):
                self._stored = self._store.find(settings.name)
        except StoreUnusable as error:
            self._unusable = error
        self._client: HarvestClient | None = None
        self._endpoints: Endpoints | None = None
        self.account_id = self._given_id()

    def sections(self, *, offline: bool) -> Iterator[Section]:
        """The sections, one after the other; `offline` asks Harvest nothing."""
        name = self.settings.name
        asked = self._not_asked if offline else self._person
        try:
            yield section("account", self._credentials, asked, account=name)
            if self._endpoints is not None:
                yield section("endpoints", self._endpoints.findings, account=name)
                self.clock = self._endpoints.clock
            if self._client is not None and self.account_id is not None:
                yield section("request limits", self._limits, account=name)
        finally:
            if self._client is not None:
                self._client.close()

    def _given_id(self) -> int | None:
        """The account id that was set or stored."""
        text = self.settings.account_id
        if "account_id" in self._names:
            text = self._origins.value(self._names["account_id"])
        elif self._stored and not self._winning:
            text = self._stored.account_id
        return int(text) if text.isascii() and text.isdigit() else None

    def _credentials(self) -> Iterator[Finding]:
        if self._unusable:
            yield told("stored account", self._unusable, "warning" if self._winning else "wrong")
        if self._winning:
            origin = ", ".join(f"{n} ({self._origins.source(n)})" for n in self._winning)
            also = "; the stored account of that name is not used then" if self._stored else ""
            yield ok("credentials", f"{origin}{self._renewed()}{also}")
        elif self._stored and self._store:
            stored = self._stored
            kept = "the system keyring" if stored.vault == "keyring" else self._store.folder
            yield ok(
                "credentials",
                f"the stored account {stored.name} in {kept}, connected on "
                f"{stored.connected_at:%Y-%m-%d} as {stored.user_name}, {stored.role}",
            )
        elif not self._unusable:
            prefix, *others = self.settings.prefixes
            name = f" --name {self.settings.name}" if others else ""
            yield wrong(
                "credentials",
                f"there are none for {self.settings.name}.",
                f"Run `harvest-pipeline connect{name}`, or set "
                f"{prefix}ACCESS_TOKEN in the environment or in .env.",
            )

    def _renewed(self) -> str:
        """Where the refresh token of the environment goes on."""
        variable = renewed_variable(self.settings, self._origins.environment)
        if variable and self._store:
            with suppress(StoreUnusable):  # which the first question tells
                if self._store.renewed(variable[1]):
                    return f"; what it was renewed to is kept in {self._store.folder}"
        return ""

    def _not_asked(self) -> Iterator[Finding]:
        yield ok("Harvest", "was not asked")

    def _person(self) -> Iterator[Finding]:
        """Who the account is read as. Opens the client, which stays open for the endpoints."""
        if not self._winning and self._stored is None:
            return
        if "account_id" in self._names and self.account_id is None:
            # The value is in no message: it may be a token in the wrong line.
            name = self._names["account_id"]
            yield wrong("account", f"not asked: {name} is no number.", "See the settings above.")
            return
        try:
            self._client = client = self._made()
            identity = client.identity
        except HarvestError as error:
            yield _refusal(error)
            return
        self.account_id = int(identity.account_id)
        yield ok("token", f"accepted; {self._lasting()}")
        self._endpoints = endpoints = Endpoints(client)
        endpoints.ask_company()
        yield ok("account", self._described(identity, endpoints.company or {}))
        yield ok("person", f"{identity.user_name} (user {identity.user_id}), {identity.role}")
        if not identity.is_administrator:
            yield warning(
                "role",
                f"Harvest shows a {identity.role} {_SHOWN[identity.role]}, and does not say that "
                "there is more.",
                "Use the token of an administrator if the tables are to be complete.",
            )

    def _made(self) -> HarvestClient:
        """The client, made as a run makes it. Raises HarvestError."""
        # Waits are short here, and no line among the findings.
        return client_from_environment(
            self.settings, self._origins.environment, lambda line: None, _PATIENCE
        )

    def _lasting(self) -> str:
        """How long the token is good, as far as it is known here."""
        tokens = credentials_from_environment(self.settings, self._origins.environment)
        if not isinstance(tokens, RefreshedTokens):
            return "it ends when it is revoked"
        if tokens.expires_at is None:
            return "it is renewed by itself"
        end = datetime.fromtimestamp(tokens.expires_at, UTC)
        return f"it ends on {end:%Y-%m-%d %H:%M} UTC, and is renewed by itself before"

    def _described(self, identity: Identity, company: Mapping[str, object]) -> str:
        name = company.get("name") or identity.account_name
        if name is None and self._stored and not self._winning:
            name = self._stored.account_name
        where = company.get("full_domain") or "only administrators are shown the instance"
        return one_line(f"{identity.account_id} {name or ''} ({where})")

    def _limits(self) -> Iterator[Finding]:
        assert self._client is not None
        left = self._client.left
        if left.pause:
            yield warning(
                "pause",
                f"Harvest has asked for a pause, which ends in {left.pause:.0f} seconds.",
                "Wait; runs wait by themselves.",
            )
        yield ok(
            "requests left",
            f"{left.general} of 100 in 15 seconds, by the count of this machine; "
            f"{left.reports} of 100 in 15 minutes for Harvest's own reports",
        )
        yield ok("requests made", f"{self._client.requests} by this check")


def _refusal(error: HarvestError) -> Finding:
    """The finding for the first question, without whose answer there are no others."""
    if isinstance(error, AccountAmbiguous | AccountNotFound):
        return wrong(
            "account",
            str(error),
            "Name one of the accounts that the token reaches: in HARVEST_ACCOUNT_ID, or as "
            "account_id in harvest.yaml.",
        )
    return told("token", error, "warning" if isinstance(error, RateLimited) else "wrong")
