"""Machines that share a database (HARVEST_STATE) take turns with an account, and nothing that was
read out of turn is kept."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harvest_pipeline import state as module
from harvest_pipeline.state import SharedState
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import TurnLost
from harvest_pipeline.warehouse.place import Place
from harvest_pipeline_tests.postgres import Postgres
from harvest_pipeline_tests.waiting import soon

RESERVE = """
import sys, time
from pathlib import Path
from harvest_pipeline.state import SharedState
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.place import Place
with Warehouse(Place.of(Path(sys.argv[1])), sys.argv[2], state=SharedState(sys.argv[3])).reserved():
    print("reserved", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def state(postgres: Postgres) -> SharedState:
    return SharedState(postgres.database())


@contextmanager
def machine(folder: Path, state: SharedState) -> "Iterator[subprocess.Popen[str]]":
    """Another machine, with a database of its own, that loads the account harvest."""
    command = [sys.executable, "-c", RESERVE, f"{folder / 'other.duckdb'}", "harvest"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, state.address], stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        process.kill()


def says(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline()


def test_an_account_is_reserved_on_all_machines_until_its_process_dies(
    tmp_path: Path, state: SharedState
) -> None:
    log: list[str] = []
    ours = tmp_path / "warehouse.duckdb"
    with machine(tmp_path, state) as holder:
        assert says(holder) == "reserved\n"

        def killed_when_waited_for(line: str) -> None:
            log.append(line)
            holder.kill()  # SIGKILL

        with Warehouse(Place.of(ours), "acme", log=log.append, state=state).reserved():
            assert log == []
        with (
            soon(before=30),
            Warehouse(
                Place.of(ours), "harvest", log=killed_when_waited_for, state=state
            ).reserved(),
        ):
            assert log == ["Waiting: another run of harvest has to end first, 0 s so far"]


def test_who_waits_gets_the_turn_when_it_is_given_back(tmp_path: Path, state: SharedState) -> None:
    ours = Warehouse(Place.of(tmp_path / "warehouse.duckdb"), "harvest", state=state)
    with ours.reserved():
        with ours.reserved():  # a step that failed may give it back late
            pass
        with machine(tmp_path, state) as other:
            with pytest.raises(subprocess.TimeoutExpired):
                other.wait(3)
            with Warehouse(
                Place.of(tmp_path / "warehouse.duckdb"), "harvest", state=state
            ).connect():
                pass
    with machine(tmp_path, state) as other:
        assert says(other) == "reserved\n"


def rows(warehouse: Warehouse) -> int:
    with warehouse.reader() as connection:
        return len(connection.execute("FROM t").fetchall())


def test_a_load_outlives_a_database_that_is_started_again(
    tmp_path: Path, postgres: Postgres, state: SharedState
) -> None:
    warehouse = Warehouse(Place.of(tmp_path / "warehouse.duckdb"), "harvest", state=state)
    with warehouse.reserved():
        for turn in range(2):
            with warehouse.transaction() as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS t AS SELECT 1 AS a")
                postgres.restart()
                connection.execute("INSERT INTO t VALUES (2)")
            assert rows(warehouse) == 2 + turn
        with machine(tmp_path, state) as other, pytest.raises(subprocess.TimeoutExpired):
            other.wait(3)  # the turn is still ours
    assert rows(warehouse) == 3


def test_what_was_read_before_another_machine_took_its_turn_is_not_kept(
    tmp_path: Path, postgres: Postgres, state: SharedState
) -> None:
    """Otherwise an earlier read would replace a later one."""
    warehouse = Warehouse(Place.of(tmp_path / "warehouse.duckdb"), "harvest", state=state)
    with warehouse.transaction() as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    with (
        pytest.raises(TurnLost, match="another run of it has begun; what this one has read is not"),
        warehouse.reserved(),
        machine(tmp_path, state) as other,
        warehouse.transaction() as connection,
    ):
        connection.execute("INSERT INTO t VALUES (2)")
        postgres.restart()
        assert says(other) == "reserved\n"
    assert rows(warehouse) == 1
    with warehouse.reserved(), warehouse.transaction() as connection:
        connection.execute("INSERT INTO t VALUES (2)")
    assert rows(warehouse) == 2


def test_a_database_that_stays_away_ends_the_load_with_a_sentence_and_nothing_half(
    tmp_path: Path, postgres: Postgres, state: SharedState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.5)
    warehouse = Warehouse(Place.of(tmp_path / "warehouse.duckdb"), "harvest", state=state)
    sentence = (
        f"{state.address} (HARVEST_STATE), through which machines take turns with harvest, cannot "
        "be used: Connection refused. Start that server, or correct the address, PGPASSWORD or "
        "~/.pgpass."
    )
    with warehouse.transaction() as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    try:
        with (
            pytest.raises(TurnLost) as caught,
            warehouse.reserved(),
            warehouse.transaction() as connection,
        ):
            connection.execute("INSERT INTO t VALUES (2)")
            postgres.stop()
        assert (str(caught.value), caught.value.retryable) == (sentence, True)
        with pytest.raises(TurnLost), warehouse.reserved():
            pass
    finally:
        postgres.start()
    assert rows(warehouse) == 1
