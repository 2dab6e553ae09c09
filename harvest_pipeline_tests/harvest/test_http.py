"""One exchange: it ends in time, whole or not at all, and the token goes to Harvest only."""

import json
import socket
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harvest_pipeline.harvest import http
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import (
    AnswerInvalid,
    HarvestError,
    HarvestUnavailable,
    HostUnreachable,
)
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.conftest import TOKEN, MakeClient
from harvest_pipeline_tests.harvest.fault_server import Action, FaultServer, script
from harvest_pipeline_tests.waiting import soon, wait_for

ANY = msgspec.json.Decoder(dict[str, object])
#: A deadline that a busy machine does not exceed where the answer comes at once.
LATER = 3.0
WHOLE = json.dumps({"text": "x" * 3000}).encode()


def get(client: HarvestClient) -> dict[str, object]:
    content, _ = client.get(f"{client.api_url}/thing", ANY)
    return content


@pytest.mark.parametrize("slow", [fault.drip_body, fault.drip_without_length])
def test_no_body_outlives_its_deadline(slow: Action, make_client: MakeClient) -> None:
    with FaultServer(script(slow)) as server:
        client = make_client(server.url, deadline=0.5, attempts=1)
        with soon(), pytest.raises(HarvestUnavailable, match=r"not whole within 0\.5 seconds"):
            get(client)


def test_a_client_whose_time_is_up_asks_nothing_more(make_client: MakeClient) -> None:
    """As the sensor's, whose tick Dagster would end."""
    with FaultServer(script(fault.answer({}, 500), fault.hang)) as server:
        client = make_client(server.url, total=3.0, attempts=9)
        with soon(), pytest.raises(HarvestUnavailable, match="not read within 3 seconds"):
            get(client)
        assert len(server.requests) == 2
        with pytest.raises(HarvestUnavailable, match="not read within 3 seconds"):
            get(client)
        assert len(server.requests) == 2


def test_after_a_deadline_the_next_attempt_succeeds(make_client: MakeClient) -> None:
    with FaultServer(script(fault.drip_body, fault.answer({"id": 1}))) as server:
        assert get(make_client(server.url, deadline=LATER)) == {"id": 1}


@pytest.mark.parametrize(
    "broken",
    [
        fault.reset,
        fault.cut(WHOLE, at=1000),
        fault.cut(WHOLE, at=0),
        fault.cut_in_chunk(WHOLE, at=1000),
        fault.raw(WHOLE[:1000], length=False),
        fault.raw(b"\x1f\x8bnot gzip", headers={"Content-Encoding": "gzip"}),
        fault.raw(b'{"text": "\xff\xfe"}'),
    ],
    ids=["reset", "cut", "empty", "chunk", "no length", "gzip", "encoding"],
)
def test_a_broken_answer_is_asked_for_again(broken: Action, make_client: MakeClient) -> None:
    with FaultServer(script(broken, fault.raw(WHOLE))) as server:
        client = make_client(server.url)
        assert get(client) == json.loads(WHOLE)
        assert (len(server.requests), client.requests) == (2, 2)


@pytest.mark.parametrize("broken", [fault.cut(WHOLE, at=1000), fault.cut_in_chunk(WHOLE, at=9)])
def test_an_answer_that_stays_broken_is_invalid(broken: Action, make_client: MakeClient) -> None:
    with FaultServer(script(broken)) as server:
        with pytest.raises(AnswerInvalid, match=r"broke off \(attempts: 3\)") as caught:
            get(make_client(server.url))
        assert caught.value.retryable
        assert len(server.requests) == 3


@pytest.mark.parametrize("chunked", [False, True])
def test_a_gzip_bomb_is_stopped_while_it_is_unpacked(
    chunked: bool, make_client: MakeClient
) -> None:
    with FaultServer(script(fault.bomb(150, chunked=chunked))) as server:
        client = make_client(server.url)
        tracemalloc.start()
        try:
            with pytest.raises(AnswerInvalid, match="larger than 64 MiB"):
                client.get(f"{client.api_url}/thing", ANY, largest=64 * 2**20)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(server.requests) == 1
    assert peak < 140 * 2**20


def test_json_that_is_nested_without_end_is_refused_at_once(make_client: MakeClient) -> None:
    deep = b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    with FaultServer(script(fault.raw(deep))) as server:
        with pytest.raises(AnswerInvalid, match="nested deeper"):
            get(make_client(server.url))
        assert len(server.requests) == 1


