"""One question: retried where that can help, never where it cannot, and paused when asked to."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import msgspec
import pytest

from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import (
    AnswerInvalid,
    HarvestError,
    HarvestUnavailable,
    PermissionMissing,
    RateLimited,
    RecordNotFound,
    RequestRefused,
    TokenRejected,
)
from harvest_pipeline.harvest.limits import Limiter
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.conftest import MakeClient
from harvest_pipeline_tests.harvest.fault_server import Action, FaultServer, script
from harvest_pipeline_tests.waiting import PATIENCE, soon, wait_for

ANY = msgspec.json.Decoder(dict[str, object])
FINE = fault.answer({"id": 1})


def get(client: HarvestClient, path: str = "/thing") -> dict[str, object]:
    content, _ = client.get(f"{client.api_url}{path}", ANY)
    return content


@pytest.mark.parametrize(
    "broken",
    [
        fault.answer({}, 500),
        fault.web_page(502),
        fault.answer({}, 503),
        fault.answer({}, 504),
        fault.web_page(200),
        fault.raw(b""),
        fault.answer([]),
    ],
    ids=["500", "502 page", "503", "504", "200 page", "nothing", "a list"],
)
def test_a_passing_fault_is_survived(broken: Action, make_client: MakeClient) -> None:
    with FaultServer(script(broken, broken, FINE)) as server:
        assert get(make_client(server.url)) == {"id": 1}
        assert len(server.requests) == 3


def test_a_lasting_fault_ends_with_status_path_and_attempts(make_client: MakeClient) -> None:
    with FaultServer(script(fault.web_page(502))) as server:
        with pytest.raises(HarvestUnavailable) as caught:
            get(make_client(server.url))
        assert len(server.requests) == 3
    assert str(caught.value).startswith(
        "/v2/thing could not be read: Harvest fails (status 502) (attempts: 3)."
    )


def test_a_web_page_with_status_200_is_no_answer(make_client: MakeClient) -> None:
    with (
        FaultServer(script(fault.web_page(200))) as server,
        pytest.raises(AnswerInvalid, match="a web page came"),
    ):
        get(make_client(server.url))


def test_pauses_grow(make_client: MakeClient) -> None:
    with FaultServer(script(fault.answer({}, 500))) as server:
        with pytest.raises(HarvestUnavailable):
            get(make_client(server.url, attempts=4, first_pause=0.1, longest_pause=9.0))
        times = [request.at for request in server.requests]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    for pause, mean in zip(pauses, (0.1, 0.2, 0.4), strict=True):
        assert 0.5 * mean <= pause <= 1.5 * mean + 0.3


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (400, {"message": "User-Agent"}, RequestRefused, "status 400, saying 'User-Agent'"),
        (401, {"error": "invalid_token"}, TokenRejected, "HARVEST_ACCESS_TOKEN"),
        (403, {"message": "Not authorized!"}, PermissionMissing, "open to: an administrator"),
        (404, {"status": 404}, RecordNotFound, "no /v2/thing"),
        (422, {"message": "per_page is\n too large"}, RequestRefused, "'per_page is too large'"),
        (418, {}, RequestRefused, "status 418"),
    ],
)
def test_a_refusal_is_not_repeated(
    status: int, body: object, kind: type[HarvestError], said: str, make_client: MakeClient
) -> None:
    with FaultServer(script(fault.answer(body, status))) as server:
        with pytest.raises(kind) as caught:
            get(make_client(server.url))
        assert len(server.requests) == 1
    assert said in str(caught.value)
    assert not caught.value.retryable


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long all who share an account are stopped, each time."""
    found: list[float] = []
    stop = Limiter.pause

    def noting(limiter: Limiter, account: str, seconds: float) -> None:
        found.append(seconds)
        stop(limiter, account, seconds)

    monkeypatch.setattr(Limiter, "pause", noting)
    return found


def _in(seconds: float, clock_ahead: float = 0.0) -> dict[str, str]:
    """`Retry-After` as a date, by a server whose clock may be ahead of ours."""
    now = datetime.now(UTC) + timedelta(seconds=clock_ahead)
    return {
        "Date": format_datetime(now, usegmt=True),
        "Retry-After": format_datetime(now + timedelta(seconds=seconds), usegmt=True),
    }


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"Retry-After": "1"}, 1.0),
        (_in(1), 1.0),
        (_in(1, clock_ahead=3600), 1.0),
        (_in(1, clock_ahead=-3600), 1.0),
        ({"Retry-After": "soon"}, 0.1),
        ({"Retry-After": "-5"}, 0.1),
        ({"Retry-After": ""}, 0.1),
        ({}, 0.1),
        (_in(-60), 0.1),
    ],
    ids=["seconds", "date", "ahead", "behind", "junk", "negative", "empty", "missing", "past"],
)
def test_429_waits_as_long_as_harvest_says(
    headers: dict[str, str], pause: float, pauses: list[float], make_client: MakeClient
) -> None:
    with FaultServer(script(fault.answer({}, 429, headers), FINE)) as server:
        assert get(make_client(server.url)) == {"id": 1}
        first, second = (request.at for request in server.requests)
    assert pauses == [pause]
    assert second - first >= pause


