"""What a person can set: environment variables and `.env`, read and validated once.

Belongs here: which values of the variables (variables.py) can work, and the sentence for each wrong
one.
Does not belong here: credentials. They stay in the environment (resources.py reads them at run
time through `EnvVar`), so that no value of this module is ever a secret.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import click
from dotenv import load_dotenv

from harvest_pipeline.datasets import Dataset, report_datasets
from harvest_pipeline.scope import Window
from harvest_pipeline.text import shown
from harvest_pipeline.variables import VARIABLES

if TYPE_CHECKING:
    from harvest_pipeline.alerts.entry import AlertsEntry

#: Harvest's domains: nothing else on the internet is ever sent a token.
_HARVEST = ("harvestapp.com", "getharvest.com")
_PACKAGE_FOLDER = Path(__file__).resolve().parent


class SettingsError(click.ClickException):
    """A variable has a value that cannot work; the message says which, and what to do.

    A `ClickException`, because the `dagster` command prints those as one sentence.
    """


def project_folder() -> Path:
    """The folder of `workspace.yaml`, which relative paths and `.env` are relative to.

    Where the package is installed without its project (as a dependency of another one), the
    current folder.
    """
    beside = _PACKAGE_FOLDER.parent
    return beside if (beside / "workspace.yaml").is_file() else Path.cwd()


def load_environment() -> Mapping[str, str]:
    """The environment, with what only `.env` sets added to it (for child processes too)."""
    load_dotenv(project_folder() / ".env", override=False)
    return os.environ


@dataclass(frozen=True, slots=True)
class Settings:
    """The validated settings of one Harvest account. Holds no secret.

    `schema` is the account's name: DuckDB schema, prefix of the asset keys, and resource.
    `account_id` and `instance` are those of harvest.yaml, else empty. `prefixes` are how the names
    of the variables with its credentials begin, the ones that win first. `datasets` are all that
    is to be had of the account: the reports that are not switched off, and the user's own. `alerts`
    is the same for all accounts; None: nobody is told anything.
    """

    api_url: str
    id_url: str
    duckdb: Path
    schema: str
    start_date: date
    timezone: str
    contact: str
    days_back: int
    sweep_requests: int | None = None
    account_id: str = ""
    instance: str = ""
    prefixes: tuple[str, ...] = ("HARVEST_",)
    datasets: tuple[Dataset, ...] = field(default_factory=report_datasets)
    alerts: "AlertsEntry | None" = None

    def __post_init__(self) -> None:
        if self.duckdb.stem.lower() == self.schema.lower():
            raise SettingsError(
                f"HARVEST_DUCKDB is {str(self.duckdb)!r}, and its name equals the schema "
                f"{self.schema!r} (HARVEST_SCHEMA, or a name in harvest.yaml), which DuckDB cannot "
                "tell apart; rename one of them."
            )

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read `.env` (the environment wins) and the environment.

        Raises SettingsError naming the first variable whose value cannot work.
        """
        return cls.from_mapping(load_environment())

    @classmethod
    def from_mapping(cls, environment: Mapping[str, str]) -> "Settings":
        """The settings in `environment`; an empty value counts as not set."""

        def value(name: str) -> str:
            return environment.get(name, "").strip() or VARIABLES[name].default

        timezone = _timezone(value("HARVEST_TIMEZONE"))
        return cls(
            api_url=_url("HARVEST_API_URL", value("HARVEST_API_URL")),
            id_url=_url("HARVEST_ID_URL", value("HARVEST_ID_URL")),
            duckdb=_duckdb(value("HARVEST_DUCKDB")),
            schema=_schema(value("HARVEST_SCHEMA")),
            start_date=_start_date(value("HARVEST_START_DATE"), timezone),
            timezone=timezone,
            contact=_contact(value("HARVEST_CONTACT") or "HARVEST_CONTACT is not set"),
            days_back=_days_back(value("HARVEST_DAYS_BACK")),
            sweep_requests=_sweep_requests(value("HARVEST_SWEEP_REQUESTS")),
        )

    @property
    def state_folder(self) -> Path:
        """Where processes on this machine share the request limit, and where spools lie."""
        return project_folder() / "data" / "state"

    def today(self) -> date:
        """Today in the account's time zone."""
        return datetime.now(ZoneInfo(self.timezone)).date()

    def recent_days(self, last: date) -> Window:
        """The window of the last `days_back` days before `last`, and `last` itself."""
        first = date.fromordinal(
            max(last.toordinal() - self.days_back, self.start_date.toordinal())
        )
        return Window(min(first, last), last)


