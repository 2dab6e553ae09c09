"""The request limits hold for threads, for processes, and through crashes."""

import multiprocessing
import os
import signal
import stat
import time
from pathlib import Path

import msgspec
import pytest

from harvest_pipeline.harvest.errors import StateUnusable
from harvest_pipeline.harvest.limits import Left, Limit, Limiter, Limits
from harvest_pipeline.harvest.patience import Patience
from harvest_pipeline_tests.harvest.conftest import LIMITS, MakeClient
from harvest_pipeline_tests.harvest.fault_server import FaultServer, answer, script
from harvest_pipeline_tests.waiting import PATIENCE

ANY = msgspec.json.Decoder(dict[str, object])
#: 20 requests in half a second: Harvest's limit with another clock.
SCALED = Limits(Limit(20, 0.5, fallback_pause=0.1), Limit(5, 0.8, fallback_pause=0.1))


def most_in_any(seconds: float, times: list[float]) -> int:
    times = sorted(times)
    return max(sum(1 for other in times if 0 <= other - time < seconds) for time in times)


def work(folder: Path, requests: int, sent: "multiprocessing.Queue[list[float]]") -> None:
    limiter = Limiter(folder, SCALED, Patience())
    times: list[float] = []
    while len(times) < requests:
        turn = limiter.enter("account", reports=False)
        if turn.slot is None:
            time.sleep(turn.wait)
            continue
        times.append(time.monotonic())
        time.sleep(0.002)
        limiter.leave(turn.slot, reports=False)
    sent.put(times)


