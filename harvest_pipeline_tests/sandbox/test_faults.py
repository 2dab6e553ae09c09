"""Faults that tests inject, seen from a client."""

import socket
import time
from decimal import Decimal
from typing import Any

import pytest
import requests

from harvest_pipeline_tests.sandbox import faults
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.visitor import Visitor
from harvest_pipeline_tests.waiting import PATIENCE


def test_a_fault_meets_the_requests_of_its_path_so_many_times(
    own_sandbox: SandboxServer, visitor: Visitor
) -> None:
    fault = faults.AnswerWith(503, body="down", path="/clients", skip=1, times=2)
    own_sandbox.account.faults.add(fault)
    assert [visitor.get("/clients").status_code for _ in range(4)] == [200, 503, 503, 200]
    assert visitor.get("/tasks").status_code == 200
    assert own_sandbox.account.faults.waiting == []
    own_sandbox.account.faults.add(faults.Forbid(path="/expenses", times=None))
    assert [visitor.get("/expenses").status_code for _ in range(3)] == [403] * 3
    own_sandbox.account.faults.clear()
    assert visitor.get("/expenses").status_code == 200


def test_an_answer_can_be_anything(own_sandbox: SandboxServer, visitor: Visitor) -> None:
    headers = {"Content-Type": "text/html", "Retry-After": "soon"}
    own_sandbox.account.faults.add(faults.AnswerWith(200, body="<html>", headers=headers))
    answer = visitor.get("/clients")
    assert (answer.status_code, answer.text) == (200, "<html>")
    assert answer.headers["Content-Type"] == "text/html"
    assert answer.headers["Retry-After"] == "soon"


def test_a_connection_can_be_reset(own_sandbox: SandboxServer) -> None:
    own_sandbox.account.faults.add(faults.Reset())
    with socket.create_connection(("127.0.0.1", own_sandbox.port), timeout=PATIENCE) as connection:
        connection.sendall(b"GET /v2/clients HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    assert own_sandbox.account.request_log.requests[0].status == 0


def test_a_body_can_end_too_early(own_sandbox: SandboxServer, visitor: Visitor) -> None:
    own_sandbox.account.faults.add(faults.Truncate(share=0.5, path="/time_entries"))
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        visitor.get("/time_entries")
    assert visitor.get("/time_entries").status_code == 200


def test_an_answer_can_be_late(own_sandbox: SandboxServer, visitor: Visitor) -> None:
    own_sandbox.account.faults.add(faults.Hang(0.4))
    started = time.monotonic()
    assert visitor.get("/clients").status_code == 200
    assert time.monotonic() - started >= 0.4
    own_sandbox.account.faults.add(faults.Hang(60))
    with pytest.raises(requests.exceptions.ReadTimeout):
        visitor.session.get(f"{own_sandbox.api_url}/clients", timeout=0.2)


@pytest.mark.parametrize("with_headers", [False, True])
def test_an_answer_can_drip(
    with_headers: bool, own_sandbox: SandboxServer, visitor: Visitor
) -> None:
    own_sandbox.account.faults.add(faults.Drip(0.001, headers=with_headers, times=2))
    started = time.monotonic()
    answer = visitor.get("/company", headers={"Accept-Encoding": "identity"})
    assert time.monotonic() - started > 0.001 * len(answer.content)
    assert answer.json()["full_domain"] == "fernhill.harvestapp.com"
    # a client that gives up in the middle does no harm
    address = f"{own_sandbox.api_url}/company"
    with visitor.session.get(address, stream=True, timeout=PATIENCE):
        pass
    assert visitor.get("/company").status_code == 200


def test_fields_can_go_come_move_and_change(own_sandbox: SandboxServer, visitor: Visitor) -> None:
    plain = visitor.read("/time_entries", per_page=2)["time_entries"]

    def spoilt(fault: faults.Fault) -> list[dict[str, Any]]:
        own_sandbox.account.faults.add(fault)
        return visitor.read("/time_entries", per_page=2)["time_entries"]

    dropped = spoilt(faults.DropField("hours"))
    assert dropped == [{k: v for k, v in record.items() if k != "hours"} for record in plain]
    inside = spoilt(faults.DropField("client.currency"))
    assert all(set(record["client"]) == {"id", "name"} for record in inside)
    mood = {"colour": "blue", "value": Decimal("1.5")}
    added = spoilt(faults.AddField("mood", {"colour": "blue", "value": 1.5}))
    assert added == [{**record, "mood": mood} for record in plain]
    reordered = spoilt(faults.ReorderFields())
    assert reordered == plain
    assert list(reordered[0]) == list(plain[0])[::-1]
    retyped = spoilt(faults.RetypeField("hours", "many"))
    assert [record["hours"] for record in retyped] == ["many", "many"]
    own_sandbox.account.faults.add(
        faults.SpoilRecord(id=plain[1]["id"], field="client.name", raw='NaN "\xff')
    )
    spoiled = visitor.get("/time_entries", per_page=2).content
    assert spoiled.count(b'"name":NaN "\xff,') == 1
    assert spoiled.index(b"NaN") > spoiled.index(f'"id":{plain[1]["id"]},'.encode())
    assert visitor.read("/time_entries", per_page=2)["time_entries"] == plain


def test_records_can_change_between_two_pages(own_sandbox: SandboxServer, visitor: Visitor) -> None:
    newest = visitor.read("/time_entries", per_page=10)["time_entries"]

    def delete_three() -> None:
        for record in newest[:3]:
            own_sandbox.account.delete("time_entries", record["id"])

    own_sandbox.account.faults.add(faults.ChangeAfter(delete_three, path="/time_entries"))
    first = visitor.read("/time_entries", per_page=5)
    second = visitor.read(first["links"]["next"])
    assert [r["id"] for r in first["time_entries"]] == [r["id"] for r in newest[:5]]
    # three records were pulled over the border: a gap
    assert second["time_entries"][0]["id"] not in {r["id"] for r in newest[5:8]}
    assert second["total_entries"] == first["total_entries"] - 3
