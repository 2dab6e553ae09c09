"""The request limits hold for threads, for processes, for machines, and through crashes."""

import multiprocessing
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pyrate_limiter.buckets import sqlite_bucket

from harvest_pipeline.harvest.errors import StateUnusable
from harvest_pipeline.harvest.limits import Left, Limit, Limiter, Limits
from harvest_pipeline.state import SharedState
from harvest_pipeline_tests.postgres import Postgres
from harvest_pipeline_tests.waiting import PATIENCE

#: 20 requests in half a second: Harvest's limit with another clock.
SCALED = Limits(Limit(20, 0.5, 0.1, margin=0.1), Limit(5, 0.8, 0.1, margin=0.1))
FEW = Limits(Limit(3, 60.0, 1.0), Limit(2, 900.0, 1.0))


def most_in_any(seconds: float, times: list[float]) -> int:
    times = sorted(times)
    return max(sum(1 for other in times if 0 <= other - time < seconds) for time in times)


class Place:
    """Where requests are counted; processes of any machine get a limiter from it."""

    #: How exact a wait is, in seconds.
    exact = 0.01

    def __init__(self, folder: Path, state: SharedState | None = None) -> None:
        self.folder = folder
        self.state = state

    def limiter(self, limits: Limits | None = FEW) -> Limiter:
        return Limiter(self.folder, limits, self.state)


class OnDisk(Place):
    """With the time as pyrate-limiter sees it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder)
        self._now = time.time()
        monkeypatch.setattr(sqlite_bucket, "time_ns", lambda: int(self._now * 1e9))

    def advance(self, seconds: float) -> None:
        """Let so much time pass; less than nothing: set the clock back."""
        self._now += seconds


class Shared(Place):
    """The server's clock goes on, so all that is written down becomes older."""

    exact = 0.9

    def __init__(self, folder: Path, postgres: Postgres) -> None:
        super().__init__(folder, SharedState(postgres.database()))

    def advance(self, seconds: float) -> None:
        older = f"item_timestamp = item_timestamp - interval '{seconds} seconds'"
        tables = "SELECT table_name FROM information_schema.tables WHERE table_name ~ '^ratelimit_'"

        def pass_by(connection: Any) -> None:
            for (table,) in connection.execute(tables).fetchall():
                connection.execute(f'UPDATE "{table}" SET {older}')
            connection.execute("UPDATE pauses SET until = until - %s", [seconds])

        assert self.state
        self.state.transact(pass_by)


