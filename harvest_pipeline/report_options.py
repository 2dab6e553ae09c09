"""The Dagster resource `report_options`: the parameters of a run in the launchpad."""

from functools import cache
from typing import Any

import dagster as dg

from harvest_pipeline.settings.parameters import DAYS, RunOptions, kind_of
from harvest_pipeline.settings.values import STATUSES

#: Dagster's plain types. Those of `ConfigurableResource` would also take `{env: VARIABLE}`, and
#: Dagster repeats the value of that variable, a token for instance, when it is not a number.
_TYPES: dict[str, Any] = {
    "integer": dg.Int,
    "string": dg.String,
    "boolean": dg.Bool,
    "enum": dg.Enum("InvoiceStatus", [dg.EnumValue(word) for word in STATUSES]),
    "any": dg.Any,
}
#: The launchpad shows from the start what has a default other than None; empty: not given.
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
