"""Commands where machines share a database (HARVEST_STATE): they say where an account is kept, and
whether that works."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from harvest_pipeline_tests.cli.connect.person import Person
from harvest_pipeline_tests.harvest.connected import KEY
from harvest_pipeline_tests.postgres import PASSWORD, Postgres
from harvest_pipeline_tests.sandbox.server import SandboxServer

NEW = Fernet.generate_key().decode()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(years=0.1, scale=0.3, rate_limit=None) as server:
        yield server


@pytest.fixture
def person(sandbox: SandboxServer, postgres: Postgres, tmp_path: Path) -> Person:
    """At one of the machines."""
    person = Person(tmp_path / "store", sandbox)
    person.environment |= {
        "HARVEST_STATE": postgres.database(),
        "HARVEST_STATE_KEY": KEY,
        "HARVEST_DUCKDB": str(tmp_path / "warehouse.duckdb"),
        "DAGSTER_HOME": "",
        "COLUMNS": "1000",
        "PGPASSWORD": os.environ["PGPASSWORD"],
    }
    return person


def connect(person: Person, sandbox: SandboxServer, **variables: str) -> str:
    typed = f"{sandbox.tokens['administrator']}\n"
    return person.run("connect", "--token", "-", typed=typed, **variables).output


def state(person: Person, **variables: str) -> dict[str, tuple[str, str]]:
    """What the doctor says of it."""
    told = json.loads(person.run("doctor", "--offline", "--json", **variables).output)
    assert not [each for each in (PASSWORD, KEY, NEW, "canary") if each in json.dumps(told)]
    (section,) = (each for each in told["sections"] if each["title"] == "state")
    return {
        each["subject"]: (each["state"], f"{each['text']} {each['remedy'] or ''}".strip())
        for each in section["findings"]
    }


def test_an_account_that_one_machine_connects_is_there_on_all_until_one_removes_it(
    person: Person, sandbox: SandboxServer, tmp_path: Path
) -> None:
    address = person.environment["HARVEST_STATE"]
    said = connect(person, sandbox)
    assert f"stored as harvest in {address} (HARVEST_STATE), encrypted, for all machines" in said
    other = Person(tmp_path / "of another machine", sandbox)
    other.environment = {**person.environment, "HOME": str(tmp_path / "home")}
    (row,) = json.loads(other.run("accounts", "--json").output)
    assert (row["name"], row["kept_in"], row["problem"]) == ("harvest", "shared", None)
    assert "harvest: ok; " in other.run("accounts", "test").output
    assert f"stored in {address} (HARVEST_STATE), encrypted" in other.run("doctor").output
    assert "are removed from all machines" in other.run("accounts", "remove", "harvest").output
    assert "No account is connected" in person.run("accounts").output
    assert not person.store.exists()


def test_a_machine_with_another_key_connects_nothing_in_place_of_what_is_there(
    person: Person, sandbox: SandboxServer
) -> None:
    connect(person, sandbox)
    told = connect(person, sandbox, HARVEST_STATE_KEY=NEW)
    assert re.search("Error: What .* keeps of harvest was not encrypted with this", told)
    told = connect(person, sandbox, HARVEST_STATE_KEY="")
    assert told.startswith("Error: HARVEST_STATE_KEY is not set, and no account is kept in")
    assert "harvest: ok; " in person.run("accounts", "test").output


def test_the_doctor_says_which_state_is_used_whether_it_answers_and_which_key_is_needed(
    person: Person, sandbox: SandboxServer, postgres: Postgres
) -> None:
    address = person.environment["HARVEST_STATE"]
    found = state(person)
    answers = rf"{address}, PostgreSQL \d+\.\d+, which answers in \d+ ms: shared by all machines .*"
    assert found["state"][0] == "ok"
    assert re.fullmatch(answers, found["state"][1])
    assert found["state key"] == ("ok", "all that is stored (0) is encrypted with the first key")
    assert state(person, HARVEST_STATE_KEY="")["state key"] == (
        "ok",
        "not set, and no account is stored",
    )
    assert state(person, HARVEST_STATE_KEY="canary")["state key"][0] == "wrong"
    connect(person, sandbox)
    assert state(person, HARVEST_STATE_KEY="")["state key"][0] == "wrong"
    assert state(person, HARVEST_STATE_KEY=NEW)["state key"][0] == "wrong"
    assert state(person, HARVEST_STATE_KEY=f"{NEW},{KEY}")["state key"] == (
        "warning",
        "a later key of HARVEST_STATE_KEY is still needed for harvest. Keep it until a run, or "
        "`harvest-pipeline accounts test`, has read them.",
    )
    person.run("accounts", "test", HARVEST_STATE_KEY=f"{NEW},{KEY}")
    assert state(person, HARVEST_STATE_KEY=f"{NEW},{KEY}")["state key"][0] == "ok"
    with person.start("doctor", "--offline", "--json", PGPASSWORD="canary-4711") as command:
        assert command.wait() == 1  # a process that has no connection yet
    assert "password authentication failed for user" in command.output
    assert "canary" not in command.output
    assert "requests are counted in" in state(person, HARVEST_STATE="")["state"][1]


def test_a_password_in_the_address_is_refused_by_every_command(person: Person) -> None:
    wrong = {"HARVEST_STATE": "postgresql://harvest:canary@127.0.0.1/harvest"}
    connect, doctor = ("connect", "--token", "-"), ("doctor", "--offline")
    for words in (("accounts",), connect, doctor, ("reports",)):
        told = person.run(*words, **wrong)
        assert told.code == 1
        assert "it holds a password, and addresses are shown" in " ".join(told.output.split())
        assert "canary" not in told.output
