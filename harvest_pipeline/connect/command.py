"""The command `harvest-pipeline connect`.

Belongs here: its arguments, and the order of the steps; nothing is stored before the last of them.
Does not belong here: the steps, and what is printed about their end (summary.py).
"""

import argparse
import socket
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from urllib.parse import urlsplit

from harvest_pipeline.accounts.store import AccountStore
from harvest_pipeline.accounts.stored import StoredAccount, check_name
from harvest_pipeline.connect.choice import Wish, examined
from harvest_pipeline.connect.signing_in import signed_in
from harvest_pipeline.connect.summary import told
from harvest_pipeline.connect.terminal import PATIENCE, Terminal
from harvest_pipeline.harvest.client import user_agent
from harvest_pipeline.harvest.http import Transport
from harvest_pipeline.sandbox import DEFAULT_PORT as SANDBOX_PORT
from harvest_pipeline.settings import (
    Account,
    Project,
    SettingsError,
    load_environment,
    load_project,
)
from harvest_pipeline.settings.values import is_loopback

_DEFAULT_PORT = 7358


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to a parser."""
    add = parser.add_argument
    add("--name", help="name to store the account under (default: the one of the project)")
    add(
        "--port",
        type=int,
        default=_DEFAULT_PORT,
        help="port of this machine to which the browser returns (default %(default)s)",
    )
    add("--no-browser", action="store_true", help="print the address, and paste what comes of it")
    add("--token", metavar="-", help="-: a personal access token from standard input, no browser")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--account-id", metavar="ID", help="the account, if you have several")
    which.add_argument(
        "--instance", metavar="NAME", help="the same, by name: the acme of acme.harvestapp.com"
    )
    add("--replace", action="store_true", help="replace a stored account of another company")
    add("--sandbox", action="store_true", help="connect a running `harvest-pipeline sandbox`")


def run(arguments: argparse.Namespace) -> int:
    """Connect an account and print what came of it. Returns the exit code."""
    try:
        print(_connected(arguments))
    except KeyboardInterrupt:
        print("\nStopped; nothing was stored.", file=sys.stderr)
        return 130
    return 0


def _connected(arguments: argparse.Namespace) -> str:
    """Connect, and say what was connected."""
    environment = load_environment()
    settings = Project.of(environment).accounts[0]
    project = load_project(environment).accounts
    name = _name(arguments, project)
    if arguments.token not in (None, "-"):
        raise SettingsError(
            "Others can read the arguments of a command, so a token is taken from standard input "
            "only: give `--token -`, and revoke the token that you typed if this machine is shared."
        )
    store = AccountStore.from_environment(environment)
    vault, old = store.vault_kind, store.find(name)  # an unusable store is told of at once
    wish = Wish.of(arguments, environment, next((s for s in project if s.name == name), None))
    if arguments.sandbox:
        settings = _of_sandbox(settings)
        wish = Wish.of(arguments, {}, None)  # the settings mean the account at Harvest
    terminal = Terminal()
    with (
        closing(Transport(user_agent(settings.project.contact), PATIENCE)) as transport,
        signed_in(arguments, environment, settings, transport, terminal) as secrets,
    ):
        account = examined(name, settings, transport, secrets, vault, wish, terminal)
        if not arguments.replace:
            _check_company(old, account, terminal)
        store.save(account, secrets)
    return told(account, store, project, environment)


def _name(arguments: argparse.Namespace, project: Sequence[Account]) -> str:
    """The name to store under. Raises SettingsError, and StoreUnusable for an impossible one."""
    if not arguments.name and len(project) > 1:
        names = ", ".join(settings.name for settings in project)
        raise SettingsError(
            f"harvest.yaml names several accounts ({names}): say which one you connect with --name."
        )
    return check_name(arguments.name or project[0].name)


def _check_company(old: StoredAccount | None, new: StoredAccount, terminal: Terminal) -> None:
    """Raises SettingsError if `new` is another company than `old`, and that is not wanted."""
    if old is None or (old.account_id, old.api_url) == (new.account_id, new.api_url):
        return
    there = f"{old.name} is connected to {old.account_name} ({old.account_id})"
    missing = (
        f"{there}, and this is {new.account_name} ({new.account_id}): nothing was stored. Choose "
        "another name with --name, or give --replace."
    )
    question = f"{there}. Replace it by {new.account_name} ({new.account_id})?"
    if not terminal.agrees(question, missing):
        raise SettingsError(f"{there} as before; choose another name for the new one with --name.")


def _of_sandbox(settings: Account) -> Account:
    """The settings with the hosts of the sandbox. Raises SettingsError if none is running."""
    hosts = [
        urlsplit(url).hostname or "" for url in (settings.project.api_url, settings.project.id_url)
    ]
    if not all(map(is_loopback, hosts)):
        id_url = f"http://127.0.0.1:{SANDBOX_PORT}"
        hosts_there = {"api_url": f"{id_url}/v2", "id_url": id_url}
        settings = replace(settings, project=settings.project.model_copy(update=hosts_there))
    address = urlsplit(settings.project.id_url)
    try:
        socket.create_connection((address.hostname or "", address.port or 80), 2).close()
    except OSError:
        raise SettingsError(
            f"No sandbox answers at {settings.project.id_url}: start `harvest-pipeline sandbox` in "
            "another terminal and leave it running."
        ) from None
    return settings
