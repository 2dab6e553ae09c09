"""The project and its accounts, and the variables that set them.

No value here is a secret: credentials stay in the environment, where `EnvVar` finds them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

from pydantic import (
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import records_inside
from harvest_pipeline.models import OTHER_TABLES, models, tables_of
from harvest_pipeline.models import Model as SqlModel
from harvest_pipeline.scope import Window
from harvest_pipeline.settings.datasets import Dataset
from harvest_pipeline.settings.environment import SettingsError, project_folder
from harvest_pipeline.settings.harvest_yaml import ProjectFile
from harvest_pipeline.settings.parameters import WindowOptions
from harvest_pipeline.settings.values import (
    NO_CONTACT,
    Contact,
    Database,
    HarvestUrl,
    LakeData,
    Model,
    Problem,
    ProjectPath,
    PublishedCopy,
    SchemaName,
    Shared,
    TimeZone,
    misplaced,
)


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the environment or of `.env`. `default` is empty if there is none."""

    name: str
    default: str
    meaning: str


def _set_by(variable: str, default: str, meaning: str, **limits: Any) -> Any:
    return Field(
        default=default, validate_default=True, alias=variable, description=meaning, **limits
    )


class Project(Model):
    """What one checkout runs: its settings, which variables set, and its accounts.

    `file` is harvest.yaml.
    """

    model_config = ConfigDict(extra="ignore")

    contact: Contact = _set_by(
        "HARVEST_CONTACT", "", "Your e-mail or web address; Harvest wants it in every request."
    )
    timezone: TimeZone = _set_by(
        "HARVEST_TIMEZONE",
        "UTC",
        "The zone in which today begins. An IANA name such as Europe/Berlin.",
    )
    start_date: date = _set_by(
        "HARVEST_START_DATE",
        "2020-01-01",
        "First day that can be loaded: the first partition. A day, as 2024-01-31.",
    )
    days_back: int = _set_by(
        "HARVEST_DAYS_BACK",
        "30",
        "Days before today that `sync`, and the schedule of a dataset without a window, read: "
        "0 to 3660.",
        ge=0,
        le=3660,
    )
    sweep_requests: int | None = _set_by(
        "HARVEST_SWEEP_REQUESTS",
        "",
        "Requests a night that the reconcile job may spend on messages, and as many on payments, "
        "of invoices that did not change. Without it, as many as read those of every invoice of "
        "the last 400 days once a week; 0: none.",
        ge=0,
    )
    duckdb_wait_seconds: int = _set_by(
        "HARVEST_DUCKDB_WAIT_SECONDS",
        "900",
        "How long a run waits for a program that holds the database, with a line every 15 seconds "
        "that names it; then its step is tried again, and at last fails.",
        ge=0,
    )
    changes_seconds: int = _set_by(
        "HARVEST_CHANGES_SECONDS",
        "300",
        "Seconds between two looks of the sensor `<account>_changes`, each of about fifteen "
        "requests. 30 to 3600.",
        ge=30,
        le=3600,
    )
    keep_runs_days: int = _set_by(
        "HARVEST_KEEP_RUNS_DAYS",
        "30",
        "Days after which the nightly job deletes the runs of the sensor, with their files; the "
        "last ten that failed stay. In a DuckLake, also how long its snapshots stay. 1 to 3660.",
        ge=1,
        le=3660,
    )
    duckdb: Database = _set_by(
        "HARVEST_DUCKDB",
        "data/warehouse.duckdb",
        "Path of the database file, whose name may not equal that of an account; or a DuckLake, "
        "with its catalogue in a file (`ducklake:<path>`) or in Postgres "
        "(`ducklake:postgres:<conninfo>`), or a database of MotherDuck (`md:<name>`).",
    )
    ducklake_data: LakeData = _set_by(
        "HARVEST_DUCKLAKE_DATA",
        "",
        "The folder of the Parquet files of a DuckLake, or their address in S3 "
        "(`s3://bucket/prefix`). Without it they are beside the file of the catalogue; with a "
        "catalogue in Postgres it is needed.",
    )
    publish: PublishedCopy | None = _set_by(
        "HARVEST_PUBLISH",
        "",
        "A copy of the database for readers, replaced as a whole after each run that changed "
        "something: a file that ends with .duckdb or .db, else a folder of Parquet files "
        "(docs/publishing.md). Without it there is none.",
    )
    exchange_rates: ProjectPath | None = _set_by(
        "HARVEST_EXCHANGE_RATES",
        "",
        "A CSV or Parquet file with the columns day, from, to and rate, whose rows the table "
        "exchange_rates has after each night; without it, that table is yours to fill.",
    )
    state: Shared | None = _set_by(
        "HARVEST_STATE",
        "",
        "The Postgres database through which several machines share request limits, connected "
        "accounts, and who loads an account now: postgresql://user@host/database, with the "
        "password in PGPASSWORD or ~/.pgpass. Without it, each machine has its own.",
    )
    account_name: SchemaName = _set_by(
        "HARVEST_SCHEMA",
        "harvest",
        "Name of the one account: DuckDB schema, and prefix of the asset keys. With accounts in "
        "harvest.yaml each has its own name, and this variable is refused.",
    )
    api_url: HarvestUrl = _set_by(
        "HARVEST_API_URL",
        "https://api.harvestapp.com/v2",
        "Harvest's API: one of Harvest's own hosts, or this machine.",
    )
    id_url: HarvestUrl = _set_by(
        "HARVEST_ID_URL",
        "https://id.getharvest.com",
        "Where Harvest signs people in; hosts as for HARVEST_API_URL.",
    )
    file: ProjectFile = Field(default_factory=ProjectFile)

    @field_validator(
        "sweep_requests", "contact", "publish", "exchange_rates", "state", mode="before"
    )
    @classmethod
    def _may_be_missing(cls, text: object, info: ValidationInfo) -> object:
        if text == "":
            return NO_CONTACT if info.field_name == "contact" else None
        return text

    @field_validator("start_date", mode="before")
    @classmethod
    def _is_a_day(cls, text: str, info: ValidationInfo) -> date:
        try:
            start = date.fromisoformat(text)
        except ValueError:
            raise ValueError("this is not a day; write it as 2024-01-31") from None
        zone = info.data.get("timezone", "UTC")
        if start > (today := _today(zone)):
            raise ValueError(
                f"{start} is in the future (today is {today} in {zone}); set it to the first day "
                "that you want"
            )
        return start

    @model_validator(mode="after")
    def _names_and_paths_differ(self) -> Self:
        if isinstance(self.duckdb, str):
            if self.duckdb.startswith("ducklake:postgres:") and not self.ducklake_data:
                reason = (
                    "it is not set, and a catalogue in Postgres has no folder beside it; name the "
                    "folder or the address in S3 of the Parquet files"
                )
                raise misplaced(reason, "HARVEST_DUCKLAKE_DATA")
            return self
        for account in self.accounts:
            if account.name.lower() == self.duckdb.stem.lower():
                reason = (
                    f"the name of {str(self.duckdb)!r} equals that of the account "
                    f"{account.name!r} (HARVEST_SCHEMA, or a name in harvest.yaml), which DuckDB "
                    "cannot tell apart; rename one of them"
                )
                raise misplaced(reason, "HARVEST_DUCKDB")
        if self.publish in (self.duckdb, *self.duckdb.parents):
            reason = (
                f"{str(self.publish)!r} is the database (HARVEST_DUCKDB), or a folder that it is "
                "in; name another path"
            )
            raise misplaced(reason, "HARVEST_PUBLISH")
        return self

    @classmethod
    def of(cls, environment: Mapping[str, str], file: ProjectFile | None = None) -> "Project":
        """The project with these variables; an empty value counts as not set.

        Raises SettingsError naming the first variable whose value cannot work.
        """
        values = {name: environment.get(name, "").strip() for name in VARIABLES}
        given = {name: text for name, text in values.items() if text}
        try:
            return cls.model_validate({**given, "file": file or ProjectFile()})
        except ValidationError as error:
            problem = Problem.of(error)
            raise SettingsError(f"{problem.keys[0]}: {problem.message}.") from None

    @cached_property
    def accounts(self) -> "tuple[Account, ...]":
        """The accounts, in the order of the file; if it has none, the one of the environment."""
        if not self.file.accounts:
            return (Account(self, self.account_name, datasets=self.file.datasets_of(None)),)
        return tuple(
            Account(
                self,
                entry.name,
                account_id=str(entry.account_id or ""),
                instance=entry.instance or "",
                prefixes=(f"HARVEST_{entry.name.upper()}_", "HARVEST_"),
                datasets=self.file.datasets_of(entry.name),
            )
            for entry in self.file.accounts
        )

    @property
    def owners(self) -> list[str]:
        """Who owns the assets: e-mail addresses, and teams as `team:name`."""
        return list(self.file.owners)

    @property
    def alerts(self) -> tuple[str, ...]:
        """The addresses that get alerts of all accounts: `$NAME` of a variable, or without a
        secret."""
        return self.file.alerts

    @property
    def state_folder(self) -> Path:
        """The folder where processes on this machine share the request limit, and of spools."""
        return project_folder() / "data" / "state"

    def today(self) -> date:
        """Today in the project's time zone."""
        return _today(self.timezone)

    def days_of(self, dataset: Dataset, today: date, every: Window) -> Window:
        """The days over which `sync` and its schedule run a dataset with partitions: those of its
        window, else the last HARVEST_DAYS_BACK and today; only days in `every`, the existing ones.

        Raises OptionsError.
        """
        own = dataset.window
        recent = WindowOptions(days_back=self.days_back)
        return (own if own.has_window else recent).days(today, every)


