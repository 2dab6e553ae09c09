"""A refresh token of the environment that Harvest takes once: what it is renewed to is kept."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.sandbox.server import SandboxServer

TOKEN_PATH = "/api/v2/oauth2/token"
PROCESSES = 8
ROUNDS = 3

#: Asks Harvest who we are, as a run would, and says how that went.
ASK = """
import os
from contextlib import closing
from harvest_pipeline.access import client_from_environment
from harvest_pipeline.settings import load_project
from harvest_pipeline.harvest.errors import HarvestError
for settings in load_project(os.environ).accounts:
    try:
        with closing(client_from_environment(settings, os.environ, print)) as client:
            print(client.identity.role)
    except HarvestError as error:
        print(error)
"""


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """An account whose refresh tokens are good once; a second use revokes the whole family."""
    with SandboxServer(years=0.1, rate_limit=None, rotate_refresh_tokens=True) as server:
        yield server


class Machine:
    """A machine on which the values of an OAuth 2 application are in the environment."""

    def __init__(self, sandbox: SandboxServer, folder: Path) -> None:
        self.sandbox = sandbox
        self.store = folder / "config" / "accounts"
        self.database = folder / "warehouse.duckdb"
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / "dagster.yaml").symlink_to(project_folder() / "dagster.yaml")
        self.environment = {
            **os.environ,
            **sandbox.environment(),
            "HARVEST_CLIENT_ID": sandbox.client_id,
            "HARVEST_CLIENT_SECRET": sandbox.client_secret,
            "HARVEST_REFRESH_TOKEN": sandbox.refresh_token,
            "HARVEST_TOKEN_STORE": str(self.store),
            "HARVEST_DUCKDB": str(self.database),
            "HARVEST_START_DATE": sandbox.first_day.isoformat(),
            "DAGSTER_HOME": str(self.home),
        }
        del self.environment["HARVEST_ACCESS_TOKEN"]

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        """A process of Python."""
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def says(self, *words: str) -> str:
        """What a process of Python prints."""
        with self.begin(*words) as process:
            return process.communicate(timeout=120)[0]

    def command(self, *words: str) -> str:
        """What `harvest-pipeline` prints."""
        return self.says("-m", "harvest_pipeline.cli", *words)

    def renewals(self) -> int:
        return self.sandbox.world.request_log.paths().count(TOKEN_PATH)

    def end_access_tokens(self) -> None:
        """Let all of them end, as after 14 days."""
        self.sandbox.world.tokens._access.clear()

    def secrets(self) -> set[str]:
        """Every token that the sandbox has given away."""
        tokens = self.sandbox.world.tokens
        return {*tokens._access, *tokens._refresh} - {self.sandbox.refresh_token}


@pytest.fixture
def machine(sandbox: SandboxServer, tmp_path: Path) -> Machine:
    return Machine(sandbox, tmp_path)


@pytest.mark.slow
def test_run_after_run_in_new_processes_follows_the_chain_of_renewals(machine: Machine) -> None:
    load = ("-m", "dagster", "asset", "materialize", "-m", "harvest_pipeline.definitions")
    said = ""
    for renewals, words in enumerate(
        (
            (*load, "--select", "harvest/clients"),
            (*load, "--select", "harvest/clients"),
            ("-m", "harvest_pipeline.cli", "sync", "clients"),
        ),
        start=1,
    ):
        said += (output := machine.says(*words))
        assert "does not accept" not in output
        assert "RUN_SUCCESS" in output or "clients" in output
        assert machine.renewals() == renewals
        machine.end_access_tokens()
    # The tokens are in the store, for their owner alone, and nowhere else.
    (kept,) = machine.store.glob("*.secret")
    assert kept.stat().st_mode & 0o777 == 0o600
    newest = {token for token in machine.secrets() if token in kept.read_text()}
    assert newest
    others = [path for path in machine.home.parent.rglob("*") if path.is_file() and path != kept]
    for token in machine.secrets():
        assert token not in said
        assert not [path for path in others if token.encode() in path.read_bytes()]


def test_an_access_token_that_is_still_good_is_not_renewed_by_the_next_process(
    machine: Machine,
) -> None:
    assert [machine.says("-c", ASK) for _ in range(3)] == ["administrator\n"] * 3
    assert machine.renewals() == 1


def test_eight_processes_at_once_renew_once_each_time(machine: Machine) -> None:
    for renewals in range(1, ROUNDS + 1):
        processes = [machine.begin("-c", ASK) for _ in range(PROCESSES)]
        said = [process.communicate(timeout=120)[0] for process in processes]
        assert said == ["administrator\n"] * PROCESSES
        assert machine.renewals() == renewals
        machine.end_access_tokens()


def test_two_accounts_that_share_a_token_share_what_it_is_renewed_to(
    machine: Machine, tmp_path: Path
) -> None:
    file = tmp_path / "harvest.yaml"
    account = machine.environment.pop("HARVEST_ACCOUNT_ID")
    entries = "".join(f"  - {{name: {n}, account_id: {account}}}\n" for n in ("acme", "zeta"))
    file.write_text(f"accounts:\n{entries}")
    machine.environment["HARVEST_CONFIG"] = str(file)
    for renewals in (1, 2):
        assert machine.says("-c", ASK) == "administrator\n" * 2
        assert machine.renewals() == renewals
        machine.end_access_tokens()


def test_a_new_token_in_the_environment_wins_over_what_is_kept(
    machine: Machine, sandbox: SandboxServer
) -> None:
    first = machine.environment["HARVEST_REFRESH_TOKEN"]
    assert machine.says("-c", ASK) == "administrator\n"
    tokens = sandbox.world.tokens
    tokens._revoke(first)  # somebody takes the access back ...
    assert "the refresh token that replaced the one in HARVEST_REFRESH_TOKEN" in machine.says(
        "-c", ASK
    )
    grant = tokens.grant(sandbox.tokens["manager"])
    code = tokens.authorize(grant, "http://127.0.0.1:1/", None, "")
    form = {"grant_type": "authorization_code", "code": code}
    application = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    # ... and signs in again, as another person.
    new = str(tokens.exchange({**application, **form})["refresh_token"])
    machine.environment["HARVEST_REFRESH_TOKEN"] = new
    for _ in range(2):
        assert machine.says("-c", ASK) == "manager\n"
        machine.end_access_tokens()


def test_a_store_that_cannot_be_written_says_so_before_the_token_is_used_up(
    machine: Machine,
) -> None:
    machine.store.parent.mkdir()
    machine.store.touch()  # where the folder would be
    said = machine.says("-c", ASK)
    assert str(machine.store) in said
    assert "HARVEST_TOKEN_STORE" in said
    assert machine.renewals() == 0
    machine.store.unlink()
    assert machine.says("-c", ASK) == "administrator\n"


def test_what_is_kept_is_no_connected_account_and_can_be_removed(machine: Machine) -> None:
    assert machine.says("-c", ASK) == "administrator\n"
    (row,) = json.loads(machine.command("accounts", "--json"))
    assert (row["name"], row["kept_in"], row["kind"]) == ("harvest", "environment", "oauth2")
    assert "No account is connected" in machine.command("accounts", "test")
    said = machine.command("accounts", "remove", "harvest")
    assert said.startswith("What HARVEST_REFRESH_TOKEN was renewed to is removed")
    assert not list(machine.store.glob("*.secret"))
    assert "No account is connected" in machine.command("accounts", "remove", "harvest")
