"""The credentials of a stored account: renewed once, stored first, sent where they came from."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import msgspec
import pytest

from harvest_pipeline.accounts.credentials import stored_credentials
from harvest_pipeline.accounts.store import AccountStore
from harvest_pipeline.accounts.stored import Secrets, StoredAccount
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import (
    CredentialsMissing,
    HarvestUnavailable,
    RateLimited,
    StoreUnusable,
    TokenRejected,
)
from harvest_pipeline.harvest.extract import read
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.accounts.conftest import SECRETS, Connect
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.conftest import MakeClient
from harvest_pipeline_tests.harvest.fault_server import FaultServer
from harvest_pipeline_tests.harvest.oauth_server import OAuthServer
from harvest_pipeline_tests.sandbox.faults import ExpireToken
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import truth
from harvest_pipeline_tests.waiting import PATIENCE

ANY = msgspec.json.Decoder(dict[str, object])
TOKEN_PATH = "/api/v2/oauth2/token"
TWO_HOURS = 7200.0


class Uses:
    """Makes clients of a stored account; each stands for a process that starts anew."""

    def __init__(self, store: AccountStore, make_client: MakeClient) -> None:
        self._store = store
        self._make_client = make_client

    def __call__(self, account: StoredAccount) -> HarvestClient:
        return self._make_client(
            account.id_url,
            credentials=stored_credentials(self._store, account, account.api_url, account.id_url),
            account_id=account.account_id,
        )


@pytest.fixture
def use(store: AccountStore, make_client: MakeClient) -> Uses:
    return Uses(store, make_client)


def get(client: HarvestClient) -> dict[str, object]:
    return client.get(f"{client.api_url}/thing", ANY)[0]


def test_a_token_that_is_good_is_used_by_all_without_a_renewal(connect: Connect, use: Uses) -> None:
    with FaultServer(harvest := OAuthServer()) as server:
        harvest.access_token = "access-0"
        account = connect(server.url)
        for _ in range(3):
            assert get(use(account)) == {"id": 1}
        assert TOKEN_PATH not in server.paths()


def test_a_renewed_token_is_there_for_the_next_process(
    store: AccountStore, connect: Connect, use: Uses
) -> None:
    with FaultServer(harvest := OAuthServer(rotating=True)) as server:
        account = connect(server.url)
        get(use(account))
        get(use(account))
        assert harvest.fetched == 1
        stored = store.secrets(account)
        assert stored == replace(
            SECRETS,
            access_token="access-1",
            refresh_token="refresh-1",
            previous_refresh_token="refresh-0",
            expires_at=stored.expires_at,
            renew_at=stored.renew_at,
        )
        assert stored.expires_at == pytest.approx(time.time() + 1209600, abs=60)


def test_a_token_is_stored_before_it_is_used(
    store: AccountStore, connect: Connect, use: Uses
) -> None:
    """What the store holds whenever a request comes that bears the new token."""
    held: list[str | None] = []

    def respond(request: fault.Request) -> fault.Action:
        if request.headers.get("authorization") == "Bearer access-1":
            held.append(store.secrets(account).access_token)
        return harvest(request)

    harvest = OAuthServer()
    with FaultServer(respond) as server:
        account = connect(server.url)
        get(use(account))
    assert held == ["access-1"]


def test_a_store_that_cannot_be_written_to_says_so_before_a_token_is_asked_for(
    store: AccountStore, folder: Path, connect: Connect, use: Uses
) -> None:
    with FaultServer(OAuthServer(rotating=True)) as server:
        client = use(connect(server.url))
        (folder / ".acme.secret.unfinished").mkdir()  # where the new content would be written
        with pytest.raises(StoreUnusable, match=r"acme\.secret"):
            get(client)
        assert TOKEN_PATH not in server.paths()


def test_a_server_that_hands_out_refresh_tokens_that_it_does_not_know(
    connect: Connect, use: Uses
) -> None:
    """The new one is tried first, and the old one still works."""
    with FaultServer(harvest := OAuthServer(rotating=True)) as server:
        account = connect(server.url)
        for expected in (1, 2, 3):
            harvest.access_token = "expired by now"
            get(use(account))
            assert harvest.fetched == expected
            harvest.refresh_tokens = {"refresh-0"}


def test_a_server_that_does_not_rotate_costs_one_request_a_renewal(
    store: AccountStore, connect: Connect, use: Uses
) -> None:
    with FaultServer(harvest := OAuthServer()) as server:
        account = connect(server.url)
        for expected in (1, 2, 3):
            harvest.access_token = "expired by now"
            get(use(account))
            assert server.paths().count(TOKEN_PATH) == expected
        assert store.secrets(account).previous_refresh_token is None


def test_a_revoked_account_costs_one_token_request_and_names_the_command(
    connect: Connect, use: Uses
) -> None:
    with FaultServer(harvest := OAuthServer()) as server:
        harvest.refresh_tokens = set()
        client = use(connect(server.url))
        sentence = r"refresh token of the stored account acme .*`harvest-pipeline connect --name ac"
        for _ in range(3):
            with pytest.raises(TokenRejected, match=sentence) as caught:
                get(client)
            assert "refresh-0" not in str(caught.value)
        assert server.paths().count(TOKEN_PATH) == 1


def test_a_changed_client_secret_names_the_account(connect: Connect, use: Uses) -> None:
    with FaultServer(OAuthServer()) as server:
        client = use(connect(server.url, replace(SECRETS, client_secret="wrong-canary")))
        with pytest.raises(TokenRejected, match="application of the stored account acme") as caught:
            get(client)
        assert "wrong-canary" not in str(caught.value)


def test_the_lock_is_free_again_after_every_failure(
    store: AccountStore, connect: Connect, use: Uses
) -> None:
    with FaultServer(harvest := OAuthServer()) as server:
        client = use(connect(server.url))
        for action, error in (
            (fault.answer({}, 429, {"Retry-After": "7"}), RateLimited),
            (fault.answer({}, 503), HarvestUnavailable),
            (fault.reset, HarvestUnavailable),
        ):
            harvest.before_token = lambda action=action: action
            with pytest.raises(error):
                get(client)
            with store.lock("acme"):
                pass
        harvest.before_token = lambda: None
        assert get(client) == {"id": 1}


def test_threads_with_the_same_401_renew_once(connect: Connect, use: Uses) -> None:
    with FaultServer(harvest := OAuthServer(rotating=True)) as server:
        client = use(connect(server.url))
        for round_ in range(1, 6):
            client.in_flight(lambda _: get(client), range(8))
            assert harvest.fetched == round_
            harvest.access_token = "expired by now"


def test_a_personal_token_is_used_and_blamed_by_the_name_of_its_account(
    connect: Connect, use: Uses
) -> None:
    with FaultServer(harvest := OAuthServer()) as server:
        harvest.access_token = "pat-canary"
        client = use(connect(server.url, Secrets(access_token="pat-canary"), kind="token"))
        assert get(client) == {"id": 1}
        harvest.access_token = "another"
        with pytest.raises(TokenRejected, match=r"stored account acme .*--name acme --token -`"):
            get(client)
        assert TOKEN_PATH not in server.paths()


@pytest.mark.parametrize("other", ["api_url", "id_url"])
def test_a_token_is_not_sent_to_other_hosts_than_it_came_from(
    other: str, store: AccountStore, connect: Connect
) -> None:
    account = connect("https://id.getharvest.com")
    asked = {"api_url": account.api_url, "id_url": account.id_url, other: "http://127.0.0.1:7357"}
    with pytest.raises(CredentialsMissing, match=r"acme was connected at .*127\.0\.0\.1:7357"):
        stored_credentials(store, account, **asked)
    stored_credentials(store, account, f"{account.api_url}/", account.id_url)


@pytest.mark.parametrize("lost", ["client_id", "client_secret", "refresh_token"])
def test_incomplete_secrets_are_told_at_once(
    lost: str, store: AccountStore, connect: Connect
) -> None:
    account = connect("https://x", replace(SECRETS, **{lost: None}))
    with pytest.raises(StoreUnusable, match="acme is not complete; run `harvest-pipeline connect"):
        stored_credentials(store, account, account.api_url, account.id_url)


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(
        today=date(2026, 11, 20), years=1.2, rate_limit=None, rotate_refresh_tokens=True
    ) as server:
        yield server


@pytest.fixture
def connected(sandbox: SandboxServer, connect: Connect) -> StoredAccount:
    """The account of the sandbox, its first token not fetched yet."""
    secrets = Secrets(
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret,
        refresh_token=sandbox.refresh_token,
    )
    return connect(sandbox.id_url, secrets, account_id=str(sandbox.account_id))


def refreshes(sandbox: SandboxServer) -> int:
    return sandbox.world.request_log.paths().count(TOKEN_PATH)


def test_a_token_that_ends_at_page_three_costs_one_renewal_and_no_record(
    sandbox: SandboxServer, connected: StoredAccount, use: Uses, tmp_path: Path
) -> None:
    client = use(connected)
    assert client.identity.is_administrator  # the first token is there
    sandbox.account.faults.add(ExpireToken(path="/time_entries", skip=2))
    always = Window(date(2020, 1, 1), date(2030, 12, 31))
    spool = read(client, RECORDS["time_entries"], always, tmp_path)
    assert spool.rows == len(truth(sandbox.account.records, "time_entries")) > 4000
    assert refreshes(sandbox) == 2


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_is_two_hours_wrong_costs_one_renewal_at_most(
    hours: int,
    sandbox: SandboxServer,
    connected: StoredAccount,
    store: AccountStore,
    use: Uses,
) -> None:
    """The token has an hour left for one of the clocks and has ended for the other."""
    assert use(connected).identity.is_administrator
    secrets = store.secrets(connected)
    assert secrets.expires_at and secrets.renew_at
    left = secrets.expires_at - time.time()
    if hours > 0:  # ours is fast: it ends now, and Harvest would still take it
        by = left - 3600 + TWO_HOURS
    else:  # ours is slow: Harvest takes it no more, and we hold it for good
        by = left - 3600
        sandbox.world.clock.advance(left + 3600)
    moved = replace(secrets, expires_at=secrets.expires_at - by, renew_at=secrets.renew_at - by)
    store.replace_secrets(connected, moved)
    for _ in range(3):
        assert use(connected).identity.is_administrator
    assert refreshes(sandbox) == 2


def test_a_renewal_is_finished_and_stored_even_if_another_thread_fails(
    store: AccountStore, connect: Connect, use: Uses
) -> None:
    """Left in the middle, it would cost the account: only the answer holds the new token."""
    with FaultServer(harvest := OAuthServer(rotating=True)) as server:
        account = connect(server.url)
        client = use(account)
        asked, failed = threading.Event(), threading.Event()

        def task(fails: bool) -> None:
            if fails:
                asked.wait(PATIENCE)
                failed.set()
                raise ZeroDivisionError
            get(client)

        def answer_late() -> None:
            asked.set()
            failed.wait(PATIENCE)
            time.sleep(0.2)  # until the client has interrupted what is under way

        harvest.before_answer = answer_late
        with pytest.raises(ZeroDivisionError):
            client.in_flight(task, [False, True])
        assert store.secrets(account).refresh_token == "refresh-1"
        assert get(use(account)) == {"id": 1}
