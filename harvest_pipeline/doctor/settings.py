"""The section on settings: every variable, its value and where that came from.

Belongs here: the findings, and going on without the settings that cannot work.
Does not belong here: which values can work (harvest_pipeline/settings.py, config.py), and whether
credentials do (account.py).
"""

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from harvest_pipeline import settings as configured
from harvest_pipeline.access import CREDENTIAL_FIELDS
from harvest_pipeline.accounts.store import AccountStore
from harvest_pipeline.doctor.findings import Finding, Section, ok, section, told, warning, wrong
from harvest_pipeline.doctor.origins import Origins
from harvest_pipeline.harvest.account import is_instance
from harvest_pipeline.harvest.errors import StoreUnusable
from harvest_pipeline.settings import (
    VARIABLES,
    Account,
    SettingsError,
    dotenv_path,
    load_project,
    project_folder,
)

_CREDENTIALS = (
    *(f"HARVEST_{field.upper()}" for field in CREDENTIAL_FIELDS),
    "HARVEST_SMTP_PASSWORD",
    "HARVEST_ALERT_WEBHOOK",
)
_OF_ONE_ACCOUNT = ("HARVEST_ACCOUNT_ID", "HARVEST_INSTANCE")
#: The variables with a default, and the field of `Account` that has their value.
_FIELDS = {
    "HARVEST_CONTACT": "contact",
    "HARVEST_START_DATE": "start_date",
    "HARVEST_TIMEZONE": "timezone",
    "HARVEST_DAYS_BACK": "days_back",
    "HARVEST_SWEEP_REQUESTS": "sweep_requests",
    "HARVEST_KEEP_RUNS_DAYS": "keep_runs_days",
    "HARVEST_DUCKDB": "duckdb",
    "HARVEST_SCHEMA": "account_name",
    "HARVEST_API_URL": "api_url",
    "HARVEST_ID_URL": "id_url",
}
_HOSTS = ("HARVEST_API_URL", "HARVEST_ID_URL")

_OF_AN_ACCOUNT = re.compile(rf"HARVEST_(\w+)_({'|'.join(f.upper() for f in CREDENTIAL_FIELDS)})")