def test_silence_is_given_up_before_the_deadline(make_client: MakeClient) -> None:
    for silent in (fault.hang, fault.stop_in_the_middle):
        with (
            FaultServer(script(silent)) as server,
            pytest.raises(HarvestUnavailable, match=r"nothing came from [\d.:]+ for 0\.3 seconds"),
        ):
            get(make_client(server.url, read=0.3, attempts=1))


@pytest.mark.parametrize("failures", [2, 99])
def test_a_name_that_does_not_resolve_for_a_moment_costs_nothing(
    failures: int, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve, left = socket.getaddrinfo, failures

    def fail_first(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left >= 0:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return resolve(*arguments, **named)

    with FaultServer(script(fault.answer({"id": 1}))) as server:
        client = make_client(server.url)
        monkeypatch.setattr(socket, "getaddrinfo", fail_first)
        if failures == 2:
            assert get(client) == {"id": 1}
        else:
            with pytest.raises(HarvestUnavailable, match=r"name is not known \(attempts: 3\)"):
                get(client)
        assert client.requests == 3


def test_nobody_listening_is_said_to_be_unreachable(make_client: MakeClient) -> None:
    with FaultServer(script(fault.hang)) as server:
        url = server.url
    with pytest.raises(HarvestUnavailable) as caught:
        get(make_client(url))
    assert str(caught.value) == (
        "The host of HARVEST_API_URL does not answer: there is no connection to "
        f"{url.removeprefix('http://')}, connection refused (attempts: 3). Check the network, and "
        "that variable."
    )
    assert caught.value.retryable


def test_a_host_that_never_answers_is_given_up_for_good_while_a_person_waits(
    make_client: MakeClient,
) -> None:
    """Otherwise each report of a run would try it for a minute."""
    with FaultServer(script(fault.hang)) as server:
        client = make_client(server.url, read=0.3, attempts=99, contact=0.2)
        for _ in range(2):
            with pytest.raises(HostUnreachable, match=r"nothing came .*attempts: 1") as caught:
                get(client)
            assert not caught.value.retryable
        assert len(server.requests) == 1


def test_a_host_that_has_answered_is_tried_on_whoever_waits(make_client: MakeClient) -> None:
    with FaultServer(script(fault.answer({}), fault.hang, fault.answer({"id": 1}))) as server:
        client = make_client(server.url, read=0.3, contact=0.2)
        assert [get(client), get(client)] == [{}, {"id": 1}]


def test_the_first_failure_of_a_host_that_has_not_answered_is_told(
    make_client: MakeClient, log: list[str]
) -> None:
    with FaultServer(script(fault.reset)) as server, pytest.raises(HarvestUnavailable):
        get(make_client(server.url, attempts=2))
    (told,) = log
    assert told.endswith(
        f"the connection to {server.host} broke; /v2/thing is asked again, attempt 2 of 2."
    )


def test_its_silence_is_told_before_it_is_over(
    make_client: MakeClient, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_FIRST_WORD_SECONDS", 0.1)

    def respond(_: fault.Request) -> Action:
        wait_for(lambda: log)
        return fault.answer({})

    with FaultServer(respond) as server:
        assert get(make_client(server.url)) == {}
    assert log == [f"Waiting 600 seconds: {server.host} has not answered yet."]


def test_netrc_does_not_replace_the_token(
    make_client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password netrc-canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with FaultServer(script(fault.answer({}))) as server:
        get(make_client(server.url))
        assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_the_headers_are_those_that_harvest_asks_for(make_client: MakeClient) -> None:
    with FaultServer(script(fault.answer({}))) as server:
        get(make_client(server.url))
        headers = server.requests[0].headers
    assert headers["harvest-account-id"] == "1204417"
    assert headers["user-agent"].startswith("harvest_pipeline/")
    assert headers["user-agent"].endswith(" (tests@example.com)")
    assert (headers["accept"], headers["accept-encoding"]) == ("application/json", "gzip")
    assert TOKEN not in server.requests[0].target


def test_no_error_shows_the_token(make_client: MakeClient) -> None:
    for broken in (fault.reset, fault.web_page(500), fault.answer({"message": "no"}, 422)):
        with FaultServer(script(broken)) as server, pytest.raises(HarvestError) as caught:
            get(make_client(server.url))
        chain: BaseException | None = caught.value
        while chain:
            assert TOKEN not in f"{chain!r} {chain}"
            chain = chain.__cause__ or chain.__context__
