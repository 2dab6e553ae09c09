"""A person's consent in the browser, and the code and tokens that come of it."""

import base64
import hashlib
import re
from html import unescape
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import requests

from harvest_pipeline.harvest.errors import (
    AuthorizationInvalid,
    AuthorizationRefused,
    HarvestUnavailable,
    TokenRejected,
)
from harvest_pipeline.harvest.http import Transport
from harvest_pipeline.harvest.oauth import Consent, renewed
from harvest_pipeline_tests import waiting
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.conftest import PATIENCE
from harvest_pipeline_tests.harvest.fault_server import FaultServer
from harvest_pipeline_tests.sandbox.server import SandboxServer

ID_URL = "https://id.getharvest.com"
REDIRECT = "http://127.0.0.1:7358/callback"


@pytest.fixture(scope="module")
def sandbox():
    with SandboxServer(years=0.1, rate_limit=None) as server:
        yield server


@pytest.fixture
def transport():
    with_agent = Transport("harvest_pipeline/tests (tests@example.com)", PATIENCE, print)
    yield with_agent
    with_agent.close()


@pytest.fixture
def consent(sandbox: SandboxServer) -> Consent:
    return Consent(sandbox.client_id, sandbox.client_secret, sandbox.id_url, REDIRECT)


def asked(consent: Consent) -> dict[str, str]:
    return {name: value for name, [value] in parse_qs(urlsplit(consent.url).query).items()}


def allowed(consent: Consent) -> str:
    """Open the address and click Allow; the address to which the browser is sent."""
    page = requests.get(consent.url, timeout=waiting.PATIENCE).text
    fields = {
        name: unescape(value)
        for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)
    }
    url = consent.url.partition("?")[0]
    answer = requests.post(
        url, data={**fields, "decision": "allow"}, allow_redirects=False, timeout=10
    )
    return answer.headers["Location"]


def test_the_address_asks_for_a_code_with_a_state_and_a_challenge_of_its_own() -> None:
    consents = [Consent("an-id", "a-secret", f"{ID_URL}/", REDIRECT) for _ in range(50)]
    address = urlsplit(consents[0].url)
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{ID_URL}/oauth2/authorize"
    assert {**asked(consents[0]), "state": "", "code_challenge": ""} == {
        "client_id": "an-id",
        "response_type": "code",
        "redirect_uri": REDIRECT,
        "state": "",
        "code_challenge": "",
        "code_challenge_method": "S256",
    }
    assert "a-secret" not in consents[0].url
    for field in ("state", "code_challenge"):
        values = {asked(consent)[field] for consent in consents}
        assert (len(values), {len(value) for value in values}) == (50, {43})


@pytest.mark.parametrize("form", ["/callback?{}", f"  {REDIRECT}?{{}}\n"])
def test_the_code_of_the_right_answer_is_taken(form: str, consent: Consent) -> None:
    query = f"code=abc&scope=harvest%3Aall&state={asked(consent)['state']}"
    assert consent.code(form.format(query)) == "abc"


@pytest.mark.parametrize(
    "answer",
    [
        "/callback?code=abc",
        "/callback?code=abc&state=",
        "/callback?code=abc&state=another",
        "/callback?code=abc&state=%C3%A9",
        "/callback?error=access_denied&state=another",
        "/callback?code=abc&state=STATEx",
        "/callback?code=abc&state=STATE&state=another",
        "code=abc&state=STATE",
        "http://[",
        "",
    ],
)
def test_an_answer_with_another_state_is_not_believed(answer: str, consent: Consent) -> None:
    with pytest.raises(AuthorizationInvalid, match="does not belong to this request"):
        consent.code(answer.replace("STATE", asked(consent)["state"]))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("error=access_denied", "Access was refused on Harvest's page"),
        ("error=server_error", r"ended without giving access \(server_error\)"),
        ("error=canary&error_description=canary", r"without giving access \(an unknown error\)"),
        ("error=server_error&error_description=canary", r"access \(server_error\)"),
        ("scope=x", r"without giving access \(missing_code\)"),
        ("code=a%20b", r"without giving access \(malformed_code\)"),
    ],
)
def test_what_is_no_code_is_told_in_one_line_of_our_own_words(
    answer: str, said: str, consent: Consent
) -> None:
    with pytest.raises(AuthorizationRefused, match=said) as caught:
        consent.code(f"/callback?{answer}&state={asked(consent)['state']}")
    assert str(caught.value).isprintable()
    assert "canary" not in str(caught.value)


def test_a_code_leads_once_to_tokens_that_can_be_renewed(
    consent: Consent, sandbox: SandboxServer, transport: Transport
) -> None:
    code = consent.code(allowed(consent))
    tokens = consent.tokens(transport, code)
    again = renewed(transport, sandbox.id_url, tokens)
    assert again.access_token != tokens.access_token
    assert again.refresh_token == tokens.refresh_token
    with pytest.raises(AuthorizationInvalid, match="expired or has been used already; run"):
        consent.tokens(transport, code)


def test_a_code_is_of_no_use_without_the_verifier(
    consent: Consent, sandbox: SandboxServer, transport: Transport
) -> None:
    code = consent.code(allowed(consent))
    thief = Consent(sandbox.client_id, sandbox.client_secret, sandbox.id_url, REDIRECT)
    with pytest.raises(AuthorizationInvalid):
        thief.tokens(transport, code)


def test_a_wrong_client_secret_is_told_without_showing_it(
    sandbox: SandboxServer, transport: Transport
) -> None:
    consent = Consent(sandbox.client_id, "wrong-canary", sandbox.id_url, REDIRECT)
    with pytest.raises(TokenRejected, match="HARVEST_CLIENT_SECRET") as caught:
        consent.tokens(transport, consent.code(allowed(consent)))
    assert "wrong-canary" not in str(caught.value)


def test_a_code_is_sent_once_even_if_the_answer_is_lost(transport: Transport) -> None:
    with FaultServer(fault.script(fault.reset)) as server:
        consent = Consent("an-id", "a-secret", server.url, REDIRECT)
        with pytest.raises(HarvestUnavailable):
            consent.tokens(transport, "abc")
        (request,) = server.requests
        assert request.query == {}
    form = dict(parse_qsl(request.body.decode()))
    digest = hashlib.sha256(form.pop("code_verifier").encode()).digest()
    assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == asked(consent)["code_challenge"]
    assert form == {
        "client_id": "an-id",
        "client_secret": "a-secret",
        "grant_type": "authorization_code",
        "code": "abc",
        "redirect_uri": REDIRECT,
    }


@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_redirect_of_the_token_endpoint_is_not_followed(
    status: int, transport: Transport
) -> None:
    with FaultServer(fault.script(fault.answer({}))) as other:
        away = fault.answer({}, status, {"Location": other.url})
        with FaultServer(fault.script(away)) as server:
            consent = Consent("an-id", "a-secret", server.url, REDIRECT)
            with pytest.raises(Exception, match="for an access token is none"):
                consent.tokens(transport, "abc")
        assert other.requests == []
