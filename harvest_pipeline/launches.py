"""What the config of a launch may not change: resources are those of the code.

Whoever can launch a run, in the UI or through its API, can put any config into it
(RELIABILITY 0.5). Credentials, hosts and files are set where the project is started.

Belongs here: telling whether a launch changes a resource.
Does not belong here: the resources.
"""

from collections.abc import Callable
from typing import Any

import dagster as dg

Initialize = Callable[[dg.InitResourceContext], Any]


class LaunchRefused(Exception):
    """The config of a launch changes a resource; the text says which fields, never their values."""


def unless_changed(
    resource: dg.ConfigurableResource[Any] | dg.ConfigurableIOManagerFactory[Any],
    initialize: Initialize,
    set_by: str,
) -> Initialize:
    """`initialize`, which Dagster calls with the config of a launch, behind a check of that config.

    It raises LaunchRefused if a field has another value than in the definitions; `set_by` tells
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
