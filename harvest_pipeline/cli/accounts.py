"""`harvest-pipeline accounts`: lists, tests and removes connected accounts."""

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime

import click

from harvest_pipeline.cli.connect import PATIENCE
from harvest_pipeline.cli.output import document, json_option, table
from harvest_pipeline.harvest.access import (
    client_with,
    renewed_variable,
    stored_credentials,
    variables,
    winning_variables,
)
from harvest_pipeline.harvest.errors import HarvestError, StoreUnusable
from harvest_pipeline.harvest.token_store import TokenStore
from harvest_pipeline.safety import may_be_secret, shown
from harvest_pipeline.settings import (
    Account,
    Project,
    SettingsError,
    load_environment,
    load_project,
)
from harvest_pipeline.settings.values import is_instance

_NONE = "No account is connected; run `harvest-pipeline connect`."

#: The fields of an account in the list; None if unknown. `kept_in` is keyring, file or environment,
#: `problem` says why the account cannot be read from the store.
_Row = dict[str, str | datetime | None]
_KEYS = (
    *("name", "company", "instance", "account_id", "person", "role", "kind"),
    *("expires_at", "kept_in", "api_url", "connected_at", "problem"),
)
_EMPTY: _Row = dict.fromkeys(_KEYS)
_HEADERS = ("name", "company", "account", "read as", "credential", "kept in")


@click.group("accounts", invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> int:
    """List, test or remove connected accounts; the list asks Harvest nothing.

    \b
    Example:
      harvest-pipeline accounts
    """
    if context.invoked_subcommand:
        return 0
    environment = load_environment()
    store = TokenStore.from_environment(environment)
    project = load_project(environment).accounts
    rows = [
        _of_environment(settings, environment)
        for settings in project
        if winning_variables(settings, environment)
    ]
    rows += [_of_store(store, name) for name in store.names()]
    problems = [str(row["problem"]) for row in rows if row["problem"]]
    if as_json:
        click.echo(document(rows))
    elif not rows:
        click.echo(_NONE)
    else:
        click.echo(table(_HEADERS, [*map(_cells, rows)]))
        if any(row["kept_in"] == "environment" for row in rows):
            click.echo("\nCredentials in the environment win over a stored account of that name.")
        for problem in problems:
            click.echo(f"\n{problem}")
    return 1 if problems else 0


@command.command()
@click.argument("name", required=False)
def test(name: str | None) -> int:
    """Ask Harvest who each account is read as, or one of them.

    \b
    Example:
      harvest-pipeline accounts test harvest
    """
    environment = load_environment()
    settings = Project.of(environment).accounts[0]
    store = TokenStore.from_environment(environment)
    failed = 0
    for each in _named(store, name):
        try:
            click.echo(f"{each}: ok; {_person(store, each, settings)}")
        except HarvestError as error:
            click.echo(f"{each}: {error}")
            failed = 1
    return failed


@command.command()
@click.argument("name")
def remove(name: str) -> int:
    """Forget an account: its secret, and what a refresh token of a variable was renewed to.

    \b
    Example:
      harvest-pipeline accounts remove harvest
    """
    environment = load_environment()
    store = TokenStore.from_environment(environment)
    settings = next((s for s in load_project(environment).accounts if s.name == name), None)
    variable = settings and renewed_variable(settings, environment)
    if variable and store.remove(variable[1]):
        click.echo(
            f"What {variable[0]} was renewed to is removed from this machine: set a new token "
            "before the next run, since Harvest may take each only once."
        )
        if name not in store.names():
            return 0
    _named(store, name)
    store.remove(name)
    click.echo(
        f"The account {name} and its secret are removed from this machine. Harvest would "
        "still accept the secret: take the access back at https://id.getharvest.com."
    )
    return 0


def _named(store: TokenStore, name: str | None) -> list[str]:
    """The account of that name, or all of them; at least one. Raises SettingsError."""
    names = store.names()
    if not names:
        raise SettingsError(_NONE)
    if name and name not in names:
        raise SettingsError(
            f"No account is connected as {shown(name)}; there are: {', '.join(names)}."
        )
    return [name] if name else names


def _person(store: TokenStore, name: str, settings: Account) -> str:
    """The person an account is read as, with the settings that a run would use."""
    account = store.find(name)
    if account is None:
        raise StoreUnusable("it has just been removed.")
    hosts = (settings.project.api_url, settings.project.id_url)
    credentials = stored_credentials(store, account, *hosts)
    client = client_with(settings, credentials, click.echo, PATIENCE, account.account_id)
    with closing(client):
        found = client.identity
    return f"{found.user_name}, {found.role} of {account.account_name}"


def _of_environment(settings: Account, environment: Mapping[str, str]) -> _Row:
    found = variables(settings, environment)
    # A name that matches no account is not shown: it may be a token on the wrong line.
    instance, account_id = (
        environment[found[field]].strip() if field in found else ""
        for field in ("instance", "account_id")
    )
    return {
        **_EMPTY,
        "name": settings.name,
        "instance": settings.instance
        or (instance if is_instance(instance) and not may_be_secret(instance) else None),
        "account_id": account_id if account_id.isdecimal() else settings.account_id or None,
        "kind": "token" if "access_token" in found else "oauth2",
        "kept_in": "environment",
        "api_url": settings.project.api_url,
    }


def _of_store(store: TokenStore, name: str) -> _Row:
    row: _Row = {**_EMPTY, "name": name, "kept_in": store.kept_in(name)}
    try:
        account = store.find(name)
    except StoreUnusable as error:
        return {**row, "problem": str(error)}
    if account is None:  # removed just now
        return row
    end = account.tokens.expires_at
    return {
        **row,
        "company": account.account_name,
        "instance": account.instance,
        "account_id": account.account_id,
        "person": account.user_name,
        "role": account.role,
        "kind": account.kind,
        "expires_at": None if end is None else datetime.fromtimestamp(end, UTC),
        "api_url": account.api_url,
        "connected_at": account.connected_at,
    }


def _cells(row: _Row) -> list[str]:
    if row["problem"]:
        credential = "unusable, see below"
    elif row["kind"] == "token":
        credential = "token, until it is revoked"
    else:
        credential = "OAuth 2, renewed by itself"
    return [
        str(row["name"]),
        str(row["company"] or ""),
        " ".join(str(row[key]) for key in ("instance", "account_id") if row[key]),
        ", ".join(str(row[key]) for key in ("person", "role") if row[key]),
        credential,
        str(row["kept_in"] or ""),
    ]