@dataclass(slots=True)
class Project:
    """The settings that can work, whatever is wrong with the others.

    `refused` has the sentence for each variable that was left out, so that its default holds;
    `file_refused` the one for harvest.yaml, and then nobody knows the accounts. `base` holds what
    all accounts share.
    """

    origins: Origins
    base: Account
    accounts: tuple[Account, ...] = ()
    refused: dict[str, SettingsError] = field(default_factory=dict[str, SettingsError])
    file_refused: SettingsError | None = None

    @classmethod
    def of(cls, origins: Origins) -> "Project":
        """Settle what holds, leaving out one refused variable after the other."""
        environment = dict(origins.environment)
        refused: dict[str, SettingsError] = {}
        file_refused: SettingsError | None = None
        accounts: tuple[Account, ...] = ()
        while not accounts and file_refused is None:
            try:
                accounts = load_project(environment).accounts
            except SettingsError as error:
                if name := _named(error, environment):
                    refused[name] = error
                    del environment[name]
                else:
                    file_refused = error
        base = accounts[0] if accounts else configured.Project.of(environment).accounts[0]
        return cls(origins, base, accounts, refused, file_refused)

    @property
    def may_ask(self) -> bool:
        """Whether credentials can be sent where they are meant for; to no default host instead."""
        return not any(name in self.refused for name in _HOSTS)

    @property
    def names_accounts(self) -> bool:
        """Whether harvest.yaml names the accounts."""
        return any(len(settings.prefixes) > 1 for settings in self.accounts)

    def section(self) -> Section:
        """The findings."""
        return section(
            "settings",
            self._dotenv,
            self._config,
            self._with_defaults,
            self._of_one_account,
            self._credentials,
            self._token_store,
            self._unknown,
        )

    def _dotenv(self) -> Iterator[Finding]:
        path = dotenv_path()
        if self.origins.unreadable:
            yield told(".env", self.origins.unreadable)
            return
        if self.origins.differing:
            yield told(".env", SettingsError(self.origins.differing), "warning")
        secrets = [each for each in self.origins.inside if _is_secret(each)]
        if any(map(self.origins.value, secrets)) and path.stat().st_mode & 0o077:
            mode = stat.S_IMODE(path.stat().st_mode)
            yield warning(
                ".env",
                f"{path} holds credentials and can be read by others on this machine ({mode:04o}).",
                f"chmod 600 {path}",
            )
        elif not self.origins.differing:
            there = (
                "which wins over the environment" if self.origins.inside else "which sets nothing"
            )
            yield ok(".env", f"{path}, {there}" if path.exists() else f"there is no {path}")

    def _config(self) -> Iterator[Finding]:
        if self.file_refused:
            yield told("HARVEST_CONFIG", self.file_refused)
            return
        named = self.origins.value("HARVEST_CONFIG")
        path = Path(named or project_folder() / "harvest.yaml")
        source = self.origins.source("HARVEST_CONFIG")
        if self.names_accounts:
            names = ", ".join(_account(settings) for settings in self.accounts)
            yield ok("HARVEST_CONFIG", f"{path} ({source}), which names {names}")
        else:
            told_of = f"{path} names no account" if path.exists() else f"there is no {path}"
            yield ok("HARVEST_CONFIG", f"{told_of}, so there is one ({source})")

    def _with_defaults(self) -> Iterator[Finding]:
        for name, attribute in _FIELDS.items():
            source = self.origins.source(name)
            if error := self.refused.get(name):
                yield told(name, error)
            elif name == "HARVEST_CONTACT" and not self.origins.value(name):
                yield warning(
                    name,
                    "not set, and Harvest wants to know whom to ask about your requests.",
                    "Set it to your e-mail address or web address.",
                )
            elif name == "HARVEST_SCHEMA" and self.names_accounts:
                yield ok(name, "not used: each account has its name of the file as its schema")
            else:
                yield ok(name, f"{getattr(self.base.project, attribute)} ({source})")

    def _of_one_account(self) -> Iterator[Finding]:
        for name in _OF_ONE_ACCOUNT:
            value = self.origins.value(name)
            if error := self.refused.get(name):
                yield told(name, error)
            elif not value:
                yield ok(name, "not set")
            elif name == "HARVEST_ACCOUNT_ID" and not (value.isascii() and value.isdigit()):
                # The value is not shown: it may be a token in the wrong line.
                yield wrong(
                    name,
                    f"what is set ({self.origins.source(name)}) is no number.",
                    "Copy the number from https://id.getharvest.com/developers, or set "
                    "HARVEST_INSTANCE to the name instead.",
                )
            elif name == "HARVEST_INSTANCE" and not is_instance(value):
                yield wrong(
                    name,
                    f"what is set ({self.origins.source(name)}) is no name of an account.",
                    "Set it to the acme of acme.harvestapp.com, as the browser shows it.",
                )
            else:
                yield ok(name, f"{value} ({self.origins.source(name)})")

    def _credentials(self) -> Iterator[Finding]:
        of_accounts = [name for name in sorted(self.origins.environment) if self._is_own(name)]
        for name in (*_CREDENTIALS, *of_accounts):
            is_set = bool(self.origins.value(name))
            yield ok(name, f"set ({self.origins.source(name)})" if is_set else "not set")

    def _token_store(self) -> Iterator[Finding]:
        name = "HARVEST_TOKEN_STORE"
        try:
            store = AccountStore.from_environment(self.origins.environment)
            kept = "the system keyring" if store.vault_kind == "keyring" else "files there"
        except StoreUnusable as error:
            yield told(name, error)
        else:
            yield ok(name, f"{store.folder}, secrets in {kept} ({self.origins.source(name)})")

    def _unknown(self) -> Iterator[Finding]:
        for name in sorted(self.origins.environment):
            if not name.startswith("HARVEST_") or not self.origins.value(name):
                continue
            if name in VARIABLES or self._is_own(name):
                continue
            if match := _OF_AN_ACCOUNT.fullmatch(name):
                if self.file_refused is None:
                    yield warning(
                        name,
                        f"is set, and no account of harvest.yaml is called {match[1].lower()}.",
                        "Name that account in harvest.yaml, or remove the variable.",
                    )
                continue
            near = get_close_matches(name, VARIABLES, n=1, cutoff=0.75)
            yield warning(
                name,
                f"is not a setting{f'; did you mean {near[0]}?' if near else '.'}",
                "Correct the name, or remove the variable.",
            )

    def _is_own(self, name: str) -> bool:
        """Whether the variable holds a credential of an account of harvest.yaml."""
        match = _OF_AN_ACCOUNT.fullmatch(name)
        return match is not None and any(
            settings.name == match[1].lower() and self.names_accounts for settings in self.accounts
        )


def _is_secret(name: str) -> bool:
    return name in _CREDENTIALS or _OF_AN_ACCOUNT.fullmatch(name) is not None


def _named(error: SettingsError, environment: Mapping[str, str]) -> str | None:
    """The variable whose value was refused: the first one in the message that is set.

    None where it is the file that was refused.
    """
    names = [n for n in re.findall(r"HARVEST_[A-Z_]+", error.message) if n in VARIABLES]
    if "HARVEST_CONFIG" in names:
        return None
    return next((name for name in names if environment.get(name, "").strip()), None)


def _account(settings: Account) -> str:
    which = settings.account_id or settings.instance
    return f"{settings.name} ({which})" if which else settings.name
