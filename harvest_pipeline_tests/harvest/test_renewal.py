"""A token is renewed once for all processes of a machine, stored before it is used, never lost."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import msgspec
import pytest

from harvest_pipeline.harvest.access import stored_credentials
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import (
    CredentialsMissing,
    HarvestUnavailable,
    RateLimited,
    StoreUnusable,
    TokenRejected,
)
from harvest_pipeline.harvest.oauth import TokenSet
from harvest_pipeline.harvest.token_store import TokenStore
from harvest_pipeline.harvest.vaults import FileVault
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.conftest import MakeClient
from harvest_pipeline_tests.harvest.connected import KEY, TOKENS, account_of
from harvest_pipeline_tests.harvest.fault_server import FaultServer
from harvest_pipeline_tests.harvest.oauth_server import OAuthServer
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.waiting import PATIENCE

ANY = msgspec.json.Decoder(dict[str, object])
TOKEN_PATH = "/api/v2/oauth2/token"
PROCESSES, ROUNDS = 8, 4
Use = Callable[..., HarvestClient]


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(FileVault(tmp_path / "accounts"), "file")


@pytest.fixture
def use(store: TokenStore, make_client: MakeClient) -> Use:
    """Makes clients of the account acme of a server, which is connected first; each stands for a
    process of its own."""

    def make(url: str, tokens: TokenSet = TOKENS, name: str = "acme") -> HarvestClient:
        if store.find(name) is None:
            store.save(account_of(url, name=name, tokens=tokens))
        account = store.find(name)
        assert account
        credentials = stored_credentials(store, account, account.api_url, account.id_url)
        return make_client(url, credentials=credentials)

    return make


def get(client: HarvestClient) -> dict[str, object]:
    return client.get(f"{client.api_url}/thing", ANY)[0]


def test_a_renewed_token_is_stored_before_it_is_used_and_there_for_the_next_process(
    store: TokenStore, use: Use
) -> None:
    held: list[str] = []

    def respond(request: fault.Request) -> fault.Action:
        if request.headers.get("authorization") == "Bearer access-1":
            tokens = store.tokens("acme")
            held.append(tokens.access_token if tokens else "")
        return harvest(request)

    harvest = OAuthServer(rotating=True)
    with FaultServer(respond) as server:
        for _ in range(2):
            assert get(use(server.url)) == {"id": 1}
    assert held == ["access-1"] * 2
    assert harvest.fetched == 1
    tokens = store.tokens("acme")
    assert tokens and tokens.expires_at == pytest.approx(time.time() + 1209600, abs=60)
    assert replace(tokens, expires_at=1e10) == replace(
        TOKENS,
        access_token="access-1",
        refresh_token="refresh-1",
        previous_refresh_token="refresh-0",
    )


def test_a_store_that_cannot_be_written_to_says_so_before_a_token_is_asked_for(
    store: TokenStore, use: Use
) -> None:
    with FaultServer(OAuthServer(rotating=True)) as server:
        client = use(server.url)
        (
            store.vault.folder / "accounts.unfinished"
        ).mkdir()  # where the new content would be written
        with pytest.raises(StoreUnusable, match=r"accounts\.unfinished"):
            get(client)
        assert TOKEN_PATH not in server.paths()


@pytest.mark.parametrize("rotating", [False, True])
def test_the_former_refresh_token_is_kept_and_tried_if_the_newer_one_is_not_known(
    rotating: bool, use: Use
) -> None:
    with FaultServer(harvest := OAuthServer(rotating=rotating)) as server:
        for expected in (1, 2, 3):
            harvest.access_token = "expired by now"
            get(use(server.url))
            assert harvest.fetched == expected
            harvest.refresh_tokens = {"refresh-0"}
        assert server.paths().count(TOKEN_PATH) == (5 if rotating else 3)


def test_a_refusal_costs_one_request_and_names_the_command_that_mends_it(use: Use) -> None:
    for wrong, said in (
        (
            "refresh_token",
            r"refresh token of the stored account .*`harvest-pipeline connect --name",
        ),
        ("client_secret", "application of the stored account"),
    ):
        with FaultServer(OAuthServer()) as server:
            client = use(server.url, replace(TOKENS, **{wrong: "wrong-canary"}), name=wrong)
            for _ in range(3):
                with pytest.raises(TokenRejected, match=said) as caught:
                    get(client)
                assert "canary" not in str(caught.value)
            assert server.paths().count(TOKEN_PATH) == 1


def test_the_lock_is_free_again_after_every_failure(store: TokenStore, use: Use) -> None:
    with FaultServer(harvest := OAuthServer()) as server:
        client = use(server.url)
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


def test_a_personal_token_is_blamed_by_the_name_of_its_account(use: Use) -> None:
    with FaultServer(harvest := OAuthServer()) as server:
        harvest.access_token = "pat-canary"
        client = use(server.url, TokenSet(access_token="pat-canary"))
        assert get(client) == {"id": 1}
        harvest.access_token = "another"
        with pytest.raises(TokenRejected, match=r"stored account acme .*--name acme --token -`"):
            get(client)
        assert TOKEN_PATH not in server.paths()


@pytest.mark.parametrize("other", ["api_url", "id_url"])
def test_a_token_is_not_sent_to_other_hosts_than_it_came_from(
    other: str, store: TokenStore
) -> None:
    account = account_of("https://id.getharvest.com")
    asked = {"api_url": account.api_url, "id_url": account.id_url, other: "http://127.0.0.1:7357"}
    with pytest.raises(CredentialsMissing, match=r"acme was connected at .*127\.0\.0\.1:7357"):
        stored_credentials(store, account, **asked)
    stored_credentials(store, account, f"{account.api_url}/", account.id_url)


def test_an_account_that_is_removed_while_it_is_used_does_not_come_back(
    store: TokenStore, use: Use
) -> None:
    with FaultServer(harvest := OAuthServer()) as server:
        client = use(server.url)
        get(client)
        store.remove("acme")
        harvest.access_token = "expired by now"
        with pytest.raises(CredentialsMissing, match="has been removed"):
            get(client)
    assert store.names() == []


def test_a_renewal_is_finished_and_stored_even_if_another_thread_fails(
    store: TokenStore, use: Use
) -> None:
    """Left in the middle, it would cost the account: only the answer holds the new token."""
    with FaultServer(harvest := OAuthServer(rotating=True)) as server:
        client = use(server.url)
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
        tokens = store.tokens("acme")
        assert tokens and tokens.refresh_token == "refresh-1"
        assert get(use(server.url)) == {"id": 1}


def test_a_renewal_does_not_wait_for_the_one_of_another_account(use: Use) -> None:
    with FaultServer(slow := OAuthServer()) as first, FaultServer(OAuthServer()) as second:
        acme, zeta = use(first.url), use(second.url, name="zeta")
        done: list[object] = []
        slow.before_answer = lambda: done.append(get(zeta))  # while acme is being renewed
        done.append(get(acme))
        assert len(done) == 2


class Worker:
    """A process of worker.py, in lines."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.pid = process.pid

    def send(self) -> None:
        assert self._process.stdin
        self._process.stdin.write("ask\n")
        self._process.stdin.flush()

    def line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