def _today(timezone: str) -> date:
    return datetime.now(ZoneInfo(timezone)).date()


@dataclass(frozen=True, slots=True)
class Account:
    """One Harvest account of a project. Contains no secret.

    `name` is its DuckDB schema, the prefix of its asset keys, and its Dagster resource.
    `account_id` and `instance` are those of harvest.yaml, else empty. `prefixes` are the prefixes
    of the variables with its credentials; earlier ones take precedence. `datasets` are the reports
    that are not switched off, and the user's own datasets.
    """

    project: Project = field(repr=False, compare=False)  # the project that has this account
    name: str
    account_id: str = ""
    instance: str = ""
    prefixes: tuple[str, ...] = ("HARVEST_",)
    datasets: tuple[Dataset, ...] = ()

    @property
    def models(self) -> tuple[SqlModel, ...]:
        """The models of records that the account has: that one of its reports shows."""
        there = set(OTHER_TABLES)
        for each in self.datasets:
            if each.is_report:
                there |= {each.record.name, *(r.name for r in records_inside(each.record))}
        return tuple(model for name, model in models().items() if tables_of(name) <= there)

    def group(self, kind: str) -> str:
        """The group of its assets of a kind (time, answers, …) in the UI: with several accounts,
        whose graph nobody could read, each account is one."""
        return kind if len(self.project.accounts) == 1 else self.name

    @property
    def records(self) -> list[Record]:
        """The records of its datasets, each once."""
        return list({each.record.name: each.record for each in self.datasets}.values())

    def zone_of(self, dataset: Dataset) -> str:
        """The IANA name of the time zone in which a dataset's schedule counts days."""
        schedule = dataset.schedule
        return (schedule and schedule.timezone) or self.project.timezone


