"""Faults before there is a connection: R8."""

import socket
from typing import Any

import msgspec
import pytest

from harvest_pipeline.harvest.errors import HarvestUnavailable
from harvest_pipeline_tests.harvest.conftest import MakeClient
from harvest_pipeline_tests.harvest.fault_server import FaultServer, answer, script

ANY = msgspec.json.Decoder(dict[str, object])


@pytest.mark.parametrize("failures", [2, 99])
def test_a_name_that_does_not_resolve_for_a_moment_costs_nothing(
    failures: int,
    make_client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve, left = socket.getaddrinfo, failures

    def fail_first(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left >= 0:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return resolve(*arguments, **named)

    with FaultServer(script(answer({"id": 1}))) as server:
        client = make_client(server.url)
        monkeypatch.setattr(socket, "getaddrinfo", fail_first)
        if failures == 2:
            assert client.get(f"{client.api_url}/thing", ANY)[0] == {"id": 1}
        else:
            with pytest.raises(HarvestUnavailable, match=r"\(attempts: 3\)"):
                client.get(f"{client.api_url}/thing", ANY)
        assert client.requests == 3