def test_a_503_that_says_when_is_a_throttle_too(
    pauses: list[float], make_client: MakeClient
) -> None:
    with FaultServer(script(fault.answer({}, 503, {"Retry-After": "1"}), FINE)) as server:
        get(make_client(server.url))
        first, second = (request.at for request in server.requests)
    assert pauses == [1.0]
    assert second - first >= 1.0


def test_a_pause_longer_than_the_cap_is_not_sat_out(make_client: MakeClient) -> None:
    with FaultServer(script(fault.answer({}, 429, {"Retry-After": "86400"}))) as server:
        with soon(), pytest.raises(RateLimited) as caught:
            get(make_client(server.url))
        assert len(server.requests) == 1
    assert caught.value.retry_after == 86400.0
    assert caught.value.retryable


def test_pauses_without_end_are_given_up(make_client: MakeClient) -> None:
    with FaultServer(script(fault.answer({}, 429))) as server:
        with pytest.raises(RateLimited):
            get(make_client(server.url, throttle_cap=1.0))
        assert len(server.requests) == 4  # after 0.1 + 0.2 + 0.4 seconds 0.8 are too many


def test_a_pause_that_is_on_is_not_sat_out_by_those_who_wait_less(
    make_client: MakeClient,
) -> None:
    with FaultServer(script(fault.answer({}, 429, {"Retry-After": "600"}), FINE)) as server:
        with pytest.raises(RateLimited):
            get(make_client(server.url))
        with (
            soon(),
            pytest.raises(RateLimited, match=r"asked for a pause.* in (600|5\d\d) seconds"),
        ):
            get(make_client(server.url))
        assert len(server.requests) == 1


def test_a_429_stops_everything_that_shares_the_account(make_client: MakeClient) -> None:
    """Two clients on one state folder, as two processes are."""
    with FaultServer(script(fault.answer({}, 429, {"Retry-After": "1"}), FINE)) as server:
        throttled, other = make_client(server.url), make_client(server.url)
        with ThreadPoolExecutor() as threads:
            threads.submit(get, throttled, "/first")
            wait_for(lambda: other.left.pause)
            assert get(other) == {"id": 1}
        times = [request.at for request in server.requests]
    assert len(times) == 3
    assert times[1] - times[0] >= 1.0


def test_a_long_wait_is_said_once_for_all_threads(make_client: MakeClient, log: list[str]) -> None:
    throttled = fault.answer({}, 429, {"Retry-After": "4"})

    def respond(request: fault.Request) -> Action:
        return throttled if request.at - server.requests[0].at < 2.0 else FINE

    with FaultServer(respond) as server:
        client = make_client(server.url, throttle_cap=9.0)
        client.in_flight(lambda path: get(client, path), ["/a", "/b", "/c", "/d"])
    assert log == ["Waiting 4 seconds: Harvest has asked for a pause."]


def test_a_failure_stops_what_else_is_in_flight(make_client: MakeClient) -> None:
    """One task fails at once, the others are in a slow exchange, a long pause, or not begun."""

    def respond(request: fault.Request) -> Action:
        if request.path.endswith("/bad"):
            wait_for(lambda: {"/v2/slow", "/v2/pausing"} <= set(server.paths()))
            return fault.answer({}, 403)
        return fault.hang if request.path.endswith("/slow") else fault.answer({}, 500)

    with FaultServer(respond) as server:
        client = make_client(server.url, read=1.0, first_pause=PATIENCE, longest_pause=PATIENCE)
        with soon(), pytest.raises(PermissionMissing):
            client.in_flight(
                lambda path: get(client, path),
                ["/slow", "/pausing", "/bad", "/slow", *["/late"] * 100],
            )
        assert server.paths().count("/v2/late") < 3
        with pytest.raises(PermissionMissing):  # and the client is of use again
            get(client, "/bad")


def test_an_interrupt_keeps_what_harvest_is_answering_and_asks_nothing_more(
    make_client: MakeClient,
) -> None:
    """As when a run is terminated: the main thread is interrupted, the others wait for answers."""

    def respond(request: fault.Request) -> Action:
        wait_for(client._transport._stopped.is_set)
        return FINE

    with FaultServer(respond) as server:
        client = make_client(server.url)
        main = threading.get_ident()
        answers: list[object] = []

        def interrupt() -> None:
            wait_for(lambda: len(server.requests) == 4)
            signal.pthread_kill(main, signal.SIGINT)

        threading.Thread(target=interrupt).start()
        with soon(), pytest.raises(KeyboardInterrupt):
            client.in_flight(lambda path: answers.append(get(client, path)), ["/a"] * 100)
        assert len(answers) == len(server.requests) == 4


def test_what_a_task_in_flight_asks_in_flight_comes_one_after_the_other(
    make_client: MakeClient,
) -> None:
    with FaultServer(script(FINE)) as server:
        client = make_client(server.url)

        def twice(path: str) -> None:
            client.in_flight(lambda end: get(client, path + end), ["/1", "/2"])

        with soon():
            client.in_flight(twice, [f"/{number}" for number in range(8)])
        assert len(server.requests) == 16
