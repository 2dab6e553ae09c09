"""`harvest-pipeline doctor`: checks settings, database, accounts and Dagster; says what to fix."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import partial
from itertools import chain
from pathlib import Path

import click
import msgspec

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.cli.declared import by_components
from harvest_pipeline.cli.doctor_dagster import dagster_findings
from harvest_pipeline.cli.doctor_state import state_findings
from harvest_pipeline.cli.findings import Finding, Section, count, in_json
from harvest_pipeline.cli.output import json_option
from harvest_pipeline.harvest.access import (
    CREDENTIAL_FIELDS,
    client_from_environment,
    winning_variables,
)
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import HarvestError, PermissionMissing, RateLimited
from harvest_pipeline.harvest.http import AT_TERMINAL
from harvest_pipeline.harvest.token_store import TokenStore, is_name
from harvest_pipeline.loading.history import left_out
from harvest_pipeline.safety.text import one_line
from harvest_pipeline.settings import (
    VARIABLES,
    Account,
    Project,
    SettingsError,
    dotenv_path,
    load_environment,
    load_project,
)
from harvest_pipeline.settings.environment import dotenv
from harvest_pipeline.settings.values import FILE_ENDINGS
from harvest_pipeline.warehouse import ledger
from harvest_pipeline.warehouse.database import warehouse_of
from harvest_pipeline.warehouse.errors import WarehouseError, WarehouseLocked
from harvest_pipeline.warehouse.ledger import last_loaded_at
from harvest_pipeline.warehouse.place import place_of
from harvest_pipeline.warehouse.publish import published_at

_HOSTS = {"HARVEST_API_URL", "HARVEST_ID_URL"}
#: Variables whose value is checked, so that it is shown if it is not refused. All others, and those
#: that are refused, only show that they are set: it may be a secret in the wrong variable.
_CHECKED = {"HARVEST_CONFIG", *filter(None, (f.alias for f in Project.model_fields.values()))}
#: A person is waiting. The deadline is that of runs: processes use it to see each other's requests.
_PATIENCE = replace(AT_TERMINAL, read=20.0, attempts=2, first_pause=0.5, throttle_cap=20.0)
#: Seconds; tokens are renewed two minutes before they expire, by this machine's clock.
_CLOCK = 120.0
#: Bytes; a first load of a large account may need them.
_SPACE = 2**30

#: For messages about waiting.
_say = partial(click.echo, err=True)

_any_decoder = msgspec.json.Decoder(dict[str, object])


@click.command("doctor")
@json_option
@click.option("--offline", is_flag=True, help="Ask Harvest nothing.")
def command(as_json: bool, offline: bool) -> int:
    """Check settings, database, accounts and Dagster, and say what to do.

    Changes nothing and shows no secret. The exit code is 1 if anything is wrong.

    \b
    Example:
      harvest-pipeline doctor --offline
    """
    sections: list[Section] = []
    for section in examine(offline=offline):
        sections.append(section)
        if not as_json:  # Harvest takes time, so each result is printed at once
            click.echo(section)
    wrong = count(sections, "wrong")
    end = f"\nWrong: {wrong}, warnings: {count(sections, 'warning')}."
    click.echo(in_json(sections) if as_json else end)
    return 1 if wrong else 0


def examine(*, offline: bool) -> Iterator[Section]:
    """Run all checks; `offline` sends nothing to Harvest."""
    project = _Project()
    yield Section.of("settings", _settings(project))
    yield Section.of("state", state_findings(project.base.project, project.environment))
    warehouse = Section.of("warehouse", chain.from_iterable(map(_warehouse, project.each)))
    yield warehouse
    # Without a valid host setting, a token would be sent to the default host.
    offline = offline or bool(_HOSTS & project.refused.keys())
    readable = not count([warehouse], "wrong")
    for account in project.accounts:
        findings = _account(project, account, offline=offline, readable=readable)
        yield Section.of("account", findings, account.name)
    dagster = dagster_findings(
        project.variables.get("DAGSTER_HOME"), project.source("DAGSTER_HOME")
    )
    yield Section.of("Dagster", dagster)


class _Project:
    """The settings, of which only the valid ones are used: without harvest.yaml no `accounts`.

    `environment` leaves out the variables that are `refused`.
    """

    def __init__(self) -> None:
        self.in_dotenv = set[str]()
        differing: list[str] = []
        try:
            load_environment(differing.append, closing=False)
            self.in_dotenv = set(dotenv())
        except SettingsError as error:
            self.dotenv = [Finding.from_error(".env", error)]
        else:
            self.dotenv = [
                Finding.from_error(".env", SettingsError(line), "warning") for line in differing
            ]
        self.variables = {name: text for name, text in os.environ.items() if text.strip()}
        self.environment = dict(self.variables)
        self.refused: dict[str, SettingsError] = {}
        self.accounts: tuple[Account, ...] = ()
        while not self.accounts and "HARVEST_CONFIG" not in self.refused:
            try:
                self.accounts = load_project(self.environment).accounts
            except SettingsError as error:
                names = re.findall(r"HARVEST_[A-Z_]+", error.message)
                name = next((n for n in names if n in self.environment), "HARVEST_CONFIG")
                # Without its traceback, which would keep modules beyond the end of the interpreter.
                self.refused[name] = SettingsError(error.message.removeprefix(f"{name}: "))
                if name != "HARVEST_CONFIG":
                    del self.environment[name]
        self.base = Project.of(self.environment).accounts[0]
        self.named = [each for each in self.accounts if len(each.prefixes) > 1]
        self.components: list[Finding] = []
        try:
            if declared := by_components():
                names = ", ".join(map(_name, declared))
                self.accounts = declared
                self.components = [Finding("components", "ok", f"{names}, below {Path.cwd()}")]
        except SettingsError as error:
            self.accounts = ()
            self.components = [Finding.from_error("components", error)]

    @property
    def each(self) -> list[Project]:
        """The projects of the accounts: components may have a database each."""
        projects = [account.project for account in self.accounts or (self.base,)]
        return list({project.duckdb: project for project in projects}.values())

    def source(self, name: str) -> str:
        """Where the value of a setting comes from."""
        if name not in self.variables:
            return "default"
        return ".env" if name in self.in_dotenv else "environment"


def _settings(project: _Project) -> Iterator[Finding]:
    """`.env`, every variable with its value and source, and unknown variables."""
    path = dotenv_path()
    there = "which wins over the environment" if path.is_file() else "which does not exist"
    yield from project.dotenv or [Finding(".env", "ok", f"{path}, {there}")]
    yield from project.components
    prefixes = {each for one in (project.base, *project.accounts) for each in one.prefixes}
    credentials = {f"{prefix}{field.upper()}" for prefix in prefixes for field in CREDENTIAL_FIELDS}
    if {*credentials, "HARVEST_STATE_KEY", "PGPASSWORD"} & project.in_dotenv:
        yield from _open_to_others(".env", path)
    for name, variable in VARIABLES.items():
        value = project.variables.get(name, variable.default).strip()
        shown = name in _CHECKED or (name == "HARVEST_ACCOUNT_ID" and value.isdecimal())
        text = f"{value if shown else 'set'} ({project.source(name)})" if value else "not set"
        if name == "HARVEST_CONFIG":
            text += f", which names {', '.join(map(_name, project.named)) or 'no account'}"
        if name in project.refused:
            yield Finding.from_error(name, project.refused[name])
        elif name == "HARVEST_CONTACT" and not value:
            why = "not set, and Harvest wants to know whom to ask about your requests."
            yield Finding(name, "warning", why, "Set it to your e-mail address or web address.")
        else:
            yield Finding(name, "ok", text)
    known = VARIABLES.keys() | credentials
    for name in sorted(project.variables.keys() - known):
        if name.startswith("HARVEST_"):
            near = get_close_matches(name, known, n=1, cutoff=0.75)
            text = "is neither a setting nor a credential of an account of harvest.yaml"
            text += f"; did you mean {near[0]}?" if near else "."
            yield Finding(name, "warning", text, "Correct the name, or remove the variable.")


def _name(account: Account) -> str:
    which = account.account_id or account.instance
    return f"{account.name} ({which})" if which else account.name


def _warehouse(project: Project) -> Iterator[Finding]:
    """The place, what holds it, its permissions, the free disk space, and the copy for readers."""
    place = place_of(project)
    text = f"{place.address}, Parquet in {place.data}" if place.data else place.address
    if place.may_exist():
        if place.path:
            text += f", {place.path.stat().st_size / 2**20:,.1f} MiB"
        try:
            obstacle = warehouse_of(project.accounts[0], _say).obstacle()
        except WarehouseError as error:
            yield Finding.from_error("database", error)
        else:
            yield Finding("database", "ok", text)
            if obstacle:
                why = f"the database {obstacle}, and nothing else can write meanwhile."
                remedy = "Close that program or its connection, or wait until it is done."
                yield Finding("holder", "warning", why, remedy)
        if place.path:
            yield from _open_to_others("database", place.path)
    else:
        yield Finding("database", "ok", f"{text} does not exist yet; the first load makes it")
    folder = next(each for each in (place.folder, *place.folder.parents) if each.is_dir())
    free = shutil.disk_usage(folder).free
    if free < _SPACE:
        text = f"only {free / 2**20:,.0f} MiB are free in {folder}."
        yield Finding("disk", "warning", text, "Make room, or set HARVEST_DUCKDB to another path.")
    if project.publish:
        yield from _copy(project, project.publish)


def _copy(project: Project, path: Path) -> Iterator[Finding]:
    """Where the copy for readers is, and of when."""
    at = published_at(path)
    text = f"{path}, " + (f"published {at:%Y-%m-%d %H:%M} UTC" if at else "not published yet")
    names = [each.name for each in project.accounts if each.name.lower() == path.stem.lower()]
    if names and path.suffix.lower() in FILE_ENDINGS:
        text += f"; a query has to name {names[0]}.{names[0]}.time_entries there."
        remedy = "Give the file a name that no account has, and harvest.time_entries will do."
        yield Finding("copy", "warning", text, remedy)
    else:
        yield Finding("copy", "ok", text)


def _open_to_others(subject: str, path: Path) -> Iterator[Finding]:
    if path.stat().st_mode & 0o077:
        text = f"other users of this machine can use {path}."
        yield Finding(subject, "warning", text, f"chmod 600 {path}")


def _account(
    project: _Project, account: Account, *, offline: bool, readable: bool
) -> Iterator[Finding]:
    """Credentials, the person and their permissions, and the last load of one account."""
    environment = project.environment
    account_id = account.account_id or environment.get("HARVEST_ACCOUNT_ID", "")
    try:
        if names := winning_variables(account, environment):
            text = ", ".join(f"{name} ({project.source(name)})" for name in names)
            yield Finding("credentials", "ok", text)
        else:
            store = TokenStore.from_environment(environment)
            stored = store.find(account.name) if is_name(account.name) else None
            if stored:
                account_id = stored.account_id
                where = store.where(account.name)
                text = f"connected on {stored.connected_at:%Y-%m-%d}, stored in {where}"
                yield Finding("credentials", "ok", text)
            else:
                offline = True
                name = f" --name {account.name}" if len(account.prefixes) > 1 else ""
                remedy = f"Run `harvest-pipeline connect{name}`, or set HARVEST_ACCESS_TOKEN."
                yield Finding("credentials", "wrong", "there are none.", remedy)
        if not offline:
            with closing(client_from_environment(account, environment, _say, _PATIENCE)) as client:
                account_id = client.identity.account_id
                yield from _reader(client)
                if older := left_out(client, account.records, account.project.start_date):
                    what, remedy = older.rsplit(". ", 1)
                    yield Finding("older records", "warning", f"{what}.", remedy)
    except HarvestError as error:
        state = "warning" if isinstance(error, RateLimited) else "wrong"
        yield Finding.from_error("Harvest", error, state)
    if readable:
        yield from _last_load(account, account_id)


def _reader(client: HarvestClient) -> Iterator[Finding]:
    """The person the account is read as, and the reports they may not see. Raises HarvestError."""
    who = client.identity
    read_as = f"read as {who.user_name}, {who.role}"
    if not who.is_administrator:
        yield Finding("Harvest", "ok", f"account {who.account_id}, {read_as}")
        text = f"Harvest shows a {who.role} only a part of the account, and does not say so"
        refused = ", ".join(_refused_reports(client))
        text += f"; these reports will fail: {refused}." if refused else "."
        remedy = "Use the token of an administrator if the tables are to be complete."
        yield Finding("role", "warning", text, remedy)
        return
    company, answer = client.get(f"{client.api_url}/company", _any_decoder)
    name = one_line(f"{company.get('name')} ({company.get('full_domain')})")
    yield Finding("Harvest", "ok", f"account {who.account_id} {name}, {read_as}")
    ahead = (datetime.now(UTC) - answer.date).total_seconds()
    if abs(ahead) > _CLOCK:
        side = "ahead of" if ahead > 0 else "behind"
        text = f"this machine is {abs(ahead) / 60:,.0f} minutes {side} Harvest."
        remedy = "Set the clock by a time server: schedules and renewed tokens go by it."
        yield Finding("clock", "warning", text, remedy)


def _refused_reports(client: HarvestClient) -> list[str]:
    """The reports that this person may not read: one request for each kind of permission. Lists of
    one person are asked for this one."""
    paths: dict[str, str] = {}
    for record in RECORDS.values():
        if record.endpoint and record.parent in (None, "users"):
            path = record.endpoint.format(user_id=client.identity.user_id)
            paths.setdefault(record.permission, path)
    refused: set[str] = set()
    for permission, path in paths.items():
        try:
            client.get(f"{client.api_url}{path}", _any_decoder, {"per_page": "1"}, permission)
        except PermissionMissing:
            refused.add(permission)
    return [each.name for each in REPORTS.values() if RECORDS[each.record].permission in refused]


def _last_load(account: Account, account_id: str) -> Iterator[Finding]:
    """When the account was last loaded, and whether the loaded data is of the same company."""
    try:
        warehouse = warehouse_of(account, _say, wait_seconds=0, left=True)
        with warehouse.reader() as connection:
            last = last_loaded_at(connection)
            if account_id.isdecimal():
                ledger.refuse_another_account(connection, int(account_id))
    except WarehouseLocked:
        return  # the section on the warehouse reports it
    except WarehouseError as error:
        yield Finding.from_error("last load", error)
    else:
        text = f"{last:%Y-%m-%d %H:%M} UTC" if last else "nothing is loaded yet"
        yield Finding("last load", "ok", f"{text} (schema {account.name})")
