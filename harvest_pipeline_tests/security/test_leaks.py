"""No secret is anywhere but where it was put, whatever fails (RELIABILITY bars S1, S13).

Everything is played once, in a project and a Dagster home of its own; then every place that a run,
a command or the web server writes to or tells from is searched.

What Dagster itself keeps of a launch (its run config) is the launch's own, so the secret that a
hostile launch brings is searched everywhere but there.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

import pytest

from harvest_pipeline_tests.connect.person import Command, Person, decide
from harvest_pipeline_tests.sandbox.faults import AnswerWith, Hang
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.security import planted
from harvest_pipeline_tests.security.canaries import Canaries
from harvest_pipeline_tests.security.failure import Failure, play
from harvest_pipeline_tests.security.failures import failures
from harvest_pipeline_tests.security.planted import canaries
from harvest_pipeline_tests.security.stage import (
    Outcome,
    Stage,
    Worker,
    watched_processes,
)
from harvest_pipeline_tests.security.webserver import WebServer
from harvest_pipeline_tests.ui.conftest import dev
from harvest_pipeline_tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.slow

#: Only the sandbox and other servers of these tests are ever asked.
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass
class Played:
    """What was played, and what it has left."""

    stage: Stage
    canaries: Canaries
    outcomes: list[tuple[Failure, Outcome]] = field(default_factory=list)
    commands: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    told_by_server: list[tuple[str, bytes]] = field(default_factory=list)
    command_lines: set[bytes] = field(default_factory=set)

    @cached_property
    def in_files(self) -> dict[str, set[str]]:
        """What is found in files that do not hold secrets because they were put there."""
        stage = self.stage
        meant = [path for path in stage.stores.rglob("*") if path.suffix in (".secret", ".json")]
        meant += [stage.keyring, stage.project / ".env", stage.folder / "harvest.yaml"]
        # The sandbox's own credentials stand in its code.
        code = (stage.project / "harvest_pipeline").rglob("*")
        return self.canaries.below(stage.folder, but=[*meant, *code])


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Every failure, once."""
    with SandboxServer(years=0.3, rate_limit=None) as sandbox:
        stage = Stage(tmp_path_factory.mktemp("leaks"), sandbox)
        played = Played(stage, canaries())
        with watched_processes() as command_lines:
            play_failures(played)
            play_consent(played)
            play_web_server(played)
        played.command_lines = command_lines
        # What the sandbox accepts, and every token that it has given away meanwhile.
        tokens = sandbox.world.tokens
        opening = [sandbox.tokens["administrator"], sandbox.client_secret, sandbox.refresh_token]
        for number, secret in enumerate([*opening, *tokens._access, *tokens._refresh]):
            played.canaries.add(f"secret {number} of the sandbox", secret)
        yield played


def play_failures(played: Played) -> None:
    stage = played.stage
    worker = Worker(stage)
    try:
        with failures(stage) as table:
            for failure in table:
                played.outcomes.append((failure, play(stage, worker, failure)))
        for failure, outcome in (*while_held(stage, worker), interrupted(stage, worker)):
            played.outcomes.append((failure, outcome))
        with reading(stage, worker):
            worker.kill()
    finally:
        worker.close()


