"""The Dagster component `harvest_pipeline.HarvestAccount`: an account declared in a `defs.yaml`.

For Dagster projects that take this package as a dependency. It says what `harvest.yaml` says, with
the same models.

Belongs here: the attributes of the component, and their way to definitions.
Does not belong here: what an account or a dataset is (entries.py), the definitions (building.py).
"""

import textwrap
from datetime import date
from pathlib import Path
from typing import Self

import dagster as dg
from pydantic import BaseModel, Field, model_validator

from harvest_pipeline.building import build_definitions
from harvest_pipeline.config import settings_of
from harvest_pipeline.entries import AccountEntry, DatasetEntry, ReportName
from harvest_pipeline.project_file import ProjectFile
from harvest_pipeline.settings import Settings, load_environment
from harvest_pipeline.variables import VARIABLES

_DUCKDB = "HARVEST_DUCKDB"


class HarvestAccountAttributes(AccountEntry):
    """An account of Harvest, with its datasets. Credentials come from variables or from
    `harvest-pipeline connect`, never from here."""

    disabled_reports: tuple[ReportName, ...] = Field(
        default=(),
        description="Reports that get no asset. A dataset can be built on them all the same.",
    )
    datasets: tuple[DatasetEntry, ...] = Field(
        default=(), description="Reports with parameters of your own, beside the 18."
    )
    duckdb: Path | None = Field(
        default=None,
        description="The DuckDB file, relative to the project's folder; without it, that of "
        "HARVEST_DUCKDB.",
    )
    start_date: date | None = Field(
        default=None, description="The first partition; HARVEST_START_DATE without it."
    )
    timezone: str | None = Field(
        default=None,
        description="IANA name of the zone in which today begins; HARVEST_TIMEZONE without it.",
    )
    days_back: int | None = Field(
        default=None,
        description="Days before today that the schedule of a dataset without a window reads; "
        "HARVEST_DAYS_BACK without it.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self.file()
        return self

    def file(self) -> ProjectFile:
        """The same as a `harvest.yaml`. Raises ValidationError where that would be wrong."""
        account = {name: getattr(self, name) for name in AccountEntry.model_fields}
        return ProjectFile(
            accounts=(AccountEntry(**account),),
            disabled_reports=self.disabled_reports,
            datasets=self.datasets,
        )

    def settings(self, project: Path) -> Settings:
        """The settings of the account in the project at that folder. Raises SettingsError."""
        environment = dict(load_environment())
        given = {
            _DUCKDB: self.duckdb or environment.get(_DUCKDB) or VARIABLES[_DUCKDB].default,
            "HARVEST_START_DATE": self.start_date,
            "HARVEST_TIMEZONE": self.timezone,
            "HARVEST_DAYS_BACK": self.days_back,
        }
        environment |= {name: str(value) for name, value in given.items() if value is not None}
        environment[_DUCKDB] = str(project / Path(environment[_DUCKDB]).expanduser())
        [settings] = settings_of(self.file(), Settings.from_mapping(environment))
        return settings


class _Scaffolder(dg.Scaffolder):
    """Writes a `defs.yaml` to begin with."""

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

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets, checks, jobs, schedules and resources. Raises SettingsError."""
        settings = self._attributes.settings(context.project_root)
        return build_definitions(
            [settings], io_manager_key=f"{settings.schema}_io_manager", executor=None
        )