@contextmanager
def workers(
    environment: dict[str, str], number: int, homes: Sequence[Path] = ()
) -> Iterator[list[Worker]]:
    """So many processes with these variables, all of them ready; on as many machines as there are
    `homes`."""
    command = [sys.executable, "-W", "ignore", "-m", "harvest_pipeline_tests.harvest.worker"]
    ours = {name: text for name, text in os.environ.items() if not name.startswith("HARVEST_")}
    own = [{"HOME": str(home), "XDG_CONFIG_HOME": str(home)} for home in homes] or [{}]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    command,
                    env={**ours, "HARVEST_CONFIG": os.devnull, **environment, **home},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for home, _ in zip(cycle(own), range(number), strict=False)
        ]
        found = [Worker(process) for process in processes]
        try:
            assert [worker.line() for worker in found] == ["ready"] * number
            yield found
        finally:
            for process in processes:
                process.kill()


class Machine:
    """A machine whose environment names a sandbox, where a refresh token is good once and a second
    use revokes all that came of it."""

    def __init__(self, sandbox: SandboxServer, store: TokenStore) -> None:
        self.sandbox = sandbox
        self.store = store
        self.tokens = sandbox.world.tokens
        self.environment = {
            "HARVEST_API_URL": sandbox.api_url,
            "HARVEST_ID_URL": sandbox.id_url,
            "HARVEST_TOKEN_STORE": str(store.vault.folder),
            "HARVEST_ACCOUNT_ID": str(sandbox.account_id),
        }
        self.application = {
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
            "refresh_token": sandbox.refresh_token,
        }

    def set(self, **fields: str) -> None:
        """Set the values of an OAuth 2 application as variables."""
        for field, value in {**self.application, **fields}.items():
            self.environment[f"HARVEST_{field.upper()}"] = value

    def ask(self, processes: list[Worker]) -> list[str]:
        """What each says, asked at once."""
        for worker in processes:
            worker.send()
        return [worker.line() for worker in processes]

    def asked_once(self) -> str:
        """What a new process says."""
        with workers(self.environment, 1) as processes:
            return self.ask(processes)[0]

    def renewals(self) -> int:
        return self.sandbox.world.request_log.paths().count(TOKEN_PATH)

    def end_access_tokens(self) -> None:
        """Let all of them end, as after 14 days."""
        self.tokens._access.clear()


