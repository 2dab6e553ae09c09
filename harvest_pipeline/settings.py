"""What a person can set by variables (variables.py), validated; no value here is ever a secret:
credentials stay in the environment, where `EnvVar` finds them."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import click
from dotenv import dotenv_values

from harvest_pipeline.datasets import Dataset, report_datasets
from harvest_pipeline.options import WindowOptions
from harvest_pipeline.scope import Window
from harvest_pipeline.text import shown
from harvest_pipeline.variables import VARIABLES

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


def load_environment(tell: Callable[[str], object] | None = None) -> Mapping[str, str]:
    """The environment with `.env` over it, for this process and its children.

    That `.env` wins is Dagster's own rule, so `dagster` and our commands see the same account and
    database. `tell` (without it, standard error) gets one sentence, once in a process, if both set
    a HARVEST_ variable and differ. Raises SettingsError for a file that cannot be read.
    """
    before = (dict(os.environ), _started_with())
    values = dotenv()
    os.environ.update(values)
    differing = [
        name
        for name, text in sorted(values.items())
        if name.startswith("HARVEST_") and any(each.get(name, text) != text for each in before)
    ]
    if differing and not set(differing) <= _TOLD:
        _TOLD.update(differing)
        (tell or _to_standard_error)(_sentence(differing))
    return os.environ


#: The variables that this process has named.
_TOLD: set[str] = set()


def _sentence(differing: Sequence[str]) -> str:
    *others, last = differing
    names, be, them = (f"{', '.join(others)} and {last}", "are", "them")
    if not others:
        names, be, them = last, "is", "it"
    return (
        f"{names} {be} set in the environment and, differently, in {dotenv_path()}, which wins; "
        f"remove {them} from one of the two."
    )


def _to_standard_error(sentence: str) -> None:
    click.echo(sentence, err=True)


def dotenv_path() -> Path:
    """The file `.env` beside `workspace.yaml`, whether it exists or not."""
    return project_folder() / ".env"


def dotenv() -> dict[str, str]:
    """What `.env` sets, as Dagster's own loader (`dagster._core.secrets.env_file`, whose import
    costs a second or two) has it. Raises SettingsError.

    Nothing where PYTHON_DOTENV_DISABLED says so, as for `load_dotenv`, nor in a workspace of `dg`:
    each project has a file of its own there, which Dagster has loaded by then.
    """
    disabled = os.environ.get("PYTHON_DOTENV_DISABLED", "").casefold()
    if disabled in ("1", "true", "t", "yes", "y") or "DAGSTER_PROJECT_ENV_FILE_PATHS" in os.environ:
        return {}
    path = dotenv_path()
    try:
        values = {name: text for name, text in dotenv_values(path).items() if text is not None}
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror or error}; make it readable for you."
        ) from None
    except UnicodeDecodeError:
        values = {"": ""}
    for name, text in values.items():
        # UTF-16 without a mark has a NUL in every other place.
        if not name.isprintable() or not name or "\0" in text:
            raise SettingsError(f"{path} is not a text file in UTF-8; save it as one.")
    return values


def _started_with() -> dict[str, str]:
    """The environment that this process got: a command of Dagster's has put `.env` over it by now.

    Empty where the system does not tell it (Linux does).
    """
    try:
        content = Path("/proc/self/environ").read_bytes()
    except OSError:
        return {}
    pairs = (os.fsdecode(each).partition("=") for each in content.split(b"\0"))
    return {name: text for name, equals, text in pairs if equals}


@dataclass(frozen=True, slots=True)
class Settings:
    """The validated settings of one Harvest account. Holds no secret.

    `schema` is the account's name: DuckDB schema, prefix of the asset keys, and resource.
    `account_id` and `instance` are those of harvest.yaml, else empty. `prefixes` are how the names
    of the variables with its credentials begin, the ones that win first. `datasets` are all that
    is to be had of the account: the reports that are not switched off, and the user's own. `alerts`
    are the addresses that get alerts of all accounts: `$NAME` of a variable, or without a secret.
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
    keep_runs_days: int = 30
    account_id: str = ""
    instance: str = ""
    prefixes: tuple[str, ...] = ("HARVEST_",)
    datasets: tuple[Dataset, ...] = field(default_factory=report_datasets)
    alerts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.duckdb.stem.lower() == self.schema.lower():
            raise SettingsError(
                f"HARVEST_DUCKDB is {str(self.duckdb)!r}, and its name equals the schema "
                f"{self.schema!r} (HARVEST_SCHEMA, or a name in harvest.yaml), which DuckDB cannot "
                "tell apart; rename one of them."
            )

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read `.env` (which wins) and the environment.

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
            keep_runs_days=_keep_runs_days(value("HARVEST_KEEP_RUNS_DAYS")),
        )

    @property
    def state_folder(self) -> Path:
        """Where processes on this machine share the request limit, and where spools lie."""
        return project_folder() / "data" / "state"

    def today(self) -> date:
        """Today in the account's time zone."""
        return datetime.now(ZoneInfo(self.timezone)).date()

    def days_of(self, dataset: Dataset, today: date, every: Window) -> Window:
        """The days over which `sync` and its schedule run a dataset with partitions: those of its
        window, else the last HARVEST_DAYS_BACK and today; of `every` day that there is.

        Raises OptionsError.
        """
        recent = WindowOptions(days_back=self.days_back)
        own = dataset.options
        return (own if own.has_window else recent).window(today, every)


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


def _keep_runs_days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 3660:
        raise SettingsError(
            f"HARVEST_KEEP_RUNS_DAYS is {shown(text)}; it must be a number of days from 1 to 3660."
        )
    return int(text)


def _sweep_requests(text: str) -> int | None:
    if text and not (text.isascii() and text.isdigit() and len(text) < 7):
        raise SettingsError(
            f"HARVEST_SWEEP_REQUESTS is {shown(text)}; it must be a number of requests, or empty."
        )
    return int(text) if text else None
