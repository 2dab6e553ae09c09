"""Runs and commands that meet a secret where it may leak, most of which have to fail."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harvest_pipeline_tests.postgres import PASSWORD as OF_DATABASE
from harvest_pipeline_tests.sandbox.faults import AnswerWith, ExpireToken, Fault, Reset, Truncate
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.security.canaries import run_of

#: Letters that every escaping changes stand between two runs that none does.
CHANGED = '+/=&%"<\\'


def _secret(name: str) -> str:
    return f"{run_of(name)}{CHANGED}{run_of(name + ' again')}"


TOKEN = f"1044711.pt.{_secret('personal access token')}"
CLIENT_ID = run_of("client id")
CLIENT_SECRET = _secret("client secret")
REFRESH_TOKEN = _secret("refresh token")
DOTENV_TOKEN = _secret("token in .env")
#: In the wrong place it would otherwise be on a page of Dagster.
MISPLACED = f"1044711.pt.{run_of('token in the wrong place')}-{run_of('and its other half')}"
PASSWORD = run_of("password of an address")
OF_ANSWER = _secret("token in an answer")
OF_HOLDER = run_of("secret among the arguments of another program")
MALFORMED = {
    "a line break at its end": f"{_secret('token with a line break')}\n",
    "a blank inside": f"{run_of('token with a blank')} {run_of('its other half')}",
    "a letter that no token has": f"{run_of('token of words')}é{run_of('its other half too')}",
}
WRONG_PASSWORD = run_of("wrong password of the database")


def _key(name: str) -> str:
    """A key of Fernet."""
    return f"{run_of(name)}{run_of(name + ' again')}"[:43] + "="


STATE_KEY, OTHER_KEY = _key("key of the state"), _key("another key of the state")
#: What a launch puts into its run config is stored and shown by Dagster, whatever we do.
LAUNCHED = run_of("token in the config of a launch")

SECRETS = {
    "token": TOKEN,
    "client id": CLIENT_ID,
    "client secret": CLIENT_SECRET,
    "refresh token": REFRESH_TOKEN,
    "token in .env": DOTENV_TOKEN,
    "misplaced": MISPLACED,
    "password": PASSWORD,
    "token in an answer": OF_ANSWER,
    "launched": LAUNCHED,
    "of the holder": OF_HOLDER,
    "password of the database": OF_DATABASE,
    "wrong password of the database": WRONG_PASSWORD,
    "key of the state": STATE_KEY,
    "another key of the state": OTHER_KEY,
    **{f"a token with {why}": token for why, token in MALFORMED.items()},
}

WITH_TOKEN = {"HARVEST_ACCESS_TOKEN": TOKEN}
OAUTH = {
    "HARVEST_ACCESS_TOKEN": "",
    "HARVEST_CLIENT_ID": CLIENT_ID,
    "HARVEST_CLIENT_SECRET": CLIENT_SECRET,
    "HARVEST_REFRESH_TOKEN": REFRESH_TOKEN,
}
NOTHING = {"HARVEST_ACCESS_TOKEN": "", "HARVEST_ACCOUNT_ID": ""}
CONNECT = ("connect", "--token", "-")


@dataclass(frozen=True)
class Failure:
    """A run of the report clients, or a command, and what it has to say.

    `environment` is what is different in it (None: unset), `files` what is written beforehand.
    """

    name: str
    told: str = ""
    environment: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    faults: tuple[Fault, ...] = ()
    command: tuple[str, ...] = ()
    typed: str = ""
    run_config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    files: Mapping[Path, str] = field(default_factory=dict[Path, str])
    account: str = "harvest"
    fails: bool = True


def failures(sandbox: SandboxServer, folder: Path, state: str) -> Iterator[Failure]:
    """All of them, in the order in which they are played; `state` is the address of a database,
    empty if there is none."""
    yield Failure("success", fails=False)
    yield from _of_answers(sandbox)
    yield from _of_tokens(sandbox)
    yield from _of_settings(sandbox, folder)
    yield from _of_commands()
    yield from _of_stores(sandbox, folder)
    if state:
        yield from _of_shared_state(sandbox, state)


def answer(path: str, status: int, secret: str = "", body: Any = None, **headers: str) -> Fault:
    """From now on that answer; without a body, an error that repeats a secret wherever it can."""
    said = f"Bearer {secret} is not valid"
    body = body or {"message": said, "error": secret, "error_description": said}
    text = body if isinstance(body, str) else json.dumps(body)
    return AnswerWith(path=path, status=status, body=text, headers=headers, times=None)


#: What Harvest says about a token of an administrator.
ME = answer("/users/me", 200, body={"id": 1, "access_roles": ["administrator"]})


def next_page(address: str) -> Fault:
    """A list whose next page has that address, long enough to be written to the spool."""
    page = {"clients": [{"id": 1, "name": "n" * 100_000}], "links": {"next": address}}
    return AnswerWith(path="/clients", status=200, body=json.dumps(page))


def _of_answers(sandbox: SandboxServer) -> Iterator[Failure]:
    """Harvest refuses and repeats the token, answers nonsense, or leads elsewhere."""
    yield Failure("wrong token", "HARVEST_ACCESS_TOKEN", WITH_TOKEN)
    for status in (400, 401, 403, 404, 422, 500):
        faults = (answer("/users/me", status, TOKEN),)
        yield Failure(f"{status} that repeats the token", "", WITH_TOKEN, faults)
    here = f"{sandbox.api_url}/clients?access_token={OF_ANSWER}"
    elsewhere = f"https://{run_of('user')}@evil.test/{OF_ANSWER}?token={OF_ANSWER}"
    for name, faults in {
        "a web page": (answer("/clients", 200, body=f"<!doctype html><p>{TOKEN}"),),
        "half an answer": (Truncate(path="/clients", times=None),),
        "another form": (answer("/clients", 200, body={"clients": TOKEN, TOKEN: {"id": TOKEN}}),),
        "a redirect": (answer("/clients", 302, TOKEN, Location=f"https://evil.test/?{TOKEN}"),),
        "a reset connection": (Reset(path="/clients", times=None),),
        "a next page that fails": (next_page(here), answer("/clients", 500, OF_ANSWER)),
        "a next page elsewhere": (next_page(elsewhere), next_page(elsewhere)),
    }.items():  # fmt: skip
        yield Failure(name, "", WITH_TOKEN, (ME, *faults))
    proxy = {"HTTPS_PROXY": f"http://user:{PASSWORD}@127.0.0.1:9", "NO_PROXY": None}
    yield Failure("no proxy", "", {**WITH_TOKEN, **proxy, "HARVEST_API_URL": None,
                                   "HARVEST_ID_URL": None})  # fmt: skip


def _of_tokens(sandbox: SandboxServer) -> Iterator[Failure]:
    """No access token is had for a refresh token, or it does not last."""
    nonsense = {"access_token": f"{OF_ANSWER}\n{REFRESH_TOKEN}", "refresh_token": [CLIENT_SECRET]}
    for name, status, body in (
        ("refused grant", 400, {"error": "invalid_grant", "error_description": REFRESH_TOKEN}),
        ("refused client", 401, {"error": "invalid_client", "error_description": CLIENT_SECRET}),
        ("refused by a proxy", 403, None),
        ("no token today", 500, None),
        ("nonsense for a token", 200, nonsense),
        ("no JSON for a token", 200, f"{REFRESH_TOKEN} {OF_ANSWER}"),
    ):
        yield Failure(name, "", OAUTH, (answer("/oauth2/token", status, REFRESH_TOKEN, body),))
    tokens = {"access_token": OF_ANSWER, "refresh_token": REFRESH_TOKEN, "expires_in": 3600}
    given = answer("/oauth2/token", 200, body=tokens)
    yield Failure("new token refused", "", OAUTH, (given, answer("/users/me", 401, OF_ANSWER)))
    real = {
        "HARVEST_ACCESS_TOKEN": "",
        "HARVEST_CLIENT_ID": sandbox.client_id,
        "HARVEST_CLIENT_SECRET": sandbox.client_secret,
        "HARVEST_REFRESH_TOKEN": sandbox.refresh_token,
    }
    for name in ("given", "renewed"):
        expired = (ExpireToken(path="/clients"),)
        yield Failure(f"token that is {name}", "", real, expired, fails=False)


def _of_settings(sandbox: SandboxServer, folder: Path) -> Iterator[Failure]:
    """A secret that is malformed, or in a setting that is shown."""
    for why, token in MALFORMED.items():
        yield Failure(f"token with {why}", "TOKEN", {"HARVEST_ACCESS_TOKEN": token})
        malformed = {**OAUTH, "HARVEST_CLIENT_SECRET": token}
        yield Failure(f"secret with {why}", "HARVEST_CLIENT_SECRET", malformed)
    address = f"user:{PASSWORD}@api.harvestapp.com/v2"
    misplaced = {
        "HARVEST_ACCOUNT_ID": [MISPLACED],
        "HARVEST_INSTANCE": [MISPLACED],
        "HARVEST_API_URL": [f"https://{address}", address, f"https://x/v2?token={MISPLACED}"],
        "HARVEST_ID_URL": [f"https://[{address}", MISPLACED, f"http://x/v2/{MISPLACED}"],
        "HARVEST_DUCKDB": [f"md:harvest?motherduck_token={PASSWORD}"],
        **{
            f"HARVEST_{name}": [MISPLACED]
            for name in ("SCHEMA", "START_DATE", "TIMEZONE", "DAYS_BACK", "TOKEN_STORE")
        },
    }
    for variable, values in misplaced.items():
        for value in values:
            of_account = variable in ("HARVEST_ACCOUNT_ID", "HARVEST_INSTANCE")
            environment = {"HARVEST_ACCOUNT_ID": ""} if of_account else NOTHING
            yield Failure(f"secret in {variable}", variable, {**environment, variable: value})
    offline = ("doctor", "--offline")
    at_once = {variable: values[0] for variable, values in misplaced.items()}
    for command in (offline, ("accounts",), ("sync", "clients"), ("dev",)):
        yield Failure(f"{command}, all misplaced", "HARVEST_", at_once, command=command)
    file = folder / "harvest.yaml"
    configured = {**NOTHING, "HARVEST_CONFIG": str(file)}
    for line in (
        f"access_token: {MISPLACED}",
        f"account_id: {MISPLACED}",
        f"instance: {MISPLACED}",
        f"instance: *{run_of('token in the wrong place')}",
        f"instance: !{run_of('token in the wrong place')} x",
        f"{MISPLACED}: x",
    ):
        files = {file: f"accounts:\n  - name: acme\n    {line}\n"}
        for command in ((), offline):
            yield Failure(f"{line[:15]} in a file {command}", r"harvest\.yaml", configured,
                          files=files, command=command)  # fmt: skip
    yield Failure(
        "wrong token of acme",
        "HARVEST_ACME_ACCESS_TOKEN",
        {**configured, "HARVEST_ACCOUNT_ID": None, "HARVEST_ACME_ACCESS_TOKEN": TOKEN},
        files={file: f"accounts:\n  - {{name: acme, account_id: {sandbox.account_id}}}\n"},
        account="acme",
    )
    dotenv = {folder / "project" / ".env": f"HARVEST_ACCESS_TOKEN='{DOTENV_TOKEN}'\n"}
    yield Failure("token in .env", "HARVEST_ACCESS_TOKEN", files=dotenv)
    for resource, name in (("harvest", "access_token"), ("io_manager", "database")):
        config = {"resources": {resource: {"config": {name: LAUNCHED}}}}
        yield Failure(f"launch that changes {resource}", "launch", run_config=config)


def _of_commands() -> Iterator[Failure]:
    """What the commands say of a secret that is wrong, or in the wrong place."""
    repeated = (answer("/accounts", 422, TOKEN),)
    yield Failure("connect, wrong token", "", NOTHING, command=CONNECT, typed=TOKEN)
    yield Failure("connect, repeated", "", NOTHING, repeated, command=CONNECT, typed=TOKEN)
    for why, token in MALFORMED.items():
        yield Failure(f"connect, {why}", "", NOTHING, command=CONNECT, typed=f"{token}x")
    refused = (answer("/oauth2/token", 400, REFRESH_TOKEN),)
    for command in (("doctor",), ("doctor", "--json"), ("sync", "clients"), ("accounts", "test")):
        yield Failure(f"{command}, wrong token", "", WITH_TOKEN, command=command)
        yield Failure(f"{command}, refused grant", "", OAUTH, refused, command=command)
    yield Failure("accounts", "", OAUTH, command=("accounts", "--json"), fails=False)
    for command in (
        ("connect", "--token", TOKEN),
        ("reports", "--account", TOKEN),
        ("verify", "--account", TOKEN),
        ("sync", TOKEN),
        *(
            ("sync", f"--{option}", TOKEN)
            for option in ("project-ids", "from", "updated-since", "invoice-status", "account")
        ),
    ):
        yield Failure(f"a token after {command[:-1]}", "", NOTHING, command=command)


def _of_stores(sandbox: SandboxServer, folder: Path) -> Iterator[Failure]:
    """Stored accounts whose token is refused, or that are damaged, open, or in a keyring."""
    token = sandbox.tokens["administrator"]
    store = folder / "stores" / "usual"
    stored = {**NOTHING, "HARVEST_TOKEN_STORE": str(store)}
    keyring = {**NOTHING, "HARVEST_TOKEN_STORE": "keyring"}
    fails = {**keyring, "TEST_KEYRING_FAILS": "1"}
    yield Failure("keyring that tells", "keyring", fails, command=CONNECT, typed=token)
    for environment in (stored, keyring):
        name = environment["HARVEST_TOKEN_STORE"][-7:]
        refused = (answer("/", 401, token),)
        yield Failure(f"connect to {name}", "", environment, command=CONNECT, typed=token,
                      fails=False)  # fmt: skip
        yield Failure(f"run of {name}", "", environment, fails=False)
        yield Failure(f"run of {name}, refused", "", environment, refused)
        yield Failure(f"test of {name}", "", environment, refused, command=("accounts", "test"))
    remove = ("accounts", "remove", "harvest")
    yield Failure("removal", "", keyring, command=remove, fails=False)
    for command in ((), ("accounts",)):
        # play.py cuts what is stored in half.
        yield Failure(f"half a store, {command}", "", stored, command=command)


def _of_shared_state(sandbox: SandboxServer, address: str) -> Iterator[Failure]:
    """Machines share a database, which refuses them, is away, or keeps what this one cannot
    read."""
    token = sandbox.tokens["administrator"]
    shared = {**NOTHING, "HARVEST_STATE": address, "HARVEST_STATE_KEY": STATE_KEY}
    refused = (answer("/", 401, token),)
    yield Failure("connect, shared", "", shared, command=CONNECT, typed=token, fails=False)
    yield Failure("run, shared", "", shared, fails=False)
    yield Failure("run, shared and refused", "", shared, refused)
    with_password = address.replace("@", f":{OF_DATABASE}@")
    for name, changed in {
        "another key": {"HARVEST_STATE_KEY": OTHER_KEY},
        "a key that is none": {"HARVEST_STATE_KEY": f"{STATE_KEY},{MISPLACED}"},
        "no key": {"HARVEST_STATE_KEY": ""},
        "a password in the address": {"HARVEST_STATE": with_password},
        "a password after the address": {"HARVEST_STATE": f"{address}?password={OF_DATABASE}"},
        "no address": {"HARVEST_STATE": MISPLACED},
        # Another address, so that no connection is open yet.
        "a wrong password": {"HARVEST_STATE": f"{address}?", "PGPASSWORD": WRONG_PASSWORD},
        "nobody answers": {"HARVEST_STATE": "postgresql://harvest@127.0.0.1:1/harvest"},
    }.items():
        for command in ((), ("doctor", "--offline"), ("accounts", "test"), ("sync", "clients")):
            yield Failure(f"{name} {command}", "HARVEST_STATE", {**shared, **changed},
                          command=command)  # fmt: skip