def while_held(stage: Stage, worker: Worker) -> Iterator[tuple[Failure, Outcome]]:
    """Another program holds the database; its arguments are nobody's business."""
    code = (
        f"import duckdb, time; held = duckdb.connect({str(stage.database)!r});"
        "print(1, flush=True); time.sleep(600)"
    )
    held = Failure("database that is held", "is held by .* \\(process")
    with subprocess.Popen(
        [sys.executable, "-c", code, planted.OF_HOLDER], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout and holder.stdout.readline()
        try:
            yield held, play(stage, worker, held)
            doctor = Failure("doctor on a database that is held", command=("doctor",))
            yield doctor, play(stage, worker, doctor)
        finally:
            holder.kill()


@contextmanager
def reading(stage: Stage, worker: Worker) -> Iterator[None]:
    """A run that has the first page of a list and waits for the second."""
    waiting = stage.sandbox.faults
    waiting.clear()
    link = f"{stage.sandbox.api_url}/clients?access_token={planted.OF_ANSWER}"
    # Long enough to be written to the spool before the next page is there.
    page = {"clients": [{"id": 1, "name": "n" * 100_000}], "links": {"next": link}}
    for each in (
        planted.ME,
        AnswerWith(path="/clients", status=200, body=json.dumps(page)),
        Hang(path="/clients", seconds=60),
    ):
        waiting.add(each)
    worker.begin(
        stage.environment(HARVEST_ACCESS_TOKEN=planted.TOKEN), assets=[("harvest", "clients")]
    )
    wait_for(
        lambda: not any(isinstance(f, Hang) for f in waiting.waiting), lambda: "the run to read"
    )
    yield
    waiting.clear()


def interrupted(stage: Stage, worker: Worker) -> tuple[Failure, Outcome]:
    with reading(stage, worker):
        os.kill(worker.pid, signal.SIGINT)
        return Failure("Ctrl-C while reading", "interrupt"), worker.outcome()


def play_consent(played: Played) -> None:
    """`connect` with a person who answers Harvest's page, as processes of their own."""
    stage, sandbox = played.stage, played.stage.sandbox
    person = Person(stage.stores / "connected", sandbox)
    person.environment = stage.environment(
        HARVEST_ACCESS_TOKEN="",
        HARVEST_TOKEN_STORE=str(person.store),
        HARVEST_CLIENT_ID=sandbox.client_id,
        HARVEST_CLIENT_SECRET=sandbox.client_secret,
    )

    def ended(command: Command, decision: str) -> str:
        redirect = decide(command.address(), decision=decision)
        played.canaries.add(f"code after {decision}", code_of(redirect))
        command.type(f"{redirect}\n")
        command.wait()
        return command.output

    connect = ("connect", "--no-browser")
    played.commands["Access was refused"] = ended(person.start(*connect), "deny")
    said = f'{{"error": "invalid_client", "error_description": "{planted.CLIENT_ID}"}}'
    sandbox.faults.add(AnswerWith(path="/oauth2/token", status=401, body=said))
    wrong = {"HARVEST_CLIENT_SECRET": planted.CLIENT_SECRET}
    played.commands["does not know HARVEST_CLIENT_ID"] = ended(
        person.start(*connect, **wrong), "allow"
    )
    played.commands["administrator"] = ended(person.start(*connect), "allow")


def code_of(redirect: str) -> str:
    """The code in the address of a redirect; one that is nowhere if there is none."""
    found = re.search(r"code=([^&]+)", urlsplit(redirect).query)
    return found[1] if found else "no-code-was-given-away"


def play_web_server(played: Played) -> None:
    """The UI on three accounts, runs that are launched from it, and all that it tells."""
    stage, sandbox = played.stage, played.stage.sandbox
    names = ("acme", "blue_sky", "cedar")
    lines = [f"  - {{name: {name}, account_id: {sandbox.account_id}}}\n" for name in names]
    (stage.folder / "harvest.yaml").write_text("".join(["accounts:\n", *lines]))
    (stage.project / ".env").write_text(planted.DOTENV)
    environment = stage.environment(
        HARVEST_CONFIG=str(stage.folder / "harvest.yaml"),
        HARVEST_ACCOUNT_ID="",
        HARVEST_DUCKDB=str(stage.folder / "data" / "three.duckdb"),
        HARVEST_ACME_ACCESS_TOKEN=sandbox.tokens["administrator"],
        HARVEST_BLUE_SKY_CLIENT_ID=planted.CLIENT_ID,
        HARVEST_BLUE_SKY_CLIENT_SECRET=planted.CLIENT_SECRET,
        HARVEST_BLUE_SKY_REFRESH_TOKEN=planted.REFRESH_TOKEN,
        # That of .env, for the account that has none of its own.
        HARVEST_ACCESS_TOKEN=None,
    )
    with dev(environment, stage.output / "dev.txt") as url:
        server = WebServer(url)
        launched = {"token": planted.LAUNCHED}
        runs = {
            "acme": server.launch("acme", "people", "clients"),
            "blue_sky": server.launch("blue_sky", "people", "clients"),
            "refused": server.launch(
                "cedar",
                "people",
                config={"resources": {"cedar": {"config": {"access_token": launched["token"]}}}},
            ),
        }
        wait_for(
            lambda: all(over(server.status(run)) for run in runs.values()), lambda: "three runs"
        )
        sandbox.faults.add(Hang(path="/users", seconds=PATIENCE))
        runs["terminated"] = server.launch("acme", "people", "clients")
        wait_for(lambda: not sandbox.faults.waiting, lambda: "a run to read")
        server.terminate(runs["terminated"])
        wait_for(lambda: over(server.status(runs["terminated"])), lambda: "its end")
        played.statuses = {name: server.status(run) for name, run in runs.items()}
        played.told_by_server = list(server.everything("acme_all_reports", stage.home))


def over(status: str) -> bool:
    return status in ("SUCCESS", "FAILURE", "CANCELED")


class TestWhatWasPlayed:
    """A failure that does not happen would leak nothing either."""

    def test_every_failure_happened_and_said_what_it_was(self, played: Played) -> None:
        wrong = [
            f"{failure.name}: {outcome.told[-500:]!r}"
            for failure, outcome in played.outcomes
            if outcome.ok is bool(failure.told) or not re.search(failure.told, outcome.told)
        ]
        assert not wrong, "\n".join(wrong)
        assert len(played.outcomes) > 100

    def test_whoever_connected_was_told_how_it_ended(self, played: Played) -> None:
        for words, output in played.commands.items():
            assert words in output
        assert (played.stage.stores / "connected" / "harvest.secret").exists()

    def test_the_runs_of_the_web_server_ended_as_they_should(self, played: Played) -> None:
        assert played.statuses == {
            "acme": "SUCCESS",
            "blue_sky": "FAILURE",
            "refused": "FAILURE",
            "terminated": "CANCELED",
        }

    def test_the_places_that_are_searched_are_not_empty(self, played: Played) -> None:
        files = [path.name for path in played.stage.folder.rglob("*") if path.is_file()]
        for name in ("runs.db", "index.db", "requests.sqlite", "warehouse.duckdb", "worker.txt"):
            assert name in files
        assert [name for name in files if name.endswith((".err", ".out"))]
        # The run that was killed has left its spool, with the page that it had read.
        spools = (played.stage.project / "data" / "state").glob("spool-*/*")
        assert any(path.stat().st_size for path in spools)
        assert any(b"grpc" in line for line in played.command_lines)


class TestNoSecretIs:
    def test_in_what_runs_and_commands_say(self, played: Played) -> None:
        told = {f.name: played.canaries.within(o.told.encode()) for f, o in played.outcomes}
        assert {name: found for name, found in told.items() if found} == {}
        for words, output in played.commands.items():
            # The address that is opened in the browser names the application, not its secret.
            assert played.canaries.within(output.encode()) == set(), words

    def test_in_any_file_but_those_for_secrets(self, played: Played) -> None:
        found = {place: names - {"LAUNCHED"} for place, names in played.in_files.items()}
        assert {place: names for place, names in found.items() if names} == {}

    def test_in_what_the_web_server_tells(self, played: Played) -> None:
        searched = played.canaries.without("LAUNCHED")
        found = {name: searched.within(content) for name, content in played.told_by_server}
        assert len(found) > 200
        assert {name: secrets for name, secrets in found.items() if secrets} == {}

    def test_in_the_arguments_of_any_process(self, played: Played) -> None:
        searched = played.canaries.without("OF_HOLDER")
        assert {name for line in played.command_lines for name in searched.within(line)} == set()

    def test_in_our_own_words_about_a_launch_that_brings_one(self, played: Played) -> None:
        """Dagster keeps the config of the launch in the tables of runs, and shows it there."""
        home = played.stage.home
        kept = {place for place, names in played.in_files.items() if "LAUNCHED" in names}
        assert kept <= {f"{home.name}/history/runs.db", f"{home.name}/history/runs.db-wal"}
        events = [c for name, c in played.told_by_server if name.startswith("events of ")]
        assert not any("LAUNCHED" in played.canaries.within(content) for content in events)


def test_nobody_was_connected_to_but_this_machine(played: Played) -> None:
    """By Python's own account, in every process; test_egress.py asks the system."""
    assert set(played.stage.egress.read_text().split()) <= LOOPBACK