class Clock:
    """The time as the limiter sees it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.time()
        monkeypatch.setattr("harvest_pipeline.harvest.limits.time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_processes_share_one_limit(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    sent: multiprocessing.Queue[list[float]] = context.Queue()
    processes = [context.Process(target=work, args=(tmp_path, 35, sent)) for _ in range(2)]
    for process in processes:
        process.start()
    times = sent.get(timeout=PATIENCE) + sent.get(timeout=PATIENCE)
    for process in processes:
        process.join()
    assert len(times) == 70
    assert most_in_any(0.5, times) <= 20


def test_a_limit_is_used_up_before_anybody_waits(tmp_path: Path, clock: Clock) -> None:
    limiter = Limiter(tmp_path, SCALED, Patience())
    for _ in range(3):
        for _ in range(20):
            turn = limiter.enter("account", reports=False)
            assert turn.slot is not None
            limiter.leave(turn.slot, reports=False)
        wait = limiter.enter("account", reports=False).wait
        assert wait == pytest.approx(0.5, abs=0.001)
        clock.now += wait


def test_threads_keep_general_and_report_limits_apart(make_client: MakeClient) -> None:
    with FaultServer(script(answer({}))) as server:
        client = make_client(server.url, limits=SCALED)
        paths = ["/reports/time/clients"] * 11 + ["/clients"] * 50
        client.in_flight(lambda path: client.get(f"{client.api_url}{path}", ANY), paths)
        asked = {
            kind: [r.at for r in server.requests if ("/reports/" in r.path) == kind]
            for kind in (True, False)
        }
    assert (len(asked[True]), len(asked[False])) == (11, 50)
    assert most_in_any(0.8, asked[True]) <= 5
    assert most_in_any(0.5, asked[False]) <= 20


def test_a_slot_is_free_a_window_after_the_answer_not_after_the_question(
    tmp_path: Path, clock: Clock
) -> None:
    """A slow answer may have been counted by Harvest as late as it came."""
    limiter = Limiter(tmp_path, Limits(Limit(1, 0.3, 1.0), Limit(1, 0.3, 1.0)), Patience())
    turn = limiter.enter("account", reports=False)
    assert turn.slot is not None
    clock.now += 0.4
    assert limiter.enter("account", reports=False).slot is None
    limiter.leave(turn.slot, reports=False)
    assert limiter.enter("account", reports=False).wait == pytest.approx(0.3, abs=0.001)
    clock.now += 0.31
    assert limiter.enter("account", reports=False).slot is not None


def test_accounts_do_not_wait_for_each_other(tmp_path: Path) -> None:
    limiter = Limiter(tmp_path, Limits(Limit(1, 60.0, 1.0), Limit(1, 60.0, 1.0)), Patience())
    assert limiter.enter("one", reports=False).slot is not None
    assert limiter.enter("one", reports=False).slot is None
    assert limiter.enter("other", reports=False).slot is not None


def take_and_die(folder: Path) -> None:
    Limiter(folder, SCALED, Patience(deadline=PATIENCE)).enter("account", reports=False)
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_slots_of_a_process_that_died_come_back(tmp_path: Path, clock: Clock) -> None:
    process = multiprocessing.get_context("spawn").Process(target=take_and_die, args=(tmp_path,))
    process.start()
    process.join()
    one = Limits(Limit(1, 0.5, 1.0), Limit(1, 0.5, 1.0))
    limiter = Limiter(tmp_path, one, Patience(deadline=PATIENCE))
    clock.now = time.time()
    turn = limiter.enter("account", reports=False)
    assert turn.slot is None
    # Window and deadline, from when it took the slot.
    assert 0 < turn.wait <= 0.5 + PATIENCE
    clock.now += turn.wait
    assert limiter.enter("account", reports=False).slot is not None


def test_a_pause_holds_for_all_and_is_never_shortened(tmp_path: Path, clock: Clock) -> None:
    limiter, other = (Limiter(tmp_path, LIMITS, Patience()) for _ in range(2))
    limiter.pause("account", 0.4)
    other.pause("account", 0.1)
    assert other.enter("account", reports=True).wait == pytest.approx(0.4, abs=0.001)
    clock.now += 0.41
    assert other.enter("account", reports=True).slot is not None


def test_what_is_left_is_counted_for_each_account_and_kind(tmp_path: Path, clock: Clock) -> None:
    limiter = Limiter(tmp_path, Limits(Limit(3, 60.0, 1.0), Limit(2, 60.0, 1.0)), Patience())
    assert limiter.left("account") == Left(general=3, reports=2, pause=0.0)
    for reports in (False, False, True):
        turn = limiter.enter("account", reports=reports)
        assert turn.slot is not None
        limiter.leave(turn.slot, reports=reports)
    assert limiter.left("account") == Left(general=1, reports=1, pause=0.0)
    assert limiter.left("other") == Left(general=3, reports=2, pause=0.0)
    limiter.pause("account", 30.0)
    assert limiter.left("account").pause == pytest.approx(30.0, abs=0.001)
    assert limiter.left("account").general == 1  # looking takes nothing


def test_slots_from_before_the_clock_was_set_back_are_not_counted(
    tmp_path: Path, clock: Clock
) -> None:
    limiter = Limiter(tmp_path, Limits(Limit(3, 15.0, 1.0), Limit(2, 15.0, 1.0)), Patience())
    clock.now += 3600
    assert limiter.enter("account", reports=False).slot is not None
    clock.now -= 3600
    assert limiter.left("account").general == 3


def test_a_pause_is_heeded_by_those_who_would_wait_less(tmp_path: Path) -> None:
    """A command that waits for seconds neither forgets nor shortens a pause of minutes."""
    run, command = (Limiter(tmp_path, LIMITS, p) for p in (Patience(), Patience(throttle_cap=1.0)))
    run.pause("account", 600.0)
    assert command.enter("account", reports=False).slot is None
    command.pause("account", 0.5)
    assert run.enter("account", reports=False).wait > 590


def test_a_clock_that_was_set_back_blocks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = Limiter(tmp_path, Limits(Limit(1, 15.0, 1.0), Limit(1, 15.0, 1.0)), Patience())
    an_hour_on = time.time() + 3600
    monkeypatch.setattr("harvest_pipeline.harvest.limits.time", lambda: an_hour_on)
    assert limiter.enter("account", reports=False).slot is not None
    limiter.pause("account", 600)
    monkeypatch.undo()
    assert limiter.enter("account", reports=False).slot is not None


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        limiter = Limiter(tmp_path / "state", LIMITS, Patience())
        limiter.enter("account", reports=False)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    for file in (tmp_path / "state").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "requests.sqlite").write_text("not a database, and long enough to be looked at" * 9)
    with pytest.raises(StateUnusable, match=r"requests\.sqlite.*not a database.*delete"):
        Limiter(tmp_path, LIMITS, Patience())


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StateUnusable, match="state"):
        Limiter(tmp_path / "state", LIMITS, Patience())
