"""The Dagster resource that holds a Harvest account's credentials.

Belongs here: which variables hold credentials, and the way from them to a client.
Does not belong here: hosts and paths. Whoever can launch a run can edit a resource's config, so
where a token is sent to, and which file is written, are settings (settings.py).
"""

import os
from typing import Any

import dagster as dg
from pydantic import Field, PrivateAttr

from harvest_pipeline.harvest.auth import Credentials, OAuthRefresh, PersonalAccessToken
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import AccountNotFound, CredentialsMissing
from harvest_pipeline.settings import Settings

_VARIABLES = {
    "access_token": "HARVEST_ACCESS_TOKEN",
    "client_id": "HARVEST_CLIENT_ID",
    "client_secret": "HARVEST_CLIENT_SECRET",
    "refresh_token": "HARVEST_REFRESH_TOKEN",
    "account_id": "HARVEST_ACCOUNT_ID",
    "instance": "HARVEST_INSTANCE",
}
_OAUTH_FIELDS = ("client_id", "client_secret", "refresh_token")


class HarvestResource(dg.ConfigurableResource["HarvestResource"]):
    """The credentials of one Harvest account: a personal access token, or OAuth 2.

    Give secrets as `EnvVar` only: Dagster shows plain values in its UI.
    """

    access_token: str = Field(
        default="", description="Personal access token; set through HARVEST_ACCESS_TOKEN."
    )
    client_id: str = Field(
        default="", description="OAuth 2 client id; set through HARVEST_CLIENT_ID."
    )
    client_secret: str = Field(
        default="", description="OAuth 2 client secret; set through HARVEST_CLIENT_SECRET."
    )
    refresh_token: str = Field(
        default="", description="OAuth 2 refresh token; set through HARVEST_REFRESH_TOKEN."
    )
    account_id: str = Field(
        default="", description="Numeric id of the account; set through HARVEST_ACCOUNT_ID."
    )
    instance: str = Field(
        default="",
        description="The acme of acme.harvestapp.com, instead of the account id; set through "
        "HARVEST_INSTANCE.",
    )

    _client: HarvestClient | None = PrivateAttr(default=None)

    @classmethod
    def from_environment(cls) -> "HarvestResource":
        """Refer to every variable that is set, by name; no value is read here.

        A variable that is not set stays empty, so that what is missing is said in our own words
        when a run starts, not as a failure of Dagster's config.
        """
        variables: dict[str, Any] = {
            name: dg.EnvVar(variable)
            for name, variable in _VARIABLES.items()
            if os.environ.get(variable, "").strip()
        }
        return cls(**variables)

    def client(self, settings: Settings) -> HarvestClient:
        """The client for the account, the same one for the whole run.

        Nothing is sent to Harvest yet. Raises CredentialsMissing if there is neither a token nor
        all three OAuth 2 values, and AccountNotFound for an account id that is no number.
        """
        if self._client is None:
            self._client = HarvestClient(
                api_url=settings.api_url,
                id_url=settings.id_url,
                credentials=self._credentials(settings.id_url),
                account_id=self._numeric_account_id(),
                instance=self.instance.strip() or None,
                contact=settings.contact,
                state_folder=settings.state_folder,
                # Dagster's own logger puts a line into the step that is running.
                log=dg.get_dagster_logger().info,
            )
        return self._client

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Close the client's connections at the end of the run."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _numeric_account_id(self) -> str | None:
        text = self.account_id.strip()
        if text and not (text.isascii() and text.isdigit()):
            raise AccountNotFound(
                f"HARVEST_ACCOUNT_ID is {text!r}, which is no number; https://id.getharvest.com/"
                "developers shows the number, or set HARVEST_INSTANCE to the name instead."
            )
        return text or None

    def _credentials(self, id_url: str) -> Credentials:
        if self.access_token:
            return PersonalAccessToken(self.access_token)
        missing = [name for name in _OAUTH_FIELDS if not getattr(self, name)]
        if not missing:
            return OAuthRefresh(self.client_id, self.client_secret, self.refresh_token, id_url)
        if len(missing) < len(_OAUTH_FIELDS):
            names = " and ".join(_VARIABLES[name] for name in missing)
            raise CredentialsMissing(
                f"{names} is not set: OAuth 2 needs HARVEST_CLIENT_ID, HARVEST_CLIENT_SECRET and "
                "HARVEST_REFRESH_TOKEN."
            )
        raise CredentialsMissing(
            "No Harvest credentials: set HARVEST_ACCESS_TOKEN and HARVEST_ACCOUNT_ID in the "
            "environment or in .env (a token is made at https://id.getharvest.com/developers); "
            "`make demo` needs none."
        )
