"""Whole reads of the sandbox account: what is on disk is what is in the account."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from harvest_pipeline.catalogue.columns import ROW_KEY, Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.harvest.access import environment_credentials
from harvest_pipeline.harvest.auth import Credentials, PersonalAccessToken
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.extract import read, read_children
from harvest_pipeline.harvest.limits import Limit, Limits
from harvest_pipeline.harvest.token_store import TokenStore
from harvest_pipeline.harvest.vaults import FileVault
from harvest_pipeline.sandbox.clock import RateLimit, RateLimits
from harvest_pipeline.scope import Proof, Scope, Spool, Window
from harvest_pipeline_tests.harvest.conftest import MakeClient
from harvest_pipeline_tests.sandbox.faults import (
    AnswerWith,
    ChangeAfter,
    ExpireToken,
    Fault,
    Reset,
    Truncate,
)
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import identity, truth

TODAY = date(2026, 11, 20)
ALWAYS = Window(date(2020, 1, 1), date(2030, 12, 31))
LISTS = [record for record in RECORDS.values() if record.endpoint and not record.parent]
CHILDREN = [record for record in RECORDS.values() if record.endpoint and record.parent]


@pytest.fixture(scope="module")
def settled() -> Iterator[SandboxServer]:
    """An account that no test changes; its time entries fill several pages."""
    with SandboxServer(
        today=TODAY, years=1.2, accounts=2, rate_limit=None, refuse_get_bodies=True
    ) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """An account for one test alone."""
    with SandboxServer(today=TODAY, years=0.7, rate_limit=None, refuse_get_bodies=True) as server:
        yield server


def records_of(spool: Spool) -> dict[object, dict[str, object]]:
    kind = spool.scope.record
    lines = spool.path.read_text().splitlines()
    records = [json.loads(line, parse_float=Decimal) for line in lines]
    by_id = {identity(kind, record): record for record in records}
    assert len(by_id) == len(lines) == spool.rows
    return by_id


def ids_in(sandbox: SandboxServer, kind: str) -> set[object]:
    return {record["id"] for record in truth(sandbox.account.records, kind)}


def client_of(
    sandbox: SandboxServer, make_client: MakeClient, role: str = "administrator", **more: object
) -> HarvestClient:
    given: dict[str, object] = {
        "account_id": str(sandbox.account_id),
        "credentials": PersonalAccessToken(sandbox.tokens[role]),
    }
    return make_client(sandbox.id_url, **{**given, **more})


@pytest.mark.parametrize("record", LISTS, ids=lambda record: record.name)
def test_every_list_is_read_to_the_last_record_and_digit(
    record: Record, settled: SandboxServer, make_client: MakeClient, tmp_path: Path
) -> None:
    window = Window(TODAY, TODAY) if record.is_snapshot else ALWAYS
    spool = read(client_of(settled, make_client), record, window if record.day else None, tmp_path)
    rows = truth(settled.account.records, record.name, TODAY)
    true = {identity(record.name, row): row for row in rows}
    read_rows = records_of(spool)
    assert read_rows.keys() == true.keys()
    for column in record.columns:
        if (
            column.from_parent is None
            and len(column.path) == 1
            and column.type.startswith(("DECIMAL", "BIGINT"))
        ):
            key = column.path[0]
            assert {i: row[key] for i, row in read_rows.items()} == {
                i: row[key] for i, row in true.items()
            }
    assert spool.proof is Proof.TOTAL_ENTRIES
    assert spool.requests == max(1, -(-len(true) // 2000))


@pytest.mark.parametrize("record", CHILDREN, ids=lambda record: record.name)
def test_children_of_all_parents_are_read(
    record: Record, settled: SandboxServer, make_client: MakeClient, tmp_path: Path
) -> None:
    client = client_of(settled, make_client)
    parent = RECORDS[record.parent or ""]
    window = ALWAYS if parent.day else None
    parents = records_of(read(client, parent, window, tmp_path))
    for each in parents.values():  # as the warehouse holds it
        each["access_roles"] = json.dumps(each.get("access_roles", []))
    spool, _ = read_children(
        client, record, Scope(record.name, window), list(parents.values()), tmp_path
    )
    rows = truth(settled.account.records, record.name)
    true = {identity(record.name, row): row for row in rows}
    found = records_of(spool)
    assert found.keys() == true.keys()
    link = record.link.name
    for child_id, child in found.items():
        assert child[link] == true[child_id][link]
        for column in record.parent_columns:
            if column.from_parent != ROW_KEY:
                assert child[column.name] == parents[child[link]][column.from_parent or ""]
    asked = [
        each
        for each in parents.values()
        if record.parent_has is None or record.parent_has[1] in str(each["access_roles"])
    ]
    assert spool.requests == len(asked)


def test_a_window_brings_its_days_and_no_others(
    settled: SandboxServer, make_client: MakeClient, tmp_path: Path
) -> None:
    window = Window(TODAY - timedelta(days=40), TODAY - timedelta(days=20))
    spool = read(client_of(settled, make_client), RECORDS["time_entries"], window, tmp_path)
    expected = {
        row["id"]
        for row in truth(settled.account.records, "time_entries")
        if window.first <= row["spent_date"] <= window.last
    }
    assert records_of(spool).keys() == expected


def oauth(sandbox: SandboxServer, folder: Path) -> Credentials:
    given = {
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "refresh_token": sandbox.refresh_token,
    }
    store = TokenStore(FileVault(folder / "accounts"), "file")
    return environment_credentials(store, given, "HARVEST_", sandbox.id_url)


@pytest.mark.parametrize("rotating", [False, True])
def test_a_token_that_expires_in_the_middle_of_a_read_is_renewed_once(
    rotating: bool, make_client: MakeClient, tmp_path: Path
) -> None:
    with SandboxServer(
        today=TODAY, years=1.2, rate_limit=None, rotate_refresh_tokens=rotating
    ) as sandbox:
        client = client_of(sandbox, make_client, credentials=oauth(sandbox, tmp_path))
        log = sandbox.account.request_log
        for fetched in (2, 1, 1):  # the first time there is no token to begin with
            sandbox.account.faults.add(ExpireToken(path="/time_entries", skip=1))
            log.clear()
            spool = read(client, RECORDS["time_entries"], ALWAYS, tmp_path)
            assert records_of(spool).keys() == ids_in(sandbox, "time_entries")
            assert sum(request.method == "POST" for request in log.requests) == fetched
            assert 401 in {request.status for request in log.requests}


@pytest.mark.parametrize(
    "fault",
    [
        AnswerWith(path="/time_entries", skip=1, times=2, status=503),
        AnswerWith(path="/time_entries", skip=1, status=200, body="<html>"),
        AnswerWith(path="/time_entries", skip=1, status=429, headers={"Retry-After": "1"}),
        Reset(path="/time_entries", skip=1, times=2),
        Truncate(path="/time_entries", skip=1, times=2),
    ],
    ids=["503", "web page", "429", "reset", "truncated"],
)
def test_faults_in_the_middle_change_nothing_in_the_result(
    fault: Fault, sandbox: SandboxServer, make_client: MakeClient, tmp_path: Path
) -> None:
    sandbox.account.faults.add(fault)
    spool = read(client_of(sandbox, make_client), RECORDS["time_entries"], ALWAYS, tmp_path)
    assert records_of(spool).keys() == ids_in(sandbox, "time_entries")
    assert spool.requests > -(-spool.rows // 2000)


def test_an_entry_that_moves_between_pages_appears_once(
    sandbox: SandboxServer, make_client: MakeClient, tmp_path: Path, log: list[str]
) -> None:
    entries = truth(sandbox.account.records, "time_entries")
    newest, oldest = entries[-1], entries[0]
    sandbox.account.faults.add(
        ChangeAfter(
            path="/time_entries",
            change=lambda: sandbox.account.change(
                "time_entries", newest["id"], spent_date=oldest["spent_date"]
            ),
        )
    )
    client = client_of(sandbox, make_client, reread_pause=2.5)
    spool = read(client, RECORDS["time_entries"], ALWAYS, tmp_path)
    assert records_of(spool).keys() == ids_in(sandbox, "time_entries")
    assert records_of(spool)[newest["id"]]["spent_date"] == f"{oldest['spent_date']}"
    assert len(log) == 1


def test_cursor_lists_without_totals_are_read_whole(
    make_client: MakeClient, tmp_path: Path
) -> None:
    with SandboxServer(today=TODAY, years=0.3, cursor_totals=False) as sandbox:
        spool = read(client_of(sandbox, make_client), RECORDS["clients"], None, tmp_path)
        assert records_of(spool).keys() == ids_in(sandbox, "clients")
    assert (spool.proof, spool.total_entries) == (Proof.CURSOR_CHAIN, None)


def ask_75_times(client: HarvestClient) -> None:
    client.in_flight(
        lambda _: client.get(f"{client.api_url}/tasks", msgspec.json.Decoder()), range(75)
    )


def test_harvests_limit_is_kept_without_a_single_429(make_client: MakeClient) -> None:
    """150 questions, 40 a second allowed, by two clients that share nothing but a folder."""
    limit = RateLimits(RateLimit(40, 1.0), RateLimit(40, 1.0))
    with SandboxServer(today=TODAY, years=0.1, rate_limit=limit) as sandbox:
        limits = Limits(general=Limit(40, 1.0, fallback_pause=0.1))
        clients = [client_of(sandbox, make_client, limits=limits) for _ in range(2)]
        with ThreadPoolExecutor() as threads:
            list(threads.map(ask_75_times, clients))
        statuses = [request.status for request in sandbox.account.request_log.requests]
    assert statuses == [200] * 150