@pytest.fixture(params=["disk", "shared"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> OnDisk | Shared:
    if request.param == "disk":
        return OnDisk(tmp_path, monkeypatch)
    return Shared(tmp_path, request.getfixturevalue("postgres"))


def work(place: Place, requests: int, sent: "multiprocessing.Queue[list[float]]") -> None:
    limiter = place.limiter(SCALED)
    times: list[float] = []
    while len(times) < requests:
        if wait := limiter.acquire("account", reports=False):
            time.sleep(wait.seconds)
        else:
            times.append(time.monotonic())
    sent.put(times)


def taken(limiter: Limiter, account: str = "account", *, reports: bool = False) -> int:
    """How many requests may be sent before one has to wait."""
    number = 0
    while limiter.acquire(account, reports=reports) is None:
        number += 1
    return number


def test_processes_share_one_limit(place: OnDisk | Shared) -> None:
    context = multiprocessing.get_context("spawn")
    sent: multiprocessing.Queue[list[float]] = context.Queue()
    there = Place(place.folder, place.state)
    processes = [context.Process(target=work, args=(there, 35, sent)) for _ in range(2)]
    for process in processes:
        process.start()
    times = sent.get(timeout=PATIENCE) + sent.get(timeout=PATIENCE)
    for process in processes:
        process.join()
    assert len(times) == 70
    assert most_in_any(0.5, times) <= 20


def test_a_limit_is_used_up_before_anybody_waits_and_comes_back_whole(
    place: OnDisk | Shared,
) -> None:
    limiter = place.limiter(None)
    for _ in range(3):
        assert taken(limiter) == 100
        wait = limiter.acquire("account", reports=False)
        assert wait is not None
        assert wait.seconds == pytest.approx(16.0, abs=place.exact)  # 15, and what is on the way
        assert wait.reason == "Harvest allows 100 requests in 15 seconds"
        place.advance(wait.seconds + 1)


def test_accounts_and_kinds_do_not_wait_for_each_other(place: OnDisk | Shared) -> None:
    limiter = place.limiter()
    long = "a.host.with.a.name.that.is.longer.than.a.table.of.postgres.may.be.harvestapp.com"
    for account in ("api.harvestapp.com 1", "api.harvestapp.com 2", f"{long} 1", f"{long} 2"):
        assert taken(limiter, account) == 3
    assert taken(limiter, "api.harvestapp.com 1", reports=True) == 2


def take_and_die(place: Place) -> None:
    taken(place.limiter())
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_process_has_sent_still_counts_and_blocks_nobody(
    place: OnDisk | Shared,
) -> None:
    there = Place(place.folder, place.state)
    process = multiprocessing.get_context("spawn").Process(target=take_and_die, args=(there,))
    began = time.time()
    process.start()
    process.join()
    place.advance(time.time() - began if place.state is None else 0)
    limiter = place.limiter()
    assert taken(limiter) == 0
    place.advance(61.1)
    assert taken(limiter) == 3


def test_a_pause_holds_for_all_and_is_never_shortened(place: OnDisk | Shared) -> None:
    limiter, other = place.limiter(), place.limiter()
    limiter.pause("account", 600.0)
    other.pause("account", 0.1)
    for reports in (False, True):
        wait = other.acquire("account", reports=reports)
        assert wait is not None
        assert wait.seconds == pytest.approx(600.0, abs=place.exact)
        assert wait.reason == "Harvest has asked for a pause"
    assert other.acquire("another", reports=False) is None
    place.advance(600.1)
    assert other.acquire("account", reports=True) is None


def test_what_is_left_is_counted_for_each_account_and_kind(place: OnDisk | Shared) -> None:
    limiter = place.limiter()
    assert limiter.left("account") == Left(general=3, reports=2, pause=0.0)
    for reports in (False, False, True):
        assert limiter.acquire("account", reports=reports) is None
    limiter.pause("account", 30.0)
    left = limiter.left("account")
    assert (left.general, left.reports) == (1, 1)
    assert left.pause == pytest.approx(30.0, abs=place.exact)
    assert limiter.left("account").general == 1  # looking takes nothing
    assert limiter.left("other") == Left(general=3, reports=2, pause=0.0)


def test_a_clock_that_was_set_back_blocks_nobody(place: OnDisk | Shared) -> None:
    """pyrate-limiter alone waits until the hour has come once more."""
    limiter = place.limiter()
    assert taken(limiter) == 3
    limiter.pause("account", 600)
    place.advance(-3600)
    assert limiter.left("account") == Left(general=3, reports=2, pause=0.0)
    assert limiter.acquire("account", reports=False) is None


def test_the_files_are_for_their_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        limiter = Limiter(tmp_path / "state", FEW)
        limiter.acquire("account", reports=False)
        limiter.pause("account", 1.0)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    for file in (tmp_path / "state").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_another_limiter_of_the_process_leaves_the_locks_of_the_first_one_alone(
    tmp_path: Path,
) -> None:
    """Closing any handle of a file takes away all locks that a process has on it."""
    Limiter(tmp_path)
    path = tmp_path / "requests.sqlite"
    again = f"import sqlite3; sqlite3.connect({str(path)!r}, 0).execute('BEGIN IMMEDIATE')"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        Limiter(tmp_path)
        other = subprocess.run([sys.executable, "-c", again], capture_output=True, text=True)
    assert "database is locked" in other.stderr


def test_a_file_that_is_no_database_and_a_folder_that_cannot_be_made_are_named(
    tmp_path: Path,
) -> None:
    (tmp_path / "requests.sqlite").write_text("not a database, and long enough to be looked at" * 9)
    with pytest.raises(StateUnusable, match=r"requests\.sqlite.*not a database.*delete"):
        Limiter(tmp_path).acquire("account", reports=False)
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StateUnusable, match="state"):
        Limiter(tmp_path / "state")
