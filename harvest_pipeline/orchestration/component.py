"""The Dagster component `harvest_pipeline.HarvestAccount`: an account declared in a `defs.yaml` of
another Dagster project, by the models of `harvest.yaml`."""

import textwrap
from datetime import date
from pathlib import Path
from typing import Any, Self

import dagster as dg
from pydantic import BaseModel, Field, model_validator

from harvest_pipeline.orchestration.build import build_definitions
from harvest_pipeline.settings import Project, load_environment
from harvest_pipeline.settings.harvest_yaml import AccountEntry, ProjectFile, ReportsEntry
from harvest_pipeline.settings.values import in_folder


def _of_project(name: str) -> Any:
    """A setting of the project, as an attribute."""
    setting = Project.model_fields[name]
    return Field(
        default=None, description=f"{setting.description} Without it, that of {setting.alias}."
    )


#: The settings whose paths are relative to the folder of that project.
_PATHS = ("duckdb", "ducklake_data", "publish", "exchange_rates")


class HarvestAccountAttributes(AccountEntry, ReportsEntry):
    """An account of Harvest, with its datasets. Credentials come from variables or from
    `harvest-pipeline connect`, never from here. Paths are relative to the project's folder."""

    duckdb: str | None = _of_project("duckdb")
    ducklake_data: str | None = _of_project("ducklake_data")
    start_date: date | None = _of_project("start_date")
    timezone: str | None = _of_project("timezone")
    days_back: int | None = _of_project("days_back")
    publish: Path | None = _of_project("publish")
    exchange_rates: Path | None = _of_project("exchange_rates")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self.file()
        return self

    def file(self) -> ProjectFile:
        """The same as a `harvest.yaml`. Raises ValidationError where that would be wrong."""
        account = {name: getattr(self, name) for name in AccountEntry.model_fields}
        reports = {name: getattr(self, name) for name in ReportsEntry.model_fields}
        return ProjectFile(accounts=(AccountEntry(**account),), **reports)

    def project(self, folder: Path) -> Project:
        """The project with this one account, in that folder. Raises SettingsError."""
        environment = dict(load_environment())
        for name in (*_PATHS, "start_date", "timezone", "days_back"):
            value, variable = getattr(self, name), Project.model_fields[name].alias
            if value is not None and variable:
                environment[variable] = str(value)
        for name in _PATHS:
            setting = Project.model_fields[name]
            variable, default = str(setting.alias), str(setting.default)
            if path := environment.get(variable, "").strip() or default:
                environment[variable] = in_folder(folder, path)
        return Project.of(environment, self.file())


class _Scaffolder(dg.Scaffolder):
    """Writes a minimal `defs.yaml`."""

    def scaffold(self, request: dg.ScaffoldRequest) -> None:
        (request.target_path / "defs.yaml").write_text(
            textwrap.dedent(f"""\
                type: {request.type_name}

                attributes:
                  # Prefix of the asset keys, and the DuckDB schema. Its credentials are variables
                  # such as HARVEST_ACCESS_TOKEN, or those that `harvest-pipeline connect` stores.
                  name: harvest
                  datasets: []
                """),
            encoding="utf-8",
        )


@dg.scaffold_with(_Scaffolder)
class HarvestAccount(dg.Component):
    """Every report of a Harvest account (time tracking, expenses, invoices) in DuckDB.

    Its resources are `<name>` (the account), `<name>_io_manager` and `report_options`, its jobs
    and schedules begin with `<name>_`. The project's executor runs it.
    """

    def __init__(self, attributes: HarvestAccountAttributes) -> None:
        self._attributes = attributes

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The attributes."""
        return HarvestAccountAttributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """The component with these attributes; Dagster has validated them."""
        assert isinstance(attributes, HarvestAccountAttributes)
        return cls(attributes)

    def project(self, folder: Path) -> Project:
        """The project with this account, in the folder of the Dagster project. Raises
        SettingsError."""
        return self._attributes.project(folder)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets, checks, jobs, schedules and resources. Raises SettingsError."""
        return build_definitions(
            self.project(context.project_root),
            io_manager_key=f"{self._attributes.name}_io_manager",
            executor=None,
        )
