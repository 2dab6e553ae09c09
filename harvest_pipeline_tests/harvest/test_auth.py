"""Tokens: fetched when needed, renewed once, and blamed by name when refused."""

import copy
import pickle
import tempfile
import time
from pathlib import Path

import msgspec
import pytest

from harvest_pipeline.harvest.access import environment_credentials
from harvest_pipeline.harvest.auth import (
    Bearer,
    Credentials,
    PersonalAccessToken,
)
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import (
    AnswerInvalid,
    CredentialsMalformed,
    HarvestUnavailable,
    RateLimited,
    TokenRejected,
)
from harvest_pipeline.harvest.http import Patience, Transport
from harvest_pipeline.harvest.oauth import Consent, TokenSet
from harvest_pipeline.harvest.token_store import TokenStore
from harvest_pipeline.harvest.vaults import FileVault
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.conftest import MakeClient
from harvest_pipeline_tests.harvest.fault_server import FaultServer
from harvest_pipeline_tests.harvest.oauth_server import OAuthServer

ANY = msgspec.json.Decoder(dict[str, object])


def oauth(url: str, prefix: str = "HARVEST_", **changes: str) -> Credentials:
    """Those of the environment, with a store of their own."""
    given = {"client_id": "id", "client_secret": "secret", "refresh_token": "refresh-0", **changes}
    store = TokenStore(FileVault(Path(tempfile.mkdtemp())), "file")
    return environment_credentials(store, given, prefix, url)


def get(client: HarvestClient) -> dict[str, object]:
    content, _ = client.get(f"{client.api_url}/thing", ANY)
    return content


def test_an_access_token_is_fetched_once_and_kept(make_client: MakeClient) -> None:
    with FaultServer(harvest := OAuthServer()) as server:
        client = make_client(server.url, credentials=oauth(server.url))
        for _ in range(3):
            assert get(client) == {"id": 1}
        assert harvest.fetched == 1
        assert server.paths() == ["/api/v2/oauth2/token", *["/v2/thing"] * 3]
        assert client.requests == 4


@pytest.mark.parametrize("rotating", [False, True])
def test_a_401_in_the_middle_costs_one_token_however_many_threads_get_it(
    rotating: bool, make_client: MakeClient
) -> None:
    with FaultServer(harvest := OAuthServer(rotating=rotating)) as server:
        client = make_client(server.url, credentials=oauth(server.url))
        for round_ in range(2, 7):
            get(client)
            harvest.access_token = "expired by now"
            client.in_flight(lambda _: get(client), range(8))
            assert harvest.fetched == round_