def _url(name: str, text: str) -> str:
    if "@" in text:
        raise SettingsError(f"{name} holds a user name or password; remove them from the address.")
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if not parts.hostname or parts.query or parts.fragment:
        # The value is not repeated: a token may be in it, or be all of it.
        raise SettingsError(
            f"{name} is not an address such as {VARIABLES[name].default}; correct it."
        )
    if parts.scheme == "https" and parts.hostname.endswith(tuple(f".{d}" for d in _HARVEST)):
        return text.rstrip("/")
    if parts.scheme in ("http", "https") and is_loopback(parts.hostname):
        return text.rstrip("/")
    raise SettingsError(
        f"{name} leads to {shown(parts.hostname)}: a token is only sent to Harvest "
        "(https://….harvestapp.com, https://….getharvest.com) or to this machine (127.0.0.1); "
        "change the address or remove the variable."
    )


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _duckdb(text: str) -> Path:
    if "://" in text or text.startswith((":memory:", "md:", "ducklake:")):
        # Such addresses hold passwords.
        raise SettingsError(
            "HARVEST_DUCKDB must be the path of a file; it is an address, or no file at all."
        )
    path = (project_folder() / Path(text).expanduser()).resolve()
    if path.is_dir():
        raise SettingsError(f"HARVEST_DUCKDB is {text!r}, which is a folder; name a file in it.")
    return path


def _schema(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", text):
        raise SettingsError(
            f"HARVEST_SCHEMA is {shown(text)}; it must be a word of letters, digits and "
            "underscores."
        )
    if text == "io_manager":  # Dagster's name for another resource
        raise SettingsError("HARVEST_SCHEMA is 'io_manager', which is taken; choose another one.")
    return text


def _timezone(text: str) -> str:
    if not is_timezone(text):
        raise SettingsError(
            f"HARVEST_TIMEZONE is {shown(text)}, which is not a time zone; use an IANA name such "
            "as Europe/Berlin or UTC."
        )
    return text


def is_timezone(text: str) -> bool:
    """Whether there is a time zone of that IANA name."""
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _start_date(text: str, timezone: str) -> date:
    try:
        start = date.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            f"HARVEST_START_DATE is {shown(text)}, which is not a day; write it as 2024-01-31."
        ) from None
    today = datetime.now(ZoneInfo(timezone)).date()
    if start > today:
        raise SettingsError(
            f"HARVEST_START_DATE is {text}, which is in the future (today is {today} in "
            f"{timezone}); set it to the first day that you want."
        )
    return start


def _contact(text: str) -> str:
    if not re.fullmatch(r"[\x20-\x7e]+", text) or "(" in text or ")" in text:
        raise SettingsError(
            "HARVEST_CONTACT must be an e-mail address or a web address in plain letters; Harvest "
            "uses it to reach you about your requests."
        )
    return text


def _days_back(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 3660:
        raise SettingsError(
            f"HARVEST_DAYS_BACK is {shown(text)}; it must be a number of days from 0 to 3660."
        )
    return int(text)


def _sweep_requests(text: str) -> int | None:
    if text and not (text.isascii() and text.isdigit() and len(text) < 7):
        raise SettingsError(
            f"HARVEST_SWEEP_REQUESTS is {shown(text)}; it must be a number of requests, or empty."
        )
    return int(text) if text else None
