"""The Dagster resource that holds a Harvest account's credentials.

Belongs here: the fields that Dagster shows, and the life of the client in a run.
Does not belong here: hosts and paths. Whoever can launch a run can edit a resource's config, so
where a token is sent to, and which file is written, are settings of the project.
"""

import os
from typing import Any, cast

import dagster as dg
from pydantic import ConfigDict, Field, PrivateAttr

from harvest_pipeline.harvest.access import client_of, variables
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.launches import Initialize, unless_changed
from harvest_pipeline.settings import Account


class HarvestResource(dg.ConfigurableResource["HarvestResource"]):
    """The credentials of one Harvest account: a personal access token, or OAuth 2.

    Give secrets as `EnvVar` only: Dagster shows plain values in its UI. Without any, those that
    `harvest-pipeline connect` has stored are used.
    """

    # Dagster's resources ignore a misspelt argument, and pydantic shows values in its errors.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

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
        default="",
        description="Numeric id of the account; set through HARVEST_ACCOUNT_ID or harvest.yaml.",
    )
    instance: str = Field(
        default="",
        description="The acme of acme.harvestapp.com, instead of the account id; set through "
        "HARVEST_INSTANCE or harvest.yaml.",
    )

    _client: HarvestClient | None = PrivateAttr(default=None)

    @classmethod
    def of_account(cls, account: Account) -> "HarvestResource":
        """Refer to every variable that is set, by name; no value is read here.

        A variable that is not set stays empty, so that what is missing is said in our own words
        when a run starts, not as a failure of Dagster's config.
        """
        values: dict[str, Any] = {
            name: dg.EnvVar(variable) for name, variable in variables(account, os.environ).items()
        }
        if account.account_id:
            values["account_id"] = account.account_id
        if account.instance:
            values["instance"] = account.instance
        return cls(**values)

    def client(self, account: Account) -> HarvestClient:
        """The client for the account, the same one for the whole run; see `client_of`."""
        if self._client is None:
            # Dagster's own logger puts a line into the step that is running.
            log = dg.get_dagster_logger().info
            self._client = client_of(account, self.model_dump(), os.environ, log)
        return self._client

    def _get_initialize_and_run_fn(self) -> Initialize:
        # What Dagster returns has no type arguments.
        usual = super()._get_initialize_and_run_fn  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        initialize = cast("Initialize", usual())
        set_by = "HARVEST_ACCESS_TOKEN and others, harvest.yaml, `harvest-pipeline connect`"
        return unless_changed(self, initialize, set_by)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Close the client's connections at the end of the run."""
        if self._client is not None:
            self._client.close()
            self._client = None