def test_a_token_is_renewed_before_it_ends(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer(harvest := OAuthServer(expires_in=3600)) as server:
        client = make_client(server.url, credentials=oauth(server.url))
        get(client)
        monkeypatch.setattr("harvest_pipeline.harvest.auth.time", lambda: time.time() + 3500)
        get(client)
        assert harvest.fetched == 2
        assert server.paths().count("/v2/thing") == 2  # no 401 in between


def test_a_fresh_token_that_gets_401_is_not_renewed_again(make_client: MakeClient) -> None:
    with FaultServer(harvest := OAuthServer()) as server:
        client = make_client(server.url, credentials=oauth(server.url))
        harvest.before_token = lambda: fault.answer({"access_token": "never-good"})
        with pytest.raises(TokenRejected, match="HARVEST_REFRESH_TOKEN"):
            get(client)
        assert server.paths().count("/api/v2/oauth2/token") == 2
        assert server.paths().count("/v2/thing") == 2


def test_a_revoked_refresh_token_costs_one_request_in_all(make_client: MakeClient) -> None:
    with FaultServer(OAuthServer()) as server:
        client = make_client(server.url, credentials=oauth(server.url, refresh_token="revoked-x"))
        for _ in range(3):
            with pytest.raises(TokenRejected, match="HARVEST_REFRESH_TOKEN") as caught:
                get(client)
            assert "revoked-x" not in str(caught.value)
            assert not caught.value.retryable
        assert len(server.requests) == 1


def test_a_wrong_client_secret_is_named(make_client: MakeClient) -> None:
    with FaultServer(OAuthServer()) as server:
        client = make_client(server.url, credentials=oauth(server.url, client_secret="wrong-one"))
        with pytest.raises(TokenRejected, match="HARVEST_CLIENT_SECRET") as caught:
            get(client)
        assert "wrong-one" not in str(caught.value)


def test_a_lost_answer_to_a_refresh_is_not_asked_for_again(make_client: MakeClient) -> None:
    with FaultServer(harvest := OAuthServer()) as server:
        harvest.before_token = lambda: fault.reset
        client = make_client(server.url, credentials=oauth(server.url))
        with pytest.raises(HarvestUnavailable, match=r"attempts: 1") as caught:
            get(client)
        assert len(server.requests) == 1
        assert caught.value.retryable
        harvest.before_token = lambda: None
        assert get(client) == {"id": 1}


def test_a_refresh_that_was_never_sent_is_tried_again(make_client: MakeClient) -> None:
    with FaultServer(OAuthServer()) as server:
        unreachable = server.url
    with pytest.raises(HarvestUnavailable, match=r"no connection to .* \(attempts: 3\)"):
        get(make_client(unreachable, credentials=oauth(unreachable)))


def test_a_throttled_refresh_says_when_to_come_back(make_client: MakeClient) -> None:
    with FaultServer(harvest := OAuthServer()) as server:
        harvest.before_token = lambda: fault.answer({}, 429, {"Retry-After": "7"})
        with pytest.raises(RateLimited) as caught:
            get(make_client(server.url, credentials=oauth(server.url)))
    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("content", [{}, {"access_token": "two words"}, {"access_token": 7}, []])
def test_nonsense_instead_of_a_token_is_refused(content: object, make_client: MakeClient) -> None:
    with FaultServer(harvest := OAuthServer()) as server:
        harvest.before_token = lambda: fault.answer(content)
        with pytest.raises(AnswerInvalid):
            get(make_client(server.url, credentials=oauth(server.url)))


@pytest.mark.parametrize(
    "token", ["", "canary token", "abc\n", "abc\r\nX: y", "tökén", "abc\x00", "\ufeffabc"]
)
def test_a_malformed_token_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(CredentialsMalformed, match="HARVEST_ACCESS_TOKEN") as caught:
        PersonalAccessToken(token)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize("name", ["client_id", "client_secret", "refresh_token"])
@pytest.mark.parametrize("prefix", ["HARVEST_", "HARVEST_ACME_"])
def test_a_malformed_oauth_value_is_named(name: str, prefix: str) -> None:
    with pytest.raises(CredentialsMalformed, match=f"^{prefix}{name.upper()} "):
        oauth("http://127.0.0.1", **{name: "a\nb"}, prefix=prefix)


def test_a_refusal_names_the_variables_of_its_account(make_client: MakeClient) -> None:
    with FaultServer(OAuthServer()) as server:
        for wrong, named in (("refresh_token", "REFRESH_TOKEN"), ("client_secret", "CLIENT_ID")):
            credentials = oauth(server.url, **{wrong: "wrong"}, prefix="HARVEST_ACME_")
            with pytest.raises(TokenRejected, match=f"HARVEST_ACME_{named}"):
                get(make_client(server.url, credentials=credentials))


def test_netrc_does_not_add_a_password_to_the_refresh(
    make_client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password netrc-canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with FaultServer(OAuthServer()) as server:
        get(make_client(server.url, credentials=oauth(server.url)))
        assert "authorization" not in server.requests[0].headers


def test_an_older_refresh_token_is_not_tried_after_a_refusal_by_something_else(
    make_client: MakeClient,
) -> None:
    """A proxy's 403 says nothing about the newer one, and an older one may end them all."""
    with FaultServer(harvest := OAuthServer(rotating=True)) as server:
        client = make_client(server.url, credentials=oauth(server.url))
        get(client)
        harvest.access_token = "expired by now"
        harvest.before_token = lambda: fault.answer({}, 403)
        with pytest.raises(TokenRejected, match="status 403"):
            get(client)
        assert server.paths().count("/api/v2/oauth2/token") == 2


def test_a_refusal_that_repeats_the_token_does_not_show_it(make_client: MakeClient) -> None:
    with FaultServer(harvest := OAuthServer()) as server:
        said = {"error": "invalid_grant", "error_description": "no such token: refresh-0"}
        harvest.before_token = lambda: fault.answer(said, 400)
        with pytest.raises(TokenRejected, match="status 400") as caught:
            get(make_client(server.url, credentials=oauth(server.url)))
        assert "refresh-0" not in str(caught.value)


def test_a_redirect_of_a_refresh_is_not_blamed_on_the_token(make_client: MakeClient) -> None:
    with FaultServer(harvest := OAuthServer()) as server:
        harvest.before_token = lambda: fault.answer({}, 302, {"Location": "/sign_in"})
        with pytest.raises(AnswerInvalid):
            get(make_client(server.url, credentials=oauth(server.url)))
        assert len(server.requests) == 1


def test_a_stored_token_is_blamed_by_the_name_that_it_was_given() -> None:
    token = PersonalAccessToken("pat", origin="the stored account acme", remedy="connect it again")
    with pytest.raises(TokenRejected, match=r"of the stored account acme.*; connect it again\.$"):
        token.renew(Transport("tests", Patience(), print), rejected="pat")


CANARY = "canary-4711"


@pytest.mark.parametrize(
    "holder",
    [
        TokenSet(access_token=CANARY, client_secret=CANARY, refresh_token=CANARY),
        Consent(CANARY, CANARY, "https://127.0.0.1", "http://127.0.0.1/"),
        Bearer(CANARY),
        PersonalAccessToken(CANARY),
        oauth("http://127.0.0.1", client_secret=CANARY, refresh_token=CANARY),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_what_holds_a_secret_neither_shows_nor_pickles_it(holder: object) -> None:
    assert CANARY not in f"{holder!r} {holder!s} {[holder]}"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError) as caught:
            pickle.dumps(holder, protocol)
        assert CANARY not in str(caught.value)
    with pytest.raises(TypeError):
        copy.copy(holder)
