"""Answers made to do harm: each ends in a sentence or is loaded exactly, within bounded memory.

All go the real way, in a process of their own: a server, a read, a spool, a load into DuckDB.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pytest

from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.fault_server import Action, FaultServer
from harvest_pipeline_tests.warehouse.records import client

pytestmark = pytest.mark.long

MEBIBYTE = 2**20


def page(records: bytes, count: int = 1) -> Action:
    """A page of clients from raw JSON."""
    return fault.raw(b'{"clients":[%b],"total_pages":1,"total_entries":%d}' % (records, count))


def named(name: bytes) -> Action:
    """A client with this raw text as name."""
    return page(json.dumps(client(2)).encode().replace(b"Aster Foods", name))


def beside(member: bytes) -> Action:
    """A client with one more raw member."""
    return page(json.dumps(client(2)).encode()[:-1] + b"," + member + b"}")


def nested(bracket: bytes, end: bytes, depth: int) -> bytes:
    return b'"new":' + bracket * depth + b"1" + end * depth


#: What is refused, and words of its sentence.
REFUSED: dict[str, tuple[Callable[[], Action], str]] = {
    "gzip of 400 MiB": (lambda: fault.bomb(400, chunked=False), "larger than 64 MiB"),
    "a page of lists in lists": (
        lambda: fault.raw(b'{"clients":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
        "without an id",
    ),
    "an id of 5000 digits": (lambda: page(b'{"id":' + b"9" * 5000 + b"}"), "without an id"),
    "a total of 5000 digits": (
        lambda: fault.raw(b'{"clients":[],"total_entries":' + b"9" * 5000 + b"}"),
        "out of range",
    ),
    "an id twice": (lambda: beside(b'"id":3'), "came twice"),
    "UTF-16": (lambda: fault.raw('{"clients":[]}'.encode("utf-16")), "not JSON"),
    "something behind the page": (lambda: fault.raw(b'{"clients":[]} x'), "not JSON"),
    "10 million objects": (lambda: page(b",".join([b"{}"] * 10_000_000), 10**7), "`id`"),
    "10 million numbers": (lambda: page(b",".join([b"1"] * 10_000_000), 10**7), "got `int`"),
    "5 million tiny records": (
        lambda: page(b",".join([b'{"id":1}'] * 5_000_000), 5_000_000),
        "more than 2000 records",
    ),
    "an updated_at of 60 MiB": (
        lambda: page(b'{"id":1,"updated_at":[' + b",".join([b"[]"] * 20 * MEBIBYTE) + b"]}"),
        "larger than 8 MiB",
    ),
    "a link of 50 MiB": (
        lambda: fault.raw(
            b'{"clients":[{"id":1}],"total_entries":2,"links":{"next":"%b"}}'
            % (b"x" * 50 * MEBIBYTE)
        ),
        "which is another place",
    ),
    "an error of 60 MiB": (
        lambda: fault.raw(b'{"message":[' + b",".join([b"[]"] * 20 * MEBIBYTE) + b"]}", 422),
        "does not accept the request",
    ),
}
#: What makes one record unusable, which is set aside, and words of its field and reason.
ASIDE: dict[str, tuple[Callable[[], Action], str]] = {
    "lists in lists": (lambda: beside(nested(b"[", b"]", 200_000)), "new is nested deeper"),
    "objects in objects": (
        lambda: beside(nested(b'{"a":', b"}", 200_000)),
        "new is nested deeper",
    ),
    "NaN": (lambda: beside(b'"new":NaN'), "new is NaN, which is not JSON"),
    "Infinity": (lambda: beside(b'"new":-Infinity'), "new is -Infinity, which is not JSON"),
    "a known field twice": (lambda: beside(b'"name":"other"'), "name came twice"),
    "an unknown field twice": (lambda: beside(b'"new":1,"new":2'), "new came twice"),
    "no UTF-8": (lambda: named(b"\xff\xfe"), "name is not UTF-8"),
    "Latin 1": (lambda: named(b"Caf\xe9"), "name is not UTF-8"),
    "half a character": (lambda: named(b"\xf0\x9f\x98"), "name is not UTF-8"),
    "a surrogate": (lambda: named(b"\\ud800"), "name is text with half a character"),
    "a surrogate in UTF-8": (lambda: named(b"\xed\xa0\x80"), "name is not UTF-8"),
    "a control character": (lambda: named(b"a\x1b[31mb"), "name is text with half a character"),
    "a string of 60 MiB": (lambda: named(b"x" * 60 * MEBIBYTE), "name has 60.0 MiB"),
    "a field name of 7 MiB": (
        lambda: beside(b'"' + b"k" * 7 * MEBIBYTE + b'":1'),
        "has a name of 7340032 letters",
    ),
    "200,000 fields": (
        lambda: beside(b",".join(b'"new%d":1' % number for number in range(200_000))),
        " has more than 500 fields",
    ),
    "600 fields": (
        lambda: beside(b",".join(b'"new%d":1' % number for number in range(600))),
        " has more than 500 fields",
    ),
}
#: What is valid JSON and of bearable size, and the name and the extra fields that are loaded.
LOADED: dict[str, tuple[Callable[[], Action], Any, Any]] = {
    "a whole number of 5000 digits": (
        lambda: beside(b'"new":' + b"9" * 5000),
        "Aster Foods",
        '{"new":' + "9" * 5000 + "}",
    ),
    "1e999": (lambda: beside(b'"new":1e999'), "Aster Foods", '{"new":1e999}'),
    "900 lists": (
        lambda: beside(nested(b"[", b"]", 900)),
        "Aster Foods",
        '{"new":' + "[" * 900 + "1" + "]" * 900 + "}",
    ),
    "a string of 7 MiB": (lambda: named(b"x" * 7 * MEBIBYTE), "x" * 7 * MEBIBYTE, None),
    "NUL": (lambda: named(b"a\\u0000b"), "a\0b", None),
    "NUL in a field name": (
        lambda: beside(b'"a\\u0000b":1'),
        "Aster Foods",
        '{"a\\u0000b":1}',
    ),
}

#: Forks for every payload, so that each has memory of its own to be measured.
READER = """
import json, os, sys, time
from pathlib import Path
from tempfile import TemporaryDirectory
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.harvest.auth import PersonalAccessToken
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.extract import read
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.places import place_at
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline_tests.harvest.conftest import LIMITS, PATIENCE
from harvest_pipeline_tests.warehouse.records import CONTEXT, SpoolFolder, client, dump

