"""Accounts, consent and tokens of the identity host."""

import base64
import hashlib
import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.visitor import TODAY, Visitor
from harvest_pipeline_tests.waiting import PATIENCE

REDIRECT = "http://127.0.0.1:8123/callback"
AGENT = {"User-Agent": "tests (tests@fernhill.example)"}


@pytest.fixture(scope="module")
def two_accounts() -> Iterator[SandboxServer]:
    with SandboxServer(today=TODAY, years=0.1, accounts=2, rate_limit=None) as server:
        yield server


def consent(sandbox: SandboxServer, decision: str, account: str = "all", **params: str):
    """Fill in the form of the consent page and send it; the query of the redirect."""
    asked = {
        "client_id": sandbox.client_id,
        "response_type": "code",
        "redirect_uri": REDIRECT,
        **params,
    }
    page = requests.get(f"{sandbox.id_url}/oauth2/authorize", params=asked, timeout=PATIENCE)
    assert page.status_code == 200
    fields = {
        name: unescape(value)
        for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text)
    }
    assert fields == asked
    answer = requests.post(
        f"{sandbox.id_url}/oauth2/authorize",
        data={**fields, "account": account, "decision": decision},
        allow_redirects=False,
        timeout=PATIENCE,
    )
    assert answer.status_code == 302
    location = urlsplit(answer.headers["Location"])
    assert f"{location.scheme}://{location.netloc}{location.path}" == REDIRECT
    return {name: values[0] for name, values in parse_qs(location.query).items()}


def token(sandbox: SandboxServer, as_json: bool = False, **fields: str) -> requests.Response:
    address = f"{sandbox.id_url}/api/v2/oauth2/token"
    sent = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret, **fields}
    body: dict[str, Any] = {"json": sent} if as_json else {"data": sent}
    return requests.post(address, **body, headers=AGENT, timeout=PATIENCE)


def bearer(answer: requests.Response) -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    return {**AGENT, "Authorization": f"Bearer {answer.json()['access_token']}"}


def test_a_personal_token_reaches_all_accounts_and_a_forecast_one(
    two_accounts: SandboxServer,
) -> None:
    answer = Visitor(two_accounts).read(f"{two_accounts.id_url}/api/v2/accounts")
    assert list(answer) == ["user", "accounts"]
    assert list(answer["user"]) == ["id", "first_name", "last_name", "email"]
    assert [account["product"] for account in answer["accounts"]] == [
        "harvest",
        "harvest",
        "forecast",
    ]
    ids = [account["id"] for account in answer["accounts"]]
    assert ids[:2] == [account.id for account in two_accounts.accounts]
    assert len(set(ids)) == 3


def test_allowing_one_account_leads_to_a_token_for_it_alone(two_accounts: SandboxServer) -> None:
    first, second = (str(account.id) for account in two_accounts.accounts)
    back = consent(two_accounts, "allow", second, state="a & b=c/ü")
    assert (back["scope"], back["state"]) == (f"harvest:{second}", "a & b=c/ü")
    once = {"grant_type": "authorization_code", "code": back["code"]}
    answer = token(two_accounts, as_json=True, **once)
    assert list(answer.json()) == ["access_token", "refresh_token", "token_type", "expires_in"]
    assert token(two_accounts, **once).json()["error"] == "invalid_grant"
    headers = bearer(answer)
    accounts = requests.get(
        f"{two_accounts.id_url}/api/v2/accounts", headers=headers, timeout=PATIENCE
    )
    assert [str(account["id"]) for account in accounts.json()["accounts"]] == [second]
    for account_id, status in ((first, 404), (second, 200)):
        own = {**headers, "Harvest-Account-Id": account_id}
        answer = requests.get(f"{two_accounts.api_url}/users/me", headers=own, timeout=PATIENCE)
        assert answer.status_code == status


@pytest.mark.parametrize("method", ["S256", "plain"])
def test_the_verifier_must_fit_the_challenge(two_accounts: SandboxServer, method: str) -> None:
    verifier = "v" * 50
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    challenge = digest.decode() if method == "S256" else verifier
    sent = {"code_challenge": challenge, "code_challenge_method": method}

    def exchange(**fields: str) -> int:
        code = consent(two_accounts, "allow", **sent)["code"]
        grant = {"grant_type": "authorization_code", "code": code}
        return token(two_accounts, **grant, **fields).status_code

    assert exchange(code_verifier=verifier) == 200
    assert exchange(code_verifier="w" * 50) == 400
    assert exchange() == 400


def test_a_redirect_must_stay_on_this_machine(two_accounts: SandboxServer) -> None:
    for redirect in ("https://evil.example/", "http://127.0.0.1.evil.example/", "", "javascript:1"):
        asked = {"client_id": two_accounts.client_id, "redirect_uri": redirect}
        answer = requests.get(
            f"{two_accounts.id_url}/oauth2/authorize", params=asked, timeout=PATIENCE
        )
        assert answer.status_code == 400
    assert consent(two_accounts, "deny", state="s") == {"error": "access_denied", "state": "s"}
    wrong = {"client_id": "somebody", "redirect_uri": REDIRECT}
    answer = requests.get(f"{two_accounts.id_url}/oauth2/authorize", params=wrong, timeout=PATIENCE)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "wrong"}, 401, "invalid_client"),
        ({"refresh_token": "wrong"}, 400, "invalid_grant"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "authorization_code", "code": "wrong"}, 400, "invalid_grant"),
    ],
)
def test_a_wrong_token_request_is_refused(
    fields: dict[str, str], status: int, error: str, two_accounts: SandboxServer
) -> None:
    right = {"grant_type": "refresh_token", "refresh_token": two_accounts.refresh_token}
    answer = token(two_accounts, **{**right, **fields})
    assert answer.status_code == status
    assert answer.json()["error"] == error
    assert answer.json()["error_description"]


def test_an_access_token_expires_with_the_sandbox_s_clock(own_sandbox: SandboxServer) -> None:
    grant = {"grant_type": "refresh_token", "refresh_token": own_sandbox.refresh_token}
    first = token(own_sandbox, **grant)
    assert first.json()["refresh_token"] == own_sandbox.refresh_token
    headers = bearer(first)
    address = f"{own_sandbox.id_url}/api/v2/accounts"
    own_sandbox.account.clock.advance(1209600 - 60)
    assert requests.get(address, headers=headers, timeout=PATIENCE).status_code == 200
    own_sandbox.account.clock.advance(60)
    assert requests.get(address, headers=headers, timeout=PATIENCE).status_code == 401
    assert requests.get(address, headers=bearer(token(own_sandbox, **grant)), timeout=PATIENCE).ok


def test_a_rotated_refresh_token_that_is_used_again_revokes_all() -> None:
    with SandboxServer(
        today=TODAY, years=0.1, rate_limit=None, rotate_refresh_tokens=True
    ) as sandbox:
        old = {"grant_type": "refresh_token", "refresh_token": sandbox.refresh_token}
        first = token(sandbox, **old)
        new = {**old, "refresh_token": first.json()["refresh_token"]}
        assert new != old
        second = token(sandbox, **new)
        address = f"{sandbox.id_url}/api/v2/accounts"
        assert requests.get(address, headers=bearer(second), timeout=PATIENCE).status_code == 200
        assert token(sandbox, **old).json()["error"] == "invalid_grant"
        assert requests.get(address, headers=bearer(second), timeout=PATIENCE).status_code == 401
        newest = {**old, "refresh_token": second.json()["refresh_token"]}
        assert token(sandbox, **newest).json()["error"] == "invalid_grant"
