"""The Dagster resource `report_options`: the parameters of a run in the launchpad."""

from functools import cache
from typing import Any

import dagster as dg

from harvest_pipeline.options import DAYS, FilterOptions, RunOptions, WindowOptions

#: Dagster's plain types. Those of `ConfigurableResource` would also take `{env: VARIABLE}`, and
#: Dagster repeats the value of that variable, a token for instance, when it is not a number.
_TYPES: dict[str, Any] = {
    **dict.fromkeys(("days_back", "days_back_to_start_from", "days_back_to_end_at"), dg.Int),
    "updated_since_days_back": dg.Int,
    "updated_since": dg.String,
    # A day or a number of days; a list, a number or a text.
    **dict.fromkeys(("start_date", "end_date", "project_ids", "user_ids"), dg.Any),
    "invoice_status": dg.Enum(
        "InvoiceStatus",
        [dg.EnumValue(word) for word in ("none", "draft", "open", "paid", "closed")],
    ),
    "full_refresh": dg.Bool,
}


#: The launchpad shows from the start what has a default other than None; empty: not given. Days are
#: not among them: most runs have partitions, which say them.
_SHOWN: dict[str, Any] = {
    **dict.fromkeys(("updated_since", "project_ids", "user_ids"), ""),
    "invoice_status": "none",
}
_NOT_WITH_PARTITIONS = " Not in a run over partitions: they are its days."


@cache
def report_options() -> dg.ResourceDefinition:
    """The parameters that a launch gives, as a dict; None or "" for those that it does not give.

    Always the same object: definitions of several accounts can be merged only if it is.

    They hold no secret, no host and no file, so unlike the other resources a launch may set them.
    """
    return dg.ResourceDefinition(
        resource_fn=lambda context: dict(context.resource_config),
        config_schema={
            name: dg.Field(
                dg.Noneable(_TYPES[name]),
                default_value=_SHOWN.get(name),
                description=f"{field.description}{_NOT_WITH_PARTITIONS if name in DAYS else ''}",
            )
            for model in (WindowOptions, FilterOptions, RunOptions)
            for name, field in model.model_fields.items()
        },
        description="What a run reads of the days of its partitions: only what changed since when, "
        "which part. With nothing set: everything.",
    )
