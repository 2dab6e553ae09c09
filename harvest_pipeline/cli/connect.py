"""`harvest-pipeline connect`: authorizes an account in the browser and stores its tokens."""

import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

import click

from harvest_pipeline import settings as configured
from harvest_pipeline.cli.declared import accounts_of, by_components
from harvest_pipeline.harvest.access import client_with, winning_variables
from harvest_pipeline.harvest.account import Account, AccountFinder, listed
from harvest_pipeline.harvest.auth import PersonalAccessToken
from harvest_pipeline.harvest.client import user_agent
from harvest_pipeline.harvest.errors import (
    AccountNotFound,
    HarvestError,
    StoreKeyWrong,
    StoreUnusable,
)
from harvest_pipeline.harvest.http import AT_TERMINAL, Transport
from harvest_pipeline.harvest.oauth import DEVELOPERS, Consent, TokenSet
from harvest_pipeline.harvest.redirect import RedirectServer, redirect_address
from harvest_pipeline.harvest.token_store import StoredAccount, TokenStore, check_name
from harvest_pipeline.loading.history import proposal
from harvest_pipeline.safety.hosts import is_loopback
from harvest_pipeline.safety.text import one_line
from harvest_pipeline.sandbox import DEFAULT_PORT as SANDBOX_PORT
from harvest_pipeline.sandbox.oauth import CLIENT_ID, CLIENT_SECRET
from harvest_pipeline.settings import Project, SettingsError, load_environment

#: A person is waiting, so there are fewer attempts and shorter pauses than in a run.
PATIENCE = replace(AT_TERMINAL, attempts=3, first_pause=0.5, throttle_cap=60.0)
#: How long the person has to answer in the browser.
BROWSER_SECONDS = 300.0

#: A requested account: by id or by instance name, and where that was set.
Requested = tuple[str, str, bool]


@click.command("connect")
@click.option("--name", help="Name to store the account under (default: the one of the project).")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=7358,
    show_default=True,
    help="Port of this machine to which the browser returns.",
)
@click.option("--no-browser", is_flag=True, help="Print the address; paste what comes of it.")
@click.option(
    "--token", metavar="-", help="-: a personal access token from standard input, no browser."
)
@click.option("--account-id", metavar="ID", help="The account, if you have several.")
@click.option(
    "--instance", metavar="NAME", help="The same, by name: the acme of acme.harvestapp.com."
)
@click.option("--replace", "replacing", is_flag=True, help="Replace an account of another company.")
@click.option("--sandbox", is_flag=True, help="Connect a running `harvest-pipeline sandbox`.")
def command(
    name: str | None,
    port: int,
    no_browser: bool,
    token: str | None,
    account_id: str | None,
    instance: str | None,
    replacing: bool,
    sandbox: bool,
) -> int:
    """Connect your Harvest account.

    Nothing is stored before Harvest has said who you are in which account.

    \b
    Example:
      harvest-pipeline connect --account-id 1234567
    """
    try:
        if account_id and instance:
            raise click.UsageError("--account-id and --instance exclude each other.")
        if token not in (None, "-"):
            raise SettingsError(
                "Others can read the arguments of a command, so a token is taken from standard "
                "input only: give `--token -`, and revoke the token that you typed if this machine "
                "is shared."
            )
        environment = load_environment()
        project = accounts_of(environment)
        settings = Project.of(environment).accounts[0]
        name = _name(name, project)
        store = TokenStore.from_environment(environment)
        store.kept_in(name)  # an unusable store is reported at once
        entry = next((each for each in project if each.name == name), None)
        requested = _requested(account_id, instance, environment, entry)
        if sandbox:
            settings = _of_sandbox(settings)
            # The settings name the account at Harvest.
            requested = _requested(account_id, instance, {}, None)
        agent = user_agent(settings.project.contact)
        with closing(Transport(agent, PATIENCE, click.echo)) as transport:
            if token:
                tokens = TokenSet(access_token=_token())
            else:
                pair = (CLIENT_ID, CLIENT_SECRET) if sandbox else _application(environment, port)
                consent = Consent(*pair, settings.project.id_url, redirect_address(port))
                answer = _pasted(consent) if no_browser else _by_browser(consent, port)
                tokens = consent.tokens(transport, consent.code(answer))
        account = _identified(name, settings, tokens, requested)
        if not replacing:
            _check_company(store, account)
        store.save(account)
        click.echo(_summary(account, store, project, environment))
        if said := _first_day(settings, account):
            click.echo(f"\n{said}")
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nStopped; nothing was stored.", err=True)
        return 130
    return 0


def _name(name: str | None, project: Sequence[configured.Account]) -> str:
    """The name to store under. Raises SettingsError, and StoreUnusable for an invalid one."""
    if not name and len(project) > 1:
        names = ", ".join(settings.name for settings in project)
        raise SettingsError(
            f"This project has several accounts ({names}): say which one you connect with --name."
        )
    return check_name(name or project[0].name)


