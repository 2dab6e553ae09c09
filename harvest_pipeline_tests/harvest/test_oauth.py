"""Consent in the browser and the code that comes of it (REFERENCE 2.2)."""

import base64
import hashlib
import re
from collections.abc import Callable
from html import unescape
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit

import pytest
import requests

from harvest_pipeline.harvest.errors import (
    AuthorizationInvalid,
    AuthorizationRefused,
    CredentialsMalformed,
    HarvestUnavailable,
    TokenRejected,
)
from harvest_pipeline.harvest.http import Transport
from harvest_pipeline.harvest.oauth import Application, Authorization, exchange_code, refresh
from harvest_pipeline_tests import waiting
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.conftest import PATIENCE
from harvest_pipeline_tests.harvest.fault_server import FaultServer
from harvest_pipeline_tests.sandbox.server import SandboxServer

ID_URL = "https://id.getharvest.com"
REDIRECT = "http://127.0.0.1:7358/callback"
APPLICATION = Application("an-id", "a-secret")


@pytest.fixture(scope="module")
def sandbox():
    with SandboxServer(years=0.1, rate_limit=None) as server:
        yield server


@pytest.fixture
def transport():
    with_agent = Transport("harvest_pipeline/tests (tests@example.com)", PATIENCE)
    yield with_agent
    with_agent.close()


def asked(authorization: Authorization) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(authorization.url).query))


def state_of(authorization: Authorization) -> str:
    return asked(authorization)["state"]


def allowed(authorization: Authorization) -> str:
    """Open the address and click Allow; the address to which the browser is sent."""
    page = requests.get(authorization.url, timeout=waiting.PATIENCE).text
    fields = {
        name: unescape(value)
        for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)
    }
    url = authorization.url.partition("?")[0]
    answer = requests.post(
        url, data={**fields, "decision": "allow"}, allow_redirects=False, timeout=10
    )
    return answer.headers["Location"]


def sandbox_application(sandbox: SandboxServer) -> Application:
    return Application(sandbox.client_id, sandbox.client_secret)


def test_the_address_asks_for_a_code_with_state_and_challenge() -> None:
    authorization = Authorization(APPLICATION, f"{ID_URL}/", REDIRECT)
    address = urlsplit(authorization.url)
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{ID_URL}/oauth2/authorize"
    question = parse_qs(address.query, strict_parsing=True)
    digest = hashlib.sha256(authorization.code_verifier.encode()).digest()
    assert {name: values for name, values in question.items() if name != "state"} == {
        "client_id": ["an-id"],
        "response_type": ["code"],
        "redirect_uri": [REDIRECT],
        "code_challenge": [base64.urlsafe_b64encode(digest).decode().rstrip("=")],
        "code_challenge_method": ["S256"],
    }
    assert re.fullmatch(r"[\w.~-]{43,128}", authorization.code_verifier)  # RFC 7636 4.1
    assert "a-secret" not in authorization.url
    assert authorization.code_verifier not in authorization.url


def test_every_question_has_a_state_and_a_verifier_of_its_own() -> None:
    questions = [Authorization(APPLICATION, ID_URL, REDIRECT) for _ in range(100)]
    states = {state_of(question) for question in questions}
    assert len(states) == len({question.code_verifier for question in questions}) == 100
    assert min(map(len, states)) * 6 >= 128  # base64 has 6 bits a letter


@pytest.mark.parametrize(
    "form",
    [
        lambda query: dict(parse_qsl(query)),
        lambda query: f"/callback?{query}",
        lambda query: f"  {REDIRECT}?{query}\n",
    ],
    ids=["parameters", "target", "pasted address"],
)
def test_the_code_of_the_right_answer_is_taken_once(form: Callable[[str], object]) -> None:
    authorization = Authorization(APPLICATION, ID_URL, REDIRECT)
    answer = form(f"code=abc&scope=harvest%3Aall&state={state_of(authorization)}")
    assert authorization.code_from(answer) == "abc"  # type: ignore[arg-type]
    with pytest.raises(AuthorizationInvalid, match="taken already"):
        authorization.code_from(answer)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "answer",
    [
        "/callback?code=abc",
        "/callback?code=abc&state=",
        "/callback?code=abc&state=another",
        "/callback?code=abc&state=STATE&state=STATE",
        "/callback?code=abc&state=%C3%A9",
        "/callback?error=access_denied&state=another",
        "/callback?code=abc&state=STATEx",
        "code=abc&state=STATE",
        "http://[",
        "",
    ],
)
def test_an_answer_with_another_state_is_not_believed(answer: str) -> None:
    authorization = Authorization(APPLICATION, ID_URL, REDIRECT)
    answer = answer.replace("STATE", state_of(authorization))
    with pytest.raises(AuthorizationInvalid, match="does not belong to this request"):
        authorization.code_from(answer)
    with pytest.raises(AuthorizationInvalid, match="taken already"):  # no second guess
        authorization.code_from({"code": "abc", "state": state_of(authorization)})