#: Variables read where they are used, and not stored in a model: credentials and their location.
_ELSEWHERE = {
    "HARVEST_ACCESS_TOKEN": "Personal access token, made at "
    "https://id.getharvest.com/developers. Secret.",
    "HARVEST_CLIENT_ID": "Client id of an OAuth 2 application.",
    "HARVEST_CLIENT_SECRET": "Client secret of that application. Secret.",
    "HARVEST_REFRESH_TOKEN": "Refresh token of that application, instead of the access token. "
    "Secret.",
    "HARVEST_ACCOUNT_ID": "Harvest's number of the account; without it, the only account of the "
    "token.",
    "HARVEST_INSTANCE": "The acme of acme.harvestapp.com, instead of the account id.",
    "HARVEST_TOKEN_STORE": "Where `harvest-pipeline connect` keeps secrets: `keyring`, or the path "
    "of a folder. Without it, the system keyring if it answers, else your configuration folder.",
    "HARVEST_STATE_KEY": "The key that encrypts connected accounts in HARVEST_STATE, as "
    "`openssl rand -base64 32` makes one; of several, with commas between, the first encrypts. "
    "Secret.",
    "HARVEST_ALERTS": "An address that gets alerts, where harvest.yaml says "
    "`alerts: [$HARVEST_ALERTS]`; a variable of any other name will do as well. Secret.",
    "HARVEST_CONFIG": "The file that names accounts and datasets; without it harvest.yaml, which "
    "need not be there.",
}
#: Every variable except the credentials of single accounts of harvest.yaml.
VARIABLES: dict[str, Variable] = {
    name: Variable(name, "", meaning) for name, meaning in _ELSEWHERE.items()
} | {
    each.alias: Variable(each.alias, each.default, each.description or "")
    for each in Project.model_fields.values()
    if each.alias
}