def _requested(
    account_id: str | None,
    instance: str | None,
    environment: Mapping[str, str],
    entry: configured.Account | None,
) -> Requested | None:
    """The account in the arguments, else in the environment, else in harvest.yaml."""
    said = (
        (account_id, "--account-id", True),
        (instance, "--instance", False),
        (environment.get("HARVEST_ACCOUNT_ID"), "HARVEST_ACCOUNT_ID", True),
        (environment.get("HARVEST_INSTANCE"), "HARVEST_INSTANCE", False),
        (entry and entry.account_id, "account_id in harvest.yaml", True),
        (entry and entry.instance, "instance in harvest.yaml", False),
    )
    return next(
        ((text.strip(), source, is_id) for text, source, is_id in said if text and text.strip()),
        None,
    )


def _of_sandbox(settings: configured.Account) -> configured.Account:
    """The settings with the hosts of the sandbox. Raises SettingsError if no sandbox is running."""
    project = settings.project
    hosts = [urlsplit(url).hostname or "" for url in (project.api_url, project.id_url)]
    if not all(map(is_loopback, hosts)):
        id_url = f"http://127.0.0.1:{SANDBOX_PORT}"
        there = {"api_url": f"{id_url}/v2", "id_url": id_url}
        settings = replace(settings, project=project.model_copy(update=there))
    address = urlsplit(settings.project.id_url)
    try:
        socket.create_connection((address.hostname or "", address.port or 80), 2).close()
    except OSError:
        raise SettingsError(
            f"No sandbox answers at {settings.project.id_url}: start `harvest-pipeline sandbox` in "
            "another terminal and leave it running."
        ) from None
    return settings


def _application(environment: Mapping[str, str], port: int) -> tuple[str, str]:
    """Client id and secret from the environment. A missing one is prompted for and never taken
    from the command line, which other users can read."""
    missing = (
        "HARVEST_CLIENT_ID and HARVEST_CLIENT_SECRET are not both set, and nobody is at a terminal "
        "to be asked: set them in the environment or in .env, or give a personal access token with "
        "--token -."
    )
    client_id = environment.get("HARVEST_CLIENT_ID", "").strip()
    secret = environment.get("HARVEST_CLIENT_SECRET", "").strip()
    if not (client_id and secret):
        _needs_person(missing)
        click.echo(
            "Harvest knows this program as an OAuth 2 application of yours: make one at "
            f"{DEVELOPERS}\n(product: Harvest, redirect URL: {redirect_address(port)}), and copy "
            "its client id and secret here, or into .env.\n"
        )
    return (
        client_id or str(click.prompt("Client id")).strip(),
        secret or str(click.prompt("Client secret (does not show)", hide_input=True)).strip(),
    )


def _token() -> str:
    """A personal access token from standard input."""
    if sys.stdin.isatty():
        return str(click.prompt("Personal access token (does not show)", hide_input=True)).strip()
    return _line("No token came from standard input, so nothing is connected.")


def _by_browser(consent: Consent, port: int) -> str:
    """The redirect that this machine's browser is sent to."""
    with RedirectServer(port, consent.is_answered_by) as server:
        click.echo(
            "Allow the access in your browser. If it does not open by itself, open this address:"
            f"\n\n{consent.url}\n\nWaiting for five minutes at most; Ctrl-C stops. (With a browser "
            "on another machine: stop, and give --no-browser.)"
        )
        windows = sys.platform in ("win32", "darwin")
        # A text browser would take over this command's terminal.
        if windows or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))):
            # Some browsers block the caller until their window is closed.
            threading.Thread(target=webbrowser.open, args=(consent.url,), daemon=True).start()
        return server.wait(BROWSER_SECONDS)


def _pasted(consent: Consent) -> str:
    """The redirect that the person copies from a browser on any machine."""
    click.echo(
        f"Open this address in a browser, and allow the access:\n\n{consent.url}\n\n"
        f"The browser then goes to {consent.redirect_uri}?… and shows that nobody answers "
        "there.\nCopy that whole address and paste it here:"
    )
    return _line("No address was pasted, so nothing is connected; run the command again.")


def _line(missing: str) -> str:
    """The next line of standard input. Raises SettingsError with `missing` if it is empty."""
    try:
        line = sys.stdin.readline().strip()
    except UnicodeDecodeError:
        line = ""
    if not line:
        raise SettingsError(missing)
    return line


def _needs_person(missing: str) -> None:
    """Raise SettingsError with `missing` if there is no terminal to ask on."""
    if not sys.stdin.isatty():
        raise SettingsError(missing)