@pytest.mark.parametrize("code", ["", "&code=", "&code=a&code=b", "&code=a%20b", "&code=a%0Ab"])
def test_an_answer_without_a_code_is_invalid(code: str) -> None:
    authorization = Authorization(APPLICATION, ID_URL, REDIRECT)
    with pytest.raises(AuthorizationInvalid, match="no code"):
        authorization.code_from(f"/callback?state={state_of(authorization)}{code}")


@pytest.mark.parametrize("with_state", [True, False])
def test_a_refusal_is_told_as_one(with_state: bool) -> None:
    authorization = Authorization(APPLICATION, ID_URL, REDIRECT)
    state = {"state": state_of(authorization)} if with_state else {}
    with pytest.raises(AuthorizationRefused, match="refused on Harvest's page"):
        authorization.code_from({"error": "access_denied", **state})


def test_another_error_is_repeated_in_one_harmless_line() -> None:
    authorization = Authorization(APPLICATION, ID_URL, REDIRECT)
    description = quote("no\r\n\x1b[31mway")
    with pytest.raises(AuthorizationRefused, match=r"\(server_error: no \[31mway\)") as caught:
        authorization.code_from(
            f"/?error=server_error&error_description={description}&state={state_of(authorization)}"
        )
    assert str(caught.value).isprintable()


def test_a_code_leads_to_tokens_that_can_be_renewed(
    sandbox: SandboxServer, transport: Transport
) -> None:
    application = sandbox_application(sandbox)
    authorization = Authorization(application, sandbox.id_url, REDIRECT)
    code = authorization.code_from(allowed(authorization))
    tokens = exchange_code(transport, sandbox.id_url, application, code, authorization)
    assert tokens.refresh_token and tokens.expires_at and tokens.renew_at
    assert tokens.expires_at - tokens.renew_at == pytest.approx(120)
    again = refresh(transport, sandbox.id_url, application, tokens.refresh_token)
    assert again.access_token != tokens.access_token
    with pytest.raises(AuthorizationInvalid, match="expired or has been used already; run"):
        exchange_code(transport, sandbox.id_url, application, code, authorization)


def test_a_code_is_of_no_use_without_the_verifier(
    sandbox: SandboxServer, transport: Transport
) -> None:
    application = sandbox_application(sandbox)
    authorization = Authorization(application, sandbox.id_url, REDIRECT)
    code = authorization.code_from(allowed(authorization))
    thief = Authorization(application, sandbox.id_url, REDIRECT)
    with pytest.raises(AuthorizationInvalid):
        exchange_code(transport, sandbox.id_url, application, code, thief)


def test_a_wrong_client_secret_is_told_without_showing_it(
    sandbox: SandboxServer, transport: Transport
) -> None:
    authorization = Authorization(sandbox_application(sandbox), sandbox.id_url, REDIRECT)
    code = authorization.code_from(allowed(authorization))
    wrong = Application(sandbox.client_id, "wrong-canary")
    with pytest.raises(TokenRejected, match="HARVEST_CLIENT_SECRET") as caught:
        exchange_code(transport, sandbox.id_url, wrong, code, authorization)
    assert "wrong-canary" not in str(caught.value)


def test_a_code_is_sent_once_even_if_the_answer_is_lost(transport: Transport) -> None:
    with FaultServer(fault.script(fault.reset)) as server:
        authorization = Authorization(APPLICATION, server.url, REDIRECT)
        with pytest.raises(HarvestUnavailable):
            exchange_code(transport, server.url, APPLICATION, "abc", authorization)
        assert len(server.requests) == 1
        assert dict(parse_qsl(server.requests[0].body.decode())) == {
            "client_id": "an-id",
            "client_secret": "a-secret",
            "grant_type": "authorization_code",
            "code": "abc",
            "redirect_uri": REDIRECT,
            "code_verifier": authorization.code_verifier,
        }
        assert server.requests[0].query == {}


@pytest.mark.parametrize("field", ["client_id", "client_secret"])
def test_a_malformed_application_is_named(field: str) -> None:
    given = {"client_id": "id", "client_secret": "secret", field: "cana\nry"}
    with pytest.raises(CredentialsMalformed, match=f"HARVEST_{field.upper()}"):
        Application(**given)
