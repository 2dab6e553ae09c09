"""`harvest-pipeline accounts`: what is listed, tested and removed."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harvest_pipeline.accounts.store import AccountStore
from harvest_pipeline.accounts.stored import Secrets, StoredAccount
from harvest_pipeline.sandbox.oauth import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from harvest_pipeline_tests.connect.person import Person
from harvest_pipeline_tests.sandbox.server import SandboxServer

EXPIRES = datetime(2030, 1, 31, 12, 30, tzinfo=UTC)
CONNECTED = datetime(2026, 11, 22, tzinfo=UTC)
TOKEN_PATH, ME = "/api/v2/oauth2/token", "/v2/users/me"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(years=0.1, scale=0.3, rate_limit=None) as server:
        yield server


@pytest.fixture
def person(sandbox: SandboxServer, tmp_path: Path) -> Person:
    """A person who has connected two accounts: `acme` by OAuth 2, `token` with a token."""
    person = Person(tmp_path / "store", sandbox)
    store = AccountStore.from_environment(person.environment)
    for name, secrets in (
        (
            "acme",
            Secrets(
                access_token="access-canary-4711",
                expires_at=EXPIRES.timestamp(),
                renew_at=EXPIRES.timestamp(),
                client_id=CLIENT_ID,
                client_secret=CLIENT_SECRET,
                refresh_token=REFRESH_TOKEN,
            ),
        ),
        ("token", Secrets(access_token=sandbox.tokens["manager"])),
    ):
        store.save(
            StoredAccount(
                name=name,
                kind="oauth2" if secrets.refresh_token else "token",
                api_url=sandbox.api_url,
                id_url=sandbox.id_url,
                account_id=str(sandbox.account_id),
                account_name="Northlight Studio",
                instance="northlight" if secrets.refresh_token else None,
                user_name="Somebody Else",
                role="administrator",
                connected_at=CONNECTED,
                vault="file",
            ),
            secrets,
        )
    sandbox.account.request_log.clear()
    return person


def test_the_list_tells_what_is_known_and_asks_nothing(
    person: Person, sandbox: SandboxServer
) -> None:
    listed = person.run("accounts")
    assert listed.code == 0
    header, _, acme, token = listed.output.splitlines()
    assert "account id" in header
    for fact in ("acme", "Northlight Studio", "northlight", str(sandbox.account_id), "file"):
        assert fact in acme
    assert "Somebody Else  administrator  OAuth 2" in acme
    assert "2030-01-31 12:30 UTC, renewed by itself" in acme
    assert "token         when revoked" in token
    assert sandbox.account.request_log.paths() == []


def test_the_list_for_programs_holds_no_secret(person: Person, sandbox: SandboxServer) -> None:
    listed = person.run("accounts", "--json")
    acme, token = json.loads(listed.output)
    assert (acme["name"], acme["kind"], acme["kept_in"]) == ("acme", "oauth2", "file")
    assert datetime.fromisoformat(acme["expires_at"]) == EXPIRES
    assert datetime.fromisoformat(acme["connected_at"]) == CONNECTED
    assert (token["instance"], token["expires_at"]) == (None, None)
    for secret in ("canary", CLIENT_SECRET, REFRESH_TOKEN, sandbox.tokens["manager"]):
        assert secret not in listed.output


def test_the_account_of_the_environment_is_listed_and_wins(person: Person) -> None:
    variables = {"HARVEST_ACCESS_TOKEN": "pat-canary", "HARVEST_ACCOUNT_ID": "4711"}
    listed = person.run("accounts", HARVEST_SCHEMA="acme", **variables)
    environment, *_ = listed.output.splitlines()[2:]
    assert environment.split() == ["acme", "4711", "token", "when", "revoked", "environment"]
    assert "Credentials in the environment win" in listed.output
    assert "canary" not in listed.output


def test_an_application_alone_is_no_account(person: Person) -> None:
    listed = person.run("accounts", HARVEST_CLIENT_ID=CLIENT_ID, HARVEST_CLIENT_SECRET="x")
    assert "environment" not in listed.output


def test_an_account_whose_secret_is_gone_is_listed_with_the_reason(person: Person) -> None:
    (person.store / "acme.secret").unlink()
    listed = person.run("accounts")
    assert listed.code == 1
    assert "unusable, see below" in listed.output
    assert "harvest-pipeline connect --name acme" in listed.output
    assert "when revoked" in listed.output


def test_a_test_costs_one_request_and_two_where_the_token_is_renewed(
    person: Person, sandbox: SandboxServer
) -> None:
    tested = person.run("accounts", "test", "token")
    assert (tested.code, sandbox.account.request_log.paths()) == (0, [ME])
    assert tested.output.startswith("token: ok; ")
    assert "manager of Northlight Studio" in tested.output
    store = AccountStore.from_environment(person.environment)
    account = store.find("acme")
    assert account
    ended = Secrets(client_id=CLIENT_ID, client_secret=CLIENT_SECRET, refresh_token=REFRESH_TOKEN)
    store.save(account, ended)
    sandbox.account.request_log.clear()
    assert person.run("accounts", "test", "acme").code == 0
    assert sandbox.account.request_log.paths() == [TOKEN_PATH, ME]


def test_a_test_writes_down_a_role_and_a_name_that_changed(person: Person) -> None:
    assert "administrator" in (person.store / "token.json").read_text()
    assert person.run("accounts", "test", "token").code == 0
    stored = json.loads((person.store / "token.json").read_text())
    assert stored["role"] == "manager"
    assert stored["user_name"] != "Somebody Else"


def test_a_test_tells_each_account_and_fails_if_one_does(person: Person) -> None:
    store = AccountStore.from_environment(person.environment)
    account = store.find("token")
    assert account
    store.save(account, Secrets(access_token="revoked-canary"))
    tested = person.run("accounts", "test")
    acme, token = tested.output.splitlines()
    assert tested.code == 1
    assert acme.startswith("acme: ok; ")
    assert token.startswith("token: Harvest does not accept the token of the stored account token")
    assert "canary" not in tested.output


def test_a_token_is_not_sent_to_other_hosts_than_it_came_from(
    person: Person, sandbox: SandboxServer
) -> None:
    with SandboxServer(years=0.1, scale=0.3) as other:
        tested = person.run(
            "accounts", "test", HARVEST_API_URL=other.api_url, HARVEST_ID_URL=other.id_url
        )
        assert other.account.request_log.paths() == []
    assert tested.code == 1
    assert f"connected at {sandbox.api_url}" in tested.output


def test_removing_takes_the_entry_and_the_secret_of_that_account_only(person: Person) -> None:
    assert person.run("accounts", "remove", "acme").code == 0
    assert person.stored() == ["token.json", "token.secret"]


def test_a_damaged_entry_can_be_removed(person: Person) -> None:
    (person.store / "acme.json").write_text("{")
    listed = person.run("accounts")
    assert listed.code == 1
    assert "harvest-pipeline accounts remove acme" in listed.output
    assert person.run("accounts", "remove", "acme").code == 0
    assert person.stored() == ["token.json", "token.secret"]


@pytest.mark.parametrize("action", ["remove", "test"])
def test_an_unknown_name_is_told_with_the_known_ones(action: str, person: Person) -> None:
    asked = person.run("accounts", action, "acne")
    assert asked.code == 1
    assert asked.output == "Error: No account is connected as 'acne'; there are: acme, token.\n"
    assert len(person.stored()) == 4
