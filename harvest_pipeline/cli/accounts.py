"""`harvest-pipeline accounts`: lists, tests and removes connected accounts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime

import click

from harvest_pipeline.cli.connect import PATIENCE
from harvest_pipeline.cli.declared import accounts_of
from harvest_pipeline.cli.output import document, json_option, table
from harvest_pipeline.harvest.access import (
    client_from_environment,
    client_with,
    missing_credentials,
    renewed_variable,
    stored_credentials,
    variables,
    winning_variables,
)
from harvest_pipeline.harvest.errors import HarvestError, StoreUnusable
from harvest_pipeline.harvest.token_store import TokenStore
from harvest_pipeline.safety.text import may_be_secret, shown
from harvest_pipeline.settings import (
    Account,
    Project,
    SettingsError,
    load_environment,
)
from harvest_pipeline.settings.values import is_instance

_NONE = "No account is connected; run `harvest-pipeline connect`."

#: The fields of an account in the list; None if unknown. `kept_in` is keyring, file, shared or
#: environment, `problem` says why the account cannot be read from the store.
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
    """List, test or remove the accounts of this project and of this machine; the list asks Harvest
    nothing.

    \b
    Example:
      harvest-pipeline accounts
    """
    if context.invoked_subcommand:
        return 0
    environment = load_environment()
    store = TokenStore.from_environment(environment)
    rows = list(_rows(accounts_of(environment), store, environment))
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
    """Ask Harvest who each account is read as, or one of them, with the credentials that a run
    would use.

    \b
    Example:
      harvest-pipeline accounts test harvest
    """
    environment = load_environment()
    store = TokenStore.from_environment(environment)
    accounts = {each.name: each for each in accounts_of(environment)}
    names = [each for each in accounts if _is_listed(accounts[each], environment)]
    names += [each for each in store.names() if each not in names]
    failed = 0
    for each in _named(names, name):
        try:
            click.echo(f"{each}: ok; {_person(each, accounts.get(each), store, environment)}")
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
    settings = next((each for each in accounts_of(environment) if each.name == name), None)
    variable = settings and renewed_variable(settings, environment)
    if variable and store.remove(variable[1]):
        click.echo(
            f"What {variable[0]} was renewed to is removed from {store.reach}: set a new token "
            "before the next run, since Harvest may take each only once."
        )
        if name not in store.names():
            return 0
    winning = winning_variables(settings, environment) if settings else []
    if winning and name not in store.names():
        raise SettingsError(
            f"Nothing is stored of the account {name}: it is read with {' and '.join(winning)}; "
            "remove that from the environment or .env."
        )
    _named(store.names(), name)
    store.remove(name)
    click.echo(
        f"The account {name} and its secret are removed from {store.reach}. Harvest would "
        "still accept the secret: take the access back at https://id.getharvest.com."
    )
    return 0


def _named(names: list[str], name: str | None) -> list[str]:
    """The account of that name, or all of them; at least one. Raises SettingsError."""
    if not names:
        raise SettingsError(_NONE)
    if name and name not in names:
        raise SettingsError(
            f"No account is connected as {shown(name)}; there are: {', '.join(names)}."
        )
    return [name] if name else names


def _person(
    name: str, account: Account | None, store: TokenStore, environment: Mapping[str, str]
) -> str:
    """The person an account is read as, in a run if it is one of this project. Raises
    HarvestError."""
    stored = None if account and winning_variables(account, environment) else store.find(name)
    if account:
        client = client_from_environment(account, environment, click.echo, PATIENCE)
    elif stored:
        project = Project.of(environment)
        credentials = stored_credentials(store, stored, project.api_url, project.id_url)
        settings = project.accounts[0]
        client = client_with(settings, credentials, click.echo, PATIENCE, stored.account_id)
    else:
        raise StoreUnusable("it has just been removed.")
    with closing(client):
        found = client.identity
    company = stored.account_name if stored else f"account {found.account_id}"
    return f"{found.user_name}, {found.role} of {company}"


def _is_listed(account: Account, environment: Mapping[str, str]) -> bool:
    """Whether an account belongs into the list although nothing of it is stored: it is declared, or
    variables hold its credentials."""
    return len(account.prefixes) > 1 or bool(winning_variables(account, environment))


def _rows(
    accounts: Sequence[Account], store: TokenStore, environment: Mapping[str, str]
) -> Iterator[_Row]:
    """The accounts of the project, then those that are only stored."""
    names = store.names()
    for account in accounts:
        if winning_variables(account, environment):
            yield _of_environment(account, environment)
        elif account.name not in names and _is_listed(account, environment):
            row = {**_EMPTY, "name": account.name, "api_url": account.project.api_url}
            yield {**row, "problem": missing_credentials(account, environment)}
    for name in names:
        yield _of_store(store, name)


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
        credential = "unusable, see below" if row["kept_in"] else "none, see below"
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
