"""`harvest-pipeline accounts`: what is listed, tested and removed."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harvest_pipeline.harvest.oauth import TokenSet
from harvest_pipeline.harvest.token_store import TokenStore
from harvest_pipeline.harvest.vaults import FileVault
from harvest_pipeline.sandbox.oauth import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from harvest_pipeline_tests.cli.connect.person import Person
from harvest_pipeline_tests.harvest.connected import account_of
from harvest_pipeline_tests.sandbox.server import SandboxServer

EXPIRES = datetime(2030, 1, 31, 12, 30, tzinfo=UTC)
TOKEN_PATH, ME = "/api/v2/oauth2/token", "/v2/users/me"
APPLICATION = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
VARIABLES = {
    "HARVEST_CLIENT_ID": CLIENT_ID,
    "HARVEST_CLIENT_SECRET": CLIENT_SECRET,
    "HARVEST_REFRESH_TOKEN": REFRESH_TOKEN,
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(years=0.1, scale=0.3, rate_limit=None) as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(FileVault(tmp_path / "store"), "file")


@pytest.fixture
def person(sandbox: SandboxServer, store: TokenStore) -> Person:
    """A person who has connected two accounts: `acme` by OAuth 2, `token` with a token."""
    oauth = TokenSet(
        access_token="access-canary-4711",
        expires_at=EXPIRES.timestamp(),
        refresh_token=REFRESH_TOKEN,
        **APPLICATION,
    )
    token = TokenSet(access_token=sandbox.tokens["manager"])
    for name, tokens, instance in (("acme", oauth, "northlight"), ("token", token, None)):
        account_id = str(sandbox.account_id)
        store.save(
            account_of(
                sandbox.id_url, name=name, account_id=account_id, instance=instance, tokens=tokens
            )
        )
    sandbox.account.request_log.clear()
    return Person(store.vault.folder, sandbox)


def test_the_list_tells_what_is_known_and_asks_nothing(
    person: Person, sandbox: SandboxServer
) -> None:
    listed = person.run("accounts", COLUMNS="140")
    assert listed.code == 0
    header, _, acme, token = listed.output.splitlines()
    assert header.split() == [
        "name",
        "company",
        "account",
        "read",
        "as",
        "credential",
        "kept",
        "in",
    ]
    for fact in ("acme", "Acme Ltd", "northlight", str(sandbox.account_id), "file"):
        assert fact in acme
    assert "Ada Okafor, administrator  OAuth 2, renewed by itself" in acme
    assert "token, until it is revoked" in token
    assert sandbox.account.request_log.paths() == []


def test_the_list_for_programs_holds_no_secret(person: Person, sandbox: SandboxServer) -> None:
    listed = person.run("accounts", "--json")
    acme, token = json.loads(listed.output)
    assert (acme["name"], acme["kind"], acme["kept_in"]) == ("acme", "oauth2", "file")
    assert datetime.fromisoformat(acme["expires_at"]) == EXPIRES
    assert datetime.fromisoformat(acme["connected_at"]) < datetime.now(UTC)
    assert (token["instance"], token["expires_at"]) == (None, None)
    for secret in ("canary", CLIENT_SECRET, REFRESH_TOKEN, sandbox.tokens["manager"]):
        assert secret not in listed.output


def test_the_account_of_the_environment_is_listed_and_wins(person: Person) -> None:
    variables = {"HARVEST_ACCESS_TOKEN": "pat-canary", "HARVEST_ACCOUNT_ID": "4711"}
    listed = person.run("accounts", HARVEST_SCHEMA="acme", COLUMNS="140", **variables)
    environment, *_ = listed.output.splitlines()[2:]
    assert re.split(" {2,}", environment) == [
        *("acme", "4711", "token, until it is revoked", "environment")
    ]
    assert "Credentials in the environment win" in listed.output
    assert "canary" not in listed.output
    # An application alone is no account: `connect` needs it too.
    application = {**VARIABLES, "HARVEST_REFRESH_TOKEN": ""}
    assert "environment" not in person.run("accounts", **application).output


def test_an_account_that_cannot_be_read_is_listed_with_the_reason_and_can_be_removed(
    person: Person,
) -> None:
    path = person.store / "accounts.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "acme": {"token": "x"}}))
    listed = person.run("accounts")
    assert listed.code == 1
    assert "unusable, see below" in listed.output
    assert "harvest-pipeline connect --name acme" in listed.output
    assert "until it is revoked" in listed.output
    assert person.run("accounts", "remove", "acme").code == 0
    assert person.stored() == ["token"]


def test_a_test_costs_one_request_and_two_where_the_token_is_renewed(
    person: Person, sandbox: SandboxServer, store: TokenStore
) -> None:
    tested = person.run("accounts", "test", "token")
    assert (tested.code, sandbox.account.request_log.paths()) == (0, [ME])
    assert tested.output.startswith("token: ok; ")
    assert "manager of Acme Ltd" in tested.output
    store.keep("acme", TokenSet(refresh_token=REFRESH_TOKEN, **APPLICATION))
    sandbox.account.request_log.clear()
    assert person.run("accounts", "test", "acme").code == 0
    assert sandbox.account.request_log.paths() == [TOKEN_PATH, ME]


def test_a_test_tells_each_account_and_fails_if_one_does(person: Person, store: TokenStore) -> None:
    store.keep("acme", TokenSet(refresh_token=REFRESH_TOKEN, **APPLICATION))
    store.keep("token", TokenSet(access_token="revoked-canary"))
    tested = person.run("accounts", "test")
    acme, token = tested.output.splitlines()
    assert tested.code == 1
    assert acme.startswith("acme: ok; ")
    assert token.startswith("token: Harvest does not accept the token of the stored account token")
    assert "canary" not in tested.output


@pytest.mark.parametrize("action", ["remove", "test"])
def test_an_unknown_name_is_told_with_the_known_ones(action: str, person: Person) -> None:
    asked = person.run("accounts", action, "acne")
    assert asked.code == 1
    assert asked.output == "Error: No account is connected as 'acne'; there are: acme, token.\n"
    assert person.stored() == ["acme", "token"]


def test_what_a_variable_was_renewed_to_is_no_connected_account_and_can_be_removed(
    sandbox: SandboxServer, store: TokenStore
) -> None:
    person = Person(store.vault.folder, sandbox)
    person.environment |= {**VARIABLES, "HARVEST_ACCOUNT_ID": str(sandbox.account_id)}
    assert person.run("doctor").output.count("HARVEST_REFRESH_TOKEN") > 0
    assert len(person.stored()) == 1
    (row,) = json.loads(person.run("accounts", "--json").output)
    assert (row["name"], row["kept_in"], row["kind"]) == ("harvest", "environment", "oauth2")
    assert person.run("accounts", "test").output.startswith("harvest: ok; ")
    removed = person.run("accounts", "remove", "harvest").output
    assert removed.startswith("What HARVEST_REFRESH_TOKEN was renewed to is removed")
    assert person.stored() == []
    again = person.run("accounts", "remove", "harvest")
    assert again.code == 1
    assert "it is read with HARVEST_REFRESH_TOKEN; remove that from" in again.output


def test_the_list_and_its_test_are_about_the_same_accounts(
    person: Person, sandbox: SandboxServer, tmp_path: Path
) -> None:
    """Those of variables, those that are declared and have no credentials, and the stored ones."""
    config = tmp_path / "harvest.yaml"
    names = ("acme", "blue", "cedar")
    config.write_text("accounts:\n" + "".join(f"  - name: {name}\n" for name in names))
    person.environment |= {
        "HARVEST_CONFIG": str(config),
        "HARVEST_BLUE_ACCESS_TOKEN": sandbox.tokens["member"],
    }
    rows = json.loads(person.run("accounts", "--json").output)
    assert {row["name"]: row["kept_in"] for row in rows} == {
        "blue": "environment",
        "cedar": None,
        "acme": "file",
        "token": "file",
    }
    (cedar,) = (row for row in rows if row["name"] == "cedar")
    assert cedar["problem"].startswith("No Harvest credentials for cedar: run `harvest-pipeline")
    assert "none, see below" in person.run("accounts").output
    tested = person.run("accounts", "test")
    told = dict(line.split(": ", 1) for line in tested.output.splitlines())
    assert (tested.code, told.keys()) == (1, {"acme", "blue", "cedar", "token"})
    assert told["cedar"] == cedar["problem"]
    assert told["blue"].startswith("ok; ") and "member of account" in told["blue"]
    assert person.run("accounts", "test", "blue").code == 0
