"""Projects and datasets, as `harvest.yaml` and variables would say them."""

from collections.abc import Iterable, Mapping
from typing import Any

from harvest_pipeline.settings import Project
from harvest_pipeline.settings.datasets import Dataset
from harvest_pipeline.settings.harvest_yaml import AccountEntry, ProjectFile
from harvest_pipeline.settings.parameters import FilterOptions, WindowOptions


def dataset(name: str, report: str, update: str | None = None, **given: Any) -> Dataset:
    """A dataset of a report; `given` are parameters, and other settings of a dataset."""
    groups = {"window": WindowOptions, "filters": FilterOptions}
    fixed: dict[str, Any] = {
        group: {key: given.pop(key) for key in [*given] if key in model.model_fields}
        for group, model in groups.items()
    }
    declared = {"name": name, "report": report, "update": update, **fixed, **given}
    return Dataset.model_validate(declared)


def project(
    *datasets: Dataset,
    accounts: Iterable[str] = (),
    without: Iterable[str] = (),
    environment: Mapping[str, str] | None = None,
    **variables: str,
) -> Project:
    """A project with these datasets, `without` some reports, and with variables such as
    `days_back="3"` beside those of an `environment`."""
    given = {f"HARVEST_{name.upper()}": value for name, value in variables.items()}
    file = ProjectFile.model_validate(
        {
            "accounts": tuple(AccountEntry(name=name) for name in accounts),
            "datasets": datasets,
            "disabled_reports": tuple(without),
        }
    )
    return Project.of({**(environment or {}), **given}, file)
