"""harvest_pipeline: every report of a Harvest account in DuckDB, as Dagster assets.

For another Dagster project: `build_definitions`, and the component `HarvestAccount`. They are
imported when they are asked for: the commands of this package need not wait for Dagster.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harvest_pipeline.orchestration.build import build_definitions
    from harvest_pipeline.orchestration.component import HarvestAccount

__all__ = ["HarvestAccount", "__version__", "build_definitions"]

#: setup.py reads it here.
__version__ = "0.1.0"

_MODULES = {"HarvestAccount": "component", "build_definitions": "build"}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.orchestration.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
