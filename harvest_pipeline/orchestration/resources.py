"""The Dagster resources: the credentials of an account, the parameters of a run.

Anyone who can launch a run, in the UI or through its API, can put any config into it. So
credentials, hosts and files are set where the project is started, and a launch that changes them is
refused.
"""

import os
from collections.abc import Callable
from functools import cache
from typing import Any, cast

import dagster as dg
from pydantic import ConfigDict, Field, PrivateAttr

from harvest_pipeline.harvest.access import client_of, variables
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.http import AT_TERMINAL
from harvest_pipeline.harvest.progress import observer
from harvest_pipeline.settings import Account
from harvest_pipeline.settings.parameters import DAYS, RunOptions, kind_of
from harvest_pipeline.settings.values import STATUSES

Initialize = Callable[[dg.InitResourceContext], Any]


class LaunchRefused(Exception):
    """The config of a launch changes a resource, such as a token, a host or the database.

    Remove the block that the message names from the config; what is set there belongs into the
    environment, `.env` or `harvest.yaml`. If it was a token, revoke it: Dagster has stored it.
    """


def unless_changed(
    resource: dg.ConfigurableResource[Any] | dg.ConfigurableIOManagerFactory[Any],
    initialize: Initialize,
    set_by: str,
) -> Initialize:
    """`initialize`, which Dagster calls with the config of a launch, with a check of that config.

    It raises LaunchRefused if a field has another value than in the definitions; `set_by` says
    where the fields are set.
    """

    def checked(context: dg.InitResourceContext) -> Any:
        ours = resource.model_dump(by_alias=True)
        given = context.resource_config
        changed = sorted(name for name in given if given[name] != _value_of(ours[name]))
        if changed:
            raise LaunchRefused(
                f"The launch changes {', '.join(changed)}, which is set where the project is "
                f"started ({set_by}) and not in a launch; remove the block `resources` from its "
                "config."
            )
        return initialize(context)

    return checked


def _value_of(value: object) -> object:
    return value.get_value() if isinstance(value, dg.EnvVar) else value


#: Dagster's plain types. Those of `ConfigurableResource` would also accept `{env: VARIABLE}`, and
#: Dagster repeats the value of that variable, which could be a token, if it is not a number.
_TYPES: dict[str, Any] = {
    "integer": dg.Int,
    "string": dg.String,
    "boolean": dg.Bool,
    "enum": dg.Enum("InvoiceStatus", [dg.EnumValue(word) for word in STATUSES]),
    "any": dg.Any,
}
#: The launchpad prefills fields with a default other than None; empty: not given.
_SHOWN = {"string": "", "any": "", "enum": "none"}


@cache
def report_options() -> dg.ResourceDefinition:
    """The parameters that a launch gives, as a dict; None or "" for those that it does not give.

    Always the same object: definitions of several accounts can be merged only if it is.

    They hold no secret, no host and no file, so unlike the other resources a launch may set them.
    """

    def field(name: str, description: str) -> dg.Field:
        kind, days = kind_of(name), name in DAYS  # most runs have partitions, which are their days
        return dg.Field(
            dg.Noneable(_TYPES[kind]),
            default_value=None if days else _SHOWN.get(kind),
            description=description
            + (" Not in a run over partitions: they are its days." if days else ""),
        )

    return dg.ResourceDefinition(
        resource_fn=lambda context: dict(context.resource_config),
        config_schema={
            name: field(name, each.description or "")
            for name, each in RunOptions.model_fields.items()
        },
        description="What a run reads of the days of its partitions: only what changed since when, "
        "which part. With nothing set: everything.",
    )


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
        """A resource that refers to every variable that is set, by name; no value is read here.

        A variable that is not set stays empty, so that a missing value is reported in our own words
        when a run starts, not as an error of Dagster's config.
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
        """The client of the account, the same one for the whole run; see `client_of`."""
        if self._client is None:
            # Dagster's own logger writes the line to the log of the current step.
            log = dg.get_dagster_logger().info
            patience = AT_TERMINAL if observer().is_person else None
            self._client = client_of(account, self.model_dump(), os.environ, log, patience)
        return self._client

    def _get_initialize_and_run_fn(self) -> Initialize:
        # Dagster's return type has no type arguments.
        usual = super()._get_initialize_and_run_fn  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        initialize = cast("Initialize", usual())
        set_by = "HARVEST_ACCESS_TOKEN and others, harvest.yaml, `harvest-pipeline connect`"
        return unless_changed(self, initialize, set_by)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Close the client's connections at the end of the run."""
        if self._client is not None:
            self._client.close()
            self._client = None
