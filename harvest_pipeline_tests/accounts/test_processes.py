"""One stored account and many processes: a token is renewed once, and never lost if it can be."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest

from harvest_pipeline.accounts.credentials import stored_credentials
from harvest_pipeline.accounts.store import AccountStore
from harvest_pipeline.accounts.stored import Secrets, StoredAccount
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import TokenRejected
from harvest_pipeline_tests.accounts.conftest import Connect
from harvest_pipeline_tests.harvest.conftest import MakeClient
from harvest_pipeline_tests.harvest.fault_server import FaultServer
from harvest_pipeline_tests.harvest.oauth_server import OAuthServer
from harvest_pipeline_tests.sandbox.server import SandboxServer

PROCESSES = 8
ROUNDS = 10
ANY = msgspec.json.Decoder(dict[str, object])
TOKEN_PATH = "/api/v2/oauth2/token"


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """An account whose tokens rotate; using an old refresh token ends them all."""
    with SandboxServer(years=0.1, rate_limit=None, rotate_refresh_tokens=True) as server:
        yield server


def in_sandbox(sandbox: SandboxServer, connect: Connect, **times: float) -> StoredAccount:
    secrets = Secrets(
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret,
        refresh_token=sandbox.refresh_token,
        **times,
    )
    return connect(sandbox.id_url, secrets, account_id=str(sandbox.account_id))


def refreshes(sandbox: SandboxServer) -> int:
    return sandbox.world.request_log.paths().count(TOKEN_PATH)


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
def workers(folder: Path, number: int) -> Iterator[list[Worker]]:
    """So many processes, all of them ready."""
    command = [sys.executable, "-m", "harvest_pipeline_tests.accounts.worker", str(folder)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(number)
        ]
        found = [Worker(process) for process in processes]
        try:
            assert [worker.line() for worker in found] == ["ready"] * number
            yield found
        finally:
            for process in processes:
                process.kill()


def test_eight_processes_share_every_renewal(
    sandbox: SandboxServer, store: AccountStore, folder: Path, connect: Connect
) -> None:
    account = in_sandbox(sandbox, connect)
    outcomes: list[str] = []
    with workers(folder, PROCESSES) as processes:
        for _ in range(ROUNDS):
            for worker in processes:
                worker.send()
            outcomes += [worker.line() for worker in processes]
            token = store.secrets(account).access_token
            assert token
            sandbox.world.tokens.expire(token)
    assert outcomes == ["ok"] * PROCESSES * ROUNDS
    assert refreshes(sandbox) == ROUNDS


def test_eight_processes_that_start_with_an_ended_token_renew_it_once(
    sandbox: SandboxServer, folder: Path, connect: Connect
) -> None:
    in_sandbox(sandbox, connect, expires_at=1.0, renew_at=1.0)
    with workers(folder, PROCESSES) as processes:
        for worker in processes:
            worker.send()
        assert [worker.line() for worker in processes] == ["ok"] * PROCESSES
    assert refreshes(sandbox) == 1


def used(
    store: AccountStore, account: StoredAccount, url: str, make_client: MakeClient
) -> HarvestClient:
    credentials = stored_credentials(store, account, account.api_url, account.id_url)
    return make_client(url, credentials=credentials)


def killed_at(harvest: OAuthServer, url: str, folder: Path, connect: Connect) -> None:
    """A process whose renewal reaches the server, and which is dead before the answer comes."""
    connect(url)
    with workers(folder, 1) as (worker,):

        def kill() -> None:
            os.kill(worker.pid, signal.SIGKILL)

        harvest.before_answer = kill
        worker.send()
        assert worker.line() == ""
    harvest.before_answer = lambda: None
    assert harvest.fetched == 1


def test_a_token_that_died_with_its_process_is_told_with_the_command_that_mends_it(
    store: AccountStore, folder: Path, connect: Connect, make_client: MakeClient
) -> None:
    with FaultServer(harvest := OAuthServer(rotating=True)) as server:
        killed_at(harvest, server.url, folder, connect)
        account = store.find("acme")
        assert account is not None
        client = used(store, account, server.url, make_client)
        asked = len(server.requests)
        for _ in range(3):
            with pytest.raises(TokenRejected, match="run `harvest-pipeline connect --name acme`"):
                client.get(f"{client.api_url}/thing", ANY)
        assert server.paths()[asked:].count(TOKEN_PATH) == 1
        assert "acme" in {account.name for account in store.accounts()}  # it can be listed


def test_without_rotation_a_killed_renewal_costs_nothing(
    store: AccountStore, folder: Path, connect: Connect, make_client: MakeClient
) -> None:
    with FaultServer(harvest := OAuthServer()) as server:
        killed_at(harvest, server.url, folder, connect)
        account = store.find("acme")
        assert account is not None
        client = used(store, account, server.url, make_client)
        assert client.get(f"{client.api_url}/thing", ANY)[0] == {"id": 1}


def test_a_thread_does_not_wait_for_the_renewal_of_another_account(
    store: AccountStore, connect: Connect, make_client: MakeClient
) -> None:
    with FaultServer(slow := OAuthServer()) as first, FaultServer(OAuthServer()) as second:
        acme = used(store, connect(first.url), first.url, make_client)
        zeta = used(store, connect(second.url, name="zeta"), second.url, make_client)
        done: list[str] = []

        def ask(client: HarvestClient, name: str) -> None:
            client.get(f"{client.api_url}/thing", ANY)
            done.append(name)

        slow.before_answer = lambda: ask(zeta, "zeta")  # while acme is being renewed
        ask(acme, "acme")
        assert done == ["zeta", "acme"]