CLIENTS = RECORDS["clients"]

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024

def run(url, folder):
    warehouse = Warehouse(place_at(folder / "warehouse.duckdb"), "harvest")
    load(warehouse, SpoolFolder(folder).write("clients", None, [client(1)]), CONTEXT)
    old = dump(warehouse)
    harvest = HarvestClient(
        api_url=f"{url}/v2", id_url=url, credentials=PersonalAccessToken("t"), account_id="1",
        instance=None, contact="x", state_folder=folder, log=lambda line: None, limits=LIMITS,
        patience=PATIENCE,
    )
    before, began, error = peak(), time.process_time(), None
    try:
        load(warehouse, read(harvest, CLIENTS, None, folder), CONTEXT)
    except Exception as raised:
        error = str(raised), [base.__name__ for base in type(raised).__mro__]
    result = {"seconds": time.process_time() - began, "megabytes": peak() - before, "error": error}
    new = dump(warehouse)
    result["unchanged"] = new == old
    with warehouse.reader() as connection:
        result["aside"] = connection.execute(
            "SELECT id, concat_ws(' ', field, reason), octet_length(bytes) FROM _rejected"
        ).fetchall()
        result["rows"] = connection.execute("SELECT id, name, _extra FROM clients").fetchall()
    print(json.dumps(result), flush=True)

for url in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        try:
            with TemporaryDirectory() as folder:
                run(url, Path(folder))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
"""


@dataclass(frozen=True)
class Outcome:
    """What became of one payload; `error` is its text, and its classes; `seconds` of processor."""

    seconds: float
    megabytes: float
    error: list[Any] | None
    unchanged: bool
    rows: list[list[Any]]
    aside: list[list[Any]]


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """What became of every payload."""
    names = [*REFUSED, *ASIDE, *LOADED]

    @lru_cache(maxsize=1)  # it is asked for up to three times
    def action(number: int) -> Action:
        return {**REFUSED, **ASIDE, **LOADED}[names[number]][0]()

    with FaultServer(lambda request: action(int(request.path.split("/")[1]))) as server:
        done = subprocess.run(
            [sys.executable, "-c", READER, *(f"{server.url}/{n}" for n in range(len(names)))],
            capture_output=True,
            text=True,
            check=True,
        )
    lines = done.stdout.splitlines()
    assert len(lines) == len(names), done.stderr
    return {name: Outcome(**json.loads(line)) for name, line in zip(names, lines, strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_what_harms_is_refused_in_a_sentence(name: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[name]
    assert outcome.error is not None, outcome.rows
    text, kinds = outcome.error
    assert {"HarvestError", "WarehouseError"} & {*kinds}, outcome.error
    assert REFUSED[name][1] in text
    assert len(text) < 500
    assert text.isprintable()
    assert outcome.unchanged
    assert outcome.megabytes < 150
    assert outcome.seconds < 60


@pytest.mark.slow
@pytest.mark.parametrize("name", ASIDE)
def test_what_makes_one_record_unusable_sets_it_aside(
    name: str, outcomes: dict[str, Outcome]
) -> None:
    outcome = outcomes[name]
    assert outcome.error is None
    ((id, why, size),) = outcome.aside
    assert id == 2
    assert ASIDE[name][1].strip() in why
    # Beside the answer itself there is one copy of what is set aside, and DuckDB's own two.
    assert outcome.megabytes < 150 + 3 * size / MEBIBYTE
    assert outcome.seconds < 60


@pytest.mark.slow
@pytest.mark.parametrize("name", LOADED)
def test_what_is_valid_is_loaded_exactly(name: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[name]
    assert outcome.error is None
    assert outcome.rows == [[2, *LOADED[name][1:]]]
    assert outcome.megabytes < 150
    assert outcome.seconds < 60