@pytest.fixture
def machine(store: TokenStore) -> Iterator[Machine]:
    with SandboxServer(years=0.1, rate_limit=None, rotate_refresh_tokens=True) as sandbox:
        yield Machine(sandbox, store)


@pytest.mark.slow
@pytest.mark.parametrize("kept_by", ["connect", "variables", "two machines"])
def test_eight_processes_share_every_renewal(
    kept_by: str, machine: Machine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    homes = [tmp_path / "one", tmp_path / "two"] if kept_by == "two machines" else []
    if homes:
        shared = request.getfixturevalue("postgres").database()
        machine.environment |= {"HARVEST_STATE": shared, "HARVEST_STATE_KEY": KEY}
        machine.store = TokenStore.from_environment(machine.environment)
    if kept_by == "variables":
        machine.set()
    else:
        account = account_of(
            machine.sandbox.id_url,
            name="harvest",
            account_id=str(machine.sandbox.account_id),
            tokens=TokenSet(**machine.application, access_token="ended", expires_at=1.0),
        )
        machine.store.save(account)
    with workers(machine.environment, PROCESSES, homes) as processes:
        for renewals in range(1, ROUNDS + 1):
            for _ in range(2):
                assert machine.ask(processes) == ["administrator"] * PROCESSES
            assert machine.renewals() == renewals
            machine.end_access_tokens()
    assert machine.asked_once() == "administrator"
    assert not [file for home in homes for file in home.rglob("*") if file.is_file()]


def test_a_token_that_died_with_its_process_is_told_with_the_command_that_mends_it(
    store: TokenStore, use: Use
) -> None:
    """Killed when Harvest has rotated the refresh token, and its answer has not come."""
    with FaultServer(harvest := OAuthServer(rotating=True)) as server:
        store.save(account_of(server.url, name="harvest"))
        environment = {
            "HARVEST_API_URL": f"{server.url}/v2",
            "HARVEST_ID_URL": server.url,
            "HARVEST_TOKEN_STORE": str(store.vault.folder),
        }
        with workers(environment, 1) as (worker,):
            harvest.before_answer = lambda: os.kill(worker.pid, signal.SIGKILL)
            worker.send()
            assert worker.line() == ""
        harvest.before_answer = lambda: None
        assert harvest.fetched == 1
        client = use(server.url, name="harvest")
        for _ in range(3):
            with pytest.raises(TokenRejected, match="`harvest-pipeline connect --name harvest`"):
                get(client)
        assert store.names() == ["harvest"]
        # A server that does not rotate takes the same refresh token again.
        harvest.refresh_tokens = {"refresh-0"}
        assert get(use(server.url, name="harvest")) == {"id": 1}


def test_two_accounts_that_share_a_variable_share_what_it_is_renewed_to(
    machine: Machine, tmp_path: Path
) -> None:
    machine.set()
    account = machine.environment.pop("HARVEST_ACCOUNT_ID")
    entries = "".join(f"  - {{name: {n}, account_id: {account}}}\n" for n in ("acme", "zeta"))
    (tmp_path / "harvest.yaml").write_text(f"accounts:\n{entries}")
    machine.environment["HARVEST_CONFIG"] = str(tmp_path / "harvest.yaml")
    with workers(machine.environment, 1) as (worker,):
        for renewals in (1, 2):
            worker.send()
            assert [worker.line() for _ in range(2)] == ["administrator"] * 2
            assert machine.renewals() == renewals
            machine.end_access_tokens()


def test_a_new_refresh_token_in_the_variable_wins_over_what_is_kept(machine: Machine) -> None:
    machine.set()
    assert machine.asked_once() == "administrator"
    machine.tokens._revoke(machine.application["refresh_token"])  # access is taken back ...
    assert "HARVEST_REFRESH_TOKEN, or what it was renewed to" in machine.asked_once()
    grant = machine.tokens.grant(machine.sandbox.tokens["manager"])
    code = machine.tokens.authorize(grant, "http://127.0.0.1:1/", None, "")
    form = {**machine.application, "grant_type": "authorization_code", "code": code}
    # ... and somebody else signs in.
    machine.set(refresh_token=str(machine.tokens.exchange(form)["refresh_token"]))
    assert [machine.asked_once() for _ in range(2)] == ["manager"] * 2


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_is_two_hours_wrong_costs_one_renewal_at_most(hours: int, use: Use) -> None:
    """With an hour left: a slow clock holds an ended token for good, a fast one a good one for
    ended."""
    with FaultServer(harvest := OAuthServer()) as server:
        harvest.access_token = "ended" if hours < 0 else "access-0"
        left = 3600 * (1 - hours)
        client = use(server.url, replace(TOKENS, expires_at=time.time() + left))
        for _ in range(3):
            get(client)
        assert harvest.fetched == 1
