"""Machines that share a database (HARVEST_STATE): one request limit, whatever their clocks say, and
a server that may be started again."""

import multiprocessing
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from harvest_pipeline import state as module
from harvest_pipeline.harvest.auth import PersonalAccessToken
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import StateUnreachable, StateUnusable
from harvest_pipeline.harvest.limits import Limit, Limiter, Limits
from harvest_pipeline.sandbox.clock import RateLimit, RateLimits
from harvest_pipeline.state import SharedState
from harvest_pipeline_tests.postgres import PASSWORD, Postgres
from harvest_pipeline_tests.sandbox.server import SandboxServer

ANY = msgspec.json.Decoder(dict[str, object])
#: Harvest's limit with another clock: a second in place of fifteen.
AT_HARVEST = RateLimits(general=RateLimit(20, 1))
OURS = Limits(general=Limit(20, 1.0, fallback_pause=1.0))
FEW = Limits(general=Limit(3, 60.0, fallback_pause=1.0))
MACHINES = {"Asia/Tokyo": 3600, "America/New_York": -3600}


def ask(sandbox: str, token: str, account: str, home: Path, address: str, zone: str) -> None:
    """Thirty requests of a machine whose clock is an hour wrong, in another time zone."""
    os.environ |= {"HOME": str(home), "PGTZ": zone, "TZ": zone}
    time.tzset()
    now, nanoseconds = time.time, time.time_ns
    time.time = lambda: now() + MACHINES[zone]
    time.time_ns = lambda: nanoseconds() + MACHINES[zone] * 10**9
    with closing(
        HarvestClient(
            api_url=sandbox,
            id_url=sandbox,
            credentials=PersonalAccessToken(token),
            account_id=account,
            instance=None,
            contact="tests@example.com",
            state_folder=home / "state",
            log=lambda line: None,
            limits=OURS,
            state=SharedState(address),
        )
    ) as client:
        client.in_flight(lambda _: client.get(f"{client.api_url}/users/me", ANY), range(30))


def test_two_machines_use_the_limit_up_together_and_never_pass_it(
    postgres: Postgres, tmp_path: Path
) -> None:
    """Counted by the server."""
    address = postgres.database()
    context = multiprocessing.get_context("spawn")
    with SandboxServer(years=0.1, scale=0.3, rate_limit=AT_HARVEST) as sandbox:
        server = (sandbox.api_url, sandbox.tokens["administrator"], str(sandbox.account_id))
        machines = [
            context.Process(target=ask, args=(*server, tmp_path / zone[:4], address, zone))
            for zone in MACHINES
        ]
        for machine in machines:
            machine.start()
        for machine in machines:
            machine.join()
        requests = sandbox.world.request_log.requests
    assert [machine.exitcode for machine in machines] == [0, 0]
    assert Counter(each.status for each in requests) == {200: 60}
    first = min(each.time for each in requests)
    assert sum((each.time - first).total_seconds() < 1.9 for each in requests) == 20
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_server_that_is_started_again_is_waited_for_and_has_forgotten_nothing(
    postgres: Postgres,
) -> None:
    limiter = Limiter(Path("unused"), FEW, SharedState(postgres.database()))
    limiter.pause("paused", 600)
    assert limiter.acquire("account", reports=False) is None
    postgres.stop()
    restarted = threading.Timer(1.0, postgres.start)
    restarted.start()
    assert limiter.acquire("account", reports=False) is None
    restarted.join()
    postgres.restart()  # between two requests
    assert limiter.left("account").general == 1
    assert limiter.left("paused").pause > 500


def test_a_server_that_stays_away_is_one_sentence_and_may_come_back(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.5)
    monkeypatch.setattr(module, "_AT_FIRST", 0.1)
    address = postgres.database()
    limiter = Limiter(Path("unused"), FEW, SharedState(address))
    limiter.pause("account", 1)
    postgres.stop()
    try:
        with pytest.raises(StateUnreachable) as caught:
            limiter.left("account")
    finally:
        postgres.start()
    assert str(caught.value) == (
        f"{address} (HARVEST_STATE), where the requests to Harvest are counted, cannot be used: "
        "Connection refused. Start that server, or correct the address, PGPASSWORD or ~/.pgpass."
    )
    assert caught.value.retryable
    assert limiter.left("account").general == 3


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("password", 'password authentication failed for user "harvest"'),
        ("missing", "no password supplied"),
        ("database", 'database "nowhere" does not exist'),
        ("stranger", "permission denied for schema harvest_state"),
    ],
)
def test_what_waiting_does_not_mend_is_told_at_once(
    wrong: str, said: str, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = postgres.database()
    if wrong == "password":
        monkeypatch.setenv("PGPASSWORD", "canary-4711")
    elif wrong == "missing":
        monkeypatch.delenv("PGPASSWORD")
        monkeypatch.setenv("PGPASSFILE", os.devnull)
    elif wrong == "database":
        address = postgres.address("nowhere")
    else:
        SharedState(address).transact(lambda connection: None)
        postgres.execute(f"CREATE ROLE {wrong} LOGIN PASSWORD '{PASSWORD}'")
        address = address.replace("//harvest@", f"//{wrong}@")
    began = time.monotonic()
    with pytest.raises(StateUnusable) as caught:
        Limiter(Path("unused"), FEW, SharedState(address)).left("account")
    assert time.monotonic() - began < 4
    assert re.search(f"cannot be used: .*{said}. Start", str(caught.value))
    assert not caught.value.retryable
    assert "canary" not in str(caught.value)


def test_a_forked_process_uses_connections_of_its_own(postgres: Postgres) -> None:
    limiter = Limiter(Path("unused"), FEW, SharedState(postgres.database()))
    assert limiter.acquire("account", reports=False) is None
    child = os.fork()
    if not child:
        os._exit(limiter.acquire("account", reports=False) is not None)
    assert os.waitpid(child, 0)[1] == 0
    assert limiter.acquire("account", reports=False) is None
    assert limiter.left("account").general == 0


def test_nothing_that_machines_share_is_imported_where_they_do_not(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\n"
        "import harvest_pipeline.definitions as definitions\n"
        "from harvest_pipeline.harvest.limits import Limiter\n"
        "from harvest_pipeline.harvest.token_store import TokenStore\n"
        "definitions.defs\n"
        "Limiter(Path(sys.argv[1])).acquire('account', reports=False)\n"
        "TokenStore.from_environment({'HARVEST_TOKEN_STORE': sys.argv[1]}).find('acme')\n"
        "print({name.partition('.')[0] for name in sys.modules} & {'psycopg', 'cryptography'})\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("set()\n", "")