def _identified(
    name: str, settings: configured.Account, tokens: TokenSet, requested: Requested | None
) -> StoredAccount:
    """The account to store: read with these very tokens, so they are known to work.

    Raises AccountNotFound, SettingsError if there is no terminal to choose on, and what
    `Caller.get` raises.
    """
    with closing(client_with(settings, _credentials(tokens), click.echo, PATIENCE)) as client:
        account = _chosen(client.finder, requested)
        identity = client.finder.identify(str(account.id), account.name)
        instance = client.finder.instance_of(str(account.id))
    return StoredAccount(
        name=name,
        api_url=settings.project.api_url,
        id_url=settings.project.id_url,
        account_id=identity.account_id,
        account_name=one_line(account.name),
        instance=instance,
        user_name=identity.user_name,
        role=identity.role,
        connected_at=datetime.now(UTC),
        tokens=tokens,
    )


def _credentials(tokens: TokenSet) -> PersonalAccessToken:
    """These very tokens, which are not renewed meanwhile."""
    origin = "Harvest's answer" if tokens.refresh_token else "standard input"
    return PersonalAccessToken(tokens.access_token, origin)


def _first_day(settings: configured.Account, account: StoredAccount) -> str | None:
    """What to set as the first day, if Harvest says since when the account has records."""
    credentials = _credentials(account.tokens)
    client = client_with(settings, credentials, click.echo, PATIENCE, account.account_id)
    with closing(client), suppress(HarvestError):  # the account is connected all the same
        return proposal(client, settings.records, settings.project.start_date)
    return None


def _chosen(finder: AccountFinder, requested: Requested | None) -> Account:
    """The requested account, else the only one, else the one that the person chooses."""
    accounts = finder.reachable()
    if not accounts:
        raise AccountNotFound(
            "This token reaches no Harvest account (Forecast does not count), so nothing was "
            "stored; sign in as a person who has one."
        )
    if requested:
        text, source, is_id = requested
        by_id = (account for account in accounts if str(account.id) == text)
        found = next(by_id, None) if is_id else finder.at(text, accounts)
        if found is None:
            raise AccountNotFound(
                f"{source} is an account that this token is not known to reach. "
                f"{listed(accounts)} Correct it, or choose on Harvest's page what it may reach."
            )
        return found
    if len(accounts) == 1:
        return accounts[0]
    _needs_person(f"{listed(accounts)} Say which one you want with --account-id.")
    click.echo("Which account?")
    for number, account in enumerate(accounts, 1):
        click.echo(f"  {number}  {account}")
    return accounts[click.prompt("Number", type=click.IntRange(1, len(accounts))) - 1]


def _check_company(store: TokenStore, new: StoredAccount) -> None:
    """Raise SettingsError if `new` would replace another company, and StoreKeyWrong if others
    could not read it."""
    try:
        old = store.find(new.name)
    except StoreKeyWrong:
        raise
    except StoreUnusable:  # a damaged one is replaced
        return
    if old and (old.account_id, old.api_url) != (new.account_id, new.api_url):
        raise SettingsError(
            f"{old.name} is connected to {old.account_name} ({old.account_id}), and this is "
            f"{new.account_name} ({new.account_id}): nothing was stored. Choose another name with "
            "--name, or give --replace."
        )


def _summary(
    account: StoredAccount,
    store: TokenStore,
    project: Sequence[configured.Account],
    environment: Mapping[str, str],
) -> str:
    """What was connected, and what to do next."""
    parts = [
        f"Connected {account.account_name} (account {account.account_id}, instance "
        f"{account.instance or 'not shown to this person'}) as {account.user_name}, "
        f"{account.role}.\nIt is stored as {account.name} in {store.where(account.name)}.",
    ]
    if account.role != "administrator":
        parts.append(
            f"Take care: Harvest shows a {account.role} less than an administrator, and does not "
            "say so. Tables will lack what this person may not see."
        )
    if is_loopback(urlsplit(account.api_url).hostname or ""):
        parts.append(
            "This account is a sandbox; it is read where these are set:\n\n"
            f"export HARVEST_API_URL={account.api_url}\nexport HARVEST_ID_URL={account.id_url}"
        )
    entry = next((each for each in project if each.name == account.name), None)
    start, where = "`make dev`", f"in harvest.yaml (below `accounts:`, `- name: {account.name}`)"
    if by_components():
        start, where = "`dg dev`", f"by a component (`name: {account.name}`)"
    if entry is None:
        parts.append(f"Next: declare it {where} beside the others, and run {start}.")
    elif winning := winning_variables(entry, environment):
        parts.append(
            f"Next: remove {' and '.join(winning)} from the environment and .env, since variables "
            f"win over a stored account; then run {start}."
        )
    else:
        parts.append(f"Next: run {start}.")
    return "\n\n".join(parts)
