"""Reads: complete, proven, without repetition, whatever moves meanwhile."""

import json
import random
import stat
from collections.abc import Callable
from datetime import date
from pathlib import Path

import msgspec
import pytest

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.harvest.errors import (
    AnswerInvalid,
    HarvestError,
    PermissionMissing,
    ReadNotProven,
    RecordNotFound,
    StateUnusable,
)
from harvest_pipeline.harvest.extract import read, read_children
from harvest_pipeline.harvest.pages import ObjectDecoder
from harvest_pipeline.scope import Proof, Scope, Spool, Window
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.conftest import MakeClient
from harvest_pipeline_tests.harvest.fault_server import Action, FaultServer, Request, script
from harvest_pipeline_tests.harvest.harvest_lists import MovingEntries

ENTRIES, CLIENTS, INVOICES = RECORDS["time_entries"], RECORDS["clients"], RECORDS["invoices"]
PAYMENTS, CATEGORIES = RECORDS["invoice_payments"], RECORDS["expense_categories"]
OCTOBER = Window(date(2026, 10, 1), date(2026, 10, 31))


def records_of(spool: Spool) -> list[dict[str, object]]:
    lines = spool.path.read_bytes().splitlines()
    assert len(lines) == spool.rows
    return [json.loads(line) for line in lines]


def ids_of(spool: Spool) -> set[object]:
    ids = [record["id"] for record in records_of(spool)]
    assert len(set(ids)) == len(ids)
    return set(ids)


def files_in(folder: Path) -> list[Path]:
    return list(folder.glob("**/*.ndjson"))


# Lists by page number


def test_a_list_of_many_pages_is_read_whole_and_once(
    make_client: MakeClient, tmp_path: Path
) -> None:
    with FaultServer(entries := MovingEntries(47, per_page=5)) as server:
        spool = read(make_client(server.url), ENTRIES, OCTOBER, tmp_path)
        queries = [request.query for request in server.requests]
    assert ids_of(spool) == set(entries.entries)
    assert (spool.rows, spool.requests, spool.total_entries) == (47, 10, 47)
    assert spool.proof is Proof.TOTAL_ENTRIES
    assert spool.scope == Scope("time_entries", OCTOBER)
    assert sorted(int(query["page"]) for query in queries) == list(range(1, 11))
    for query in queries:
        assert (
            query.items()
            >= {
                "per_page": "2000",
                "from": "2026-10-01",
                "to": "2026-10-31",
            }.items()
        )


def test_the_clock_of_a_read_is_harvests_before_it_began(
    make_client: MakeClient, tmp_path: Path
) -> None:
    with FaultServer(entries := MovingEntries(12, per_page=5)) as server:
        before = entries.now
        spool = read(make_client(server.url), ENTRIES, OCTOBER, tmp_path)
    assert 8 <= (spool.read_at - before).total_seconds() < 10


def test_an_empty_list_is_proven_empty(make_client: MakeClient, tmp_path: Path) -> None:
    with FaultServer(script(fault.page("time_entries", []))) as server:
        spool = read(make_client(server.url), ENTRIES, OCTOBER, tmp_path)
    assert (spool.rows, spool.total_entries, spool.proof) == (0, 0, Proof.TOTAL_ENTRIES)
    assert spool.path.read_bytes() == b""


def test_a_deletion_that_an_insertion_makes_up_for_is_noticed(
    make_client: MakeClient, tmp_path: Path, log: list[str]
) -> None:
    """The totals agree, no id comes twice, the number is right: and yet one is missing."""
    with FaultServer(entries := MovingEntries(20, per_page=5)) as server:

        def swap(request: int) -> None:
            if request == 1:
                del entries.entries[max(entries.entries)]
                entries.create(date(2026, 9, 1))

        entries.before = swap
        spool = read(make_client(server.url), ENTRIES, OCTOBER, tmp_path)
    assert ids_of(spool) == set(entries.entries)
    assert len(log) == 1
    assert "again: a record was changed at 2026-11-03T" in log[0]


def test_a_read_is_proven_or_refused_whatever_moves(
    make_client: MakeClient, tmp_path: Path
) -> None:
    """50 accounts in turmoil: every list that is handed over once was the list of the account."""
    proven = 0
    for seed in range(50):
        chance = random.Random(seed)
        with FaultServer(entries := MovingEntries(40, per_page=7)) as server:

            def change(
                request: int, entries: MovingEntries = entries, chance: random.Random = chance
            ) -> None:
                if chance.random() < 0.15:
                    entries.change_at_random(chance)

            entries.before = change
            client = make_client(server.url)
            try:
                spool = read(client, ENTRIES, OCTOBER, tmp_path)
            except ReadNotProven:
                continue
            finally:
                client.close()
            assert ids_of(spool) in entries.snapshots
            proven += 1
    assert proven > 15


def test_records_that_never_rest_are_refused_after_three_reads(
    make_client: MakeClient, tmp_path: Path, log: list[str]
) -> None:
    with FaultServer(entries := MovingEntries(10, per_page=5)) as server:
        entries.before = lambda request: entries.touch(entries.create(date(2026, 10, 1)))
        with pytest.raises(
            ReadNotProven, match="time_entries of 2026-10-01 to 2026-10-31"
        ) as caught:
            read(make_client(server.url), ENTRIES, OCTOBER, tmp_path)
    assert caught.value.retryable
    assert len(log) == 2
    assert files_in(tmp_path) == []


def test_a_short_answer_is_not_taken_for_the_whole(make_client: MakeClient, tmp_path: Path) -> None:
    short = fault.page("time_entries", [{"id": 1}], total_entries=2)
    with (
        FaultServer(script(short)) as server,
        pytest.raises(ReadNotProven, match="1 records came of 2"),
    ):
        read(make_client(server.url), ENTRIES, OCTOBER, tmp_path)


def test_a_numbered_list_without_totals_is_not_accepted(
    make_client: MakeClient, tmp_path: Path
) -> None:
    silent = fault.page("time_entries", [{"id": 1}], total_entries=None)
    with (
        FaultServer(script(silent)) as server,
        pytest.raises(AnswerInvalid, match="without the number of its records"),
    ):
        read(make_client(server.url), ENTRIES, OCTOBER, tmp_path)


@pytest.mark.parametrize("broken", [fault.reset, fault.web_page(), fault.answer({}, 500)])
def test_every_page_survives_a_fault(
    broken: Action, make_client: MakeClient, tmp_path: Path
) -> None:
    failed: set[str] = set()
    with FaultServer(entries := MovingEntries(50, per_page=5)) as server:

        def fail_once_per_page(request: Request) -> Action:
            if request.query["page"] in failed:
                return entries(request)
            failed.add(request.query["page"])
            return broken

        server._respond = fail_once_per_page
        spool = read(make_client(server.url), ENTRIES, OCTOBER, tmp_path)
    assert ids_of(spool) == set(entries.entries)
    assert spool.requests == 20


def test_a_page_that_fails_leaves_no_file(make_client: MakeClient, tmp_path: Path) -> None:
    entries = MovingEntries(50, per_page=5)

    def respond(request: Request) -> Action:
        return fault.answer({}, 403) if request.query["page"] == "4" else entries(request)

    with FaultServer(respond) as server, pytest.raises(PermissionMissing, match="member"):
        read(make_client(server.url), ENTRIES, OCTOBER, tmp_path)
    assert files_in(tmp_path) == []


def test_what_harvest_sends_stays_one_inert_line_in_the_log(
    make_client: MakeClient, tmp_path: Path, log: list[str]
) -> None:
    forged = "2999-01-01T00:00:00Z\nINFO all is well\x1b[2J\u202e"
    changed = [{"id": 1, "updated_at": forged}]

    def respond(request: Request) -> Action:
        first = request.query["page"] == "1"
        return fault.page(
            "time_entries", [{"id": 2}] if first else changed, total_entries=2, total_pages=2
        )

    with FaultServer(respond) as server, pytest.raises(ReadNotProven) as caught:
        read(make_client(server.url), ENTRIES, OCTOBER, tmp_path)
    lines = [*log, str(caught.value)]
    assert len(lines) == 3
    for line in lines:
        assert "a record was changed at 2999-01-01T00:00:00Z INFO all is well [2J" in line
        assert line.isprintable()


# Lists by cursor


def test_a_cursor_list_is_followed_to_its_end(make_client: MakeClient, tmp_path: Path) -> None:
    with FaultServer(clients := MovingEntries(23, per_page=5, key="clients")) as server:
        spool = read(make_client(server.url), CLIENTS, None, tmp_path)
        assert "page" not in server.requests[0].query
        assert server.requests[0].query["per_page"] == "2000"
    assert ids_of(spool) == set(clients.entries)
    assert (spool.requests, spool.proof) == (5, Proof.TOTAL_ENTRIES)


def test_a_cursor_list_that_moves_is_proven_or_refused(
    make_client: MakeClient, tmp_path: Path
) -> None:
    for seed in range(30):
        chance = random.Random(seed)
        with FaultServer(clients := MovingEntries(30, per_page=7, key="clients")) as server:

            def change(
                request: int, clients: MovingEntries = clients, chance: random.Random = chance
            ) -> None:
                if chance.random() < 0.2:
                    clients.change_at_random(chance)

            clients.before = change
            client = make_client(server.url)
            try:
                assert ids_of(read(client, CLIENTS, None, tmp_path)) in clients.snapshots
            except ReadNotProven:
                continue
            finally:
                client.close()


def linked(*pages: tuple[list[int], str | None], total: int | None = None) -> list[Action]:
    return [
        fault.page(
            "clients",
            [{"id": number} for number in ids],
            total_entries=total,
            total_pages=None,
            links={"next": link},
        )
        for ids, link in pages
    ]


def test_without_totals_an_unbroken_chain_is_the_proof(
    make_client: MakeClient, tmp_path: Path
) -> None:
    actions: list[Action] = []
    with FaultServer(lambda _: actions.pop(0)) as server:
        actions += linked(([9, 8], f"{server.url}/v2/clients?cursor=a"), ([7], None))
        spool = read(make_client(server.url), CLIENTS, None, tmp_path)
        assert server.requests[1].target == "/v2/clients?cursor=a"
    assert ids_of(spool) == {9, 8, 7}
    assert (spool.proof, spool.total_entries) == (Proof.CURSOR_CHAIN, None)


@pytest.mark.parametrize(
    ("second", "cursor"), [([9, 8], "a"), ([], "b")], ids=["same page", "empty page"]
)
def test_a_chain_that_leads_nowhere_is_left(
    second: list[int], cursor: str, make_client: MakeClient, tmp_path: Path
) -> None:
    actions: list[Action] = []
    with FaultServer(lambda _: actions.pop(0) if len(actions) > 1 else actions[0]) as server:
        link = f"{server.url}/v2/clients?cursor="
        actions += linked(([9, 8], f"{link}a"), (second, f"{link}{cursor}"))
        with pytest.raises(AnswerInvalid, match="circle"):
            read(make_client(server.url), CLIENTS, None, tmp_path)
        assert len(server.requests) == 2


# Records


def test_records_reach_the_disk_byte_for_byte(make_client: MakeClient, tmp_path: Path) -> None:
    """Numbers, escapes, order of keys and repetitions of keys are not ours to change."""
    raws = [
        b'{"id":1,"hours":100.0,"rate":0.10,"big":123456789012345678901234567890.000000000001}',
        '{"note":"Caf\u00e9 \U0001f600 \\u00e9 \\r\\n","id":2,"a":1e2,"a":null}'.encode(),
        b'{ "id" : 9223372036854775807 }',
    ]
    body = b'{"clients":[' + b", ".join(raws) + b'],"total_entries":3,"links":{"next":null}}'
    with FaultServer(script(fault.raw(body))) as server:
        spool = read(make_client(server.url), CLIENTS, None, tmp_path)
    assert spool.path.read_bytes() == b"\n".join(raws) + b"\n"
    assert stat.S_IMODE(spool.path.stat().st_mode) == 0o600


def test_a_record_over_several_lines_becomes_one(make_client: MakeClient, tmp_path: Path) -> None:
    pretty = b'{"clients":[{\r\n "id": 1,\n "rate": 1.50,\n "name": "a\\nb"\n}],"total_entries":1}'
    with FaultServer(script(fault.raw(pretty))) as server:
        spool = read(make_client(server.url), CLIENTS, None, tmp_path)
    assert spool.path.read_bytes() == b'{"id":1,"rate":1.50,"name":"a\\nb"}\n'


@pytest.mark.parametrize(
    "content",
    [
        {"clients": [{"id": "7"}]},
        {"clients": [{"id": 7.5}]},
        {"clients": [{"name": "no id"}]},
        {"clients": [7]},
        {"clients": None},
        {"users": []},
        {"clients": [], "total_entries": "none"},
    ],
)
def test_what_is_no_list_of_records_is_invalid(
    content: object, make_client: MakeClient, tmp_path: Path
) -> None:
    with FaultServer(script(fault.answer(content))) as server, pytest.raises(AnswerInvalid):
        read(make_client(server.url), CLIENTS, None, tmp_path)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (b'"name":"Caf\xe9"', "name"),
        (b'"name":"\\ud800","id2":[{"id":9}]', "name"),
        (b'"rate": NaN', "rate"),
        (b'"owner":{"name":"\xff"}', "owner.name"),
        (b'"name":"a "quoted" word"', "name"),
        (b'"new":' + b"[" * 5000 + b"]" * 5000, "new"),
        (b'"name":"%b","a":1' % (b"x" * 9 * 2**20), "name"),
        (b'"name":1,', ""),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_record_that_cannot_be_read_is_set_aside_on_the_first_read(
    bad: bytes, field: str, make_client: MakeClient, tmp_path: Path
) -> None:
    spoilt = b'{"id":2,"updated_at":"2026-01-02T00:00:00Z",%b}' % bad
    body = b'{"clients" : [ {"id":1} , %b, {"id":3}],"total_entries":3}' % spoilt
    with FaultServer(script(fault.raw(body))) as server:
        spool = read(make_client(server.url), CLIENTS, None, tmp_path)
        assert len(server.requests) == 1
    assert spool.path.read_bytes() == b'{"id":1}\n{"id":3}\n'
    assert (spool.rows, spool.total_entries, spool.proof) == (3, 3, Proof.TOTAL_ENTRIES)
    (rejected,) = spool.rejected
    assert (rejected.id, rejected.day, rejected.field) == (2, None, field)
    assert rejected.raw == spoilt


@pytest.mark.parametrize(
    "record", [b'{"name":NaN}', b'{"id":"2"}', b'{"id":2.0}', b'{"id":1,"id":2,"a":NaN}', b"7",
               b"null", b'{"id":9223372036854775808}'],
)  # fmt: skip
def test_an_unusable_record_without_an_id_ends_the_read_on_the_first_request(
    record: bytes, make_client: MakeClient, tmp_path: Path
) -> None:
    body = b'{"clients":[{"id":1},%b],"total_entries":2}' % record
    with FaultServer(script(fault.raw(body))) as server:
        with pytest.raises(AnswerInvalid, match=r"clients came without an id that") as raised:
            read(make_client(server.url), CLIENTS, None, tmp_path)
        assert len(server.requests) == 1
    assert not raised.value.retryable
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"clients":[{"id":1},{"id":2,"rate":NaN}],"total_ent',
        b'{"clients":[{"id":1},{"id":2,"rate":NaN}',
        b'{"clients":[{"id":1},{"id":2,"name":"a]}","total_entries":2}',
        b'{"clients":[{"id":1} {"id":2,"rate":NaN}],"total_entries":2}',
        b'{"clients":[{"id":1},{"id":2,"rate":NaN}],"total_entries":NaN}',
        b'{"clients":[{"id":1},{"id":2,"rate":NaN}],"total_entries":2}\xff',
    ],
)
def test_a_page_that_is_broken_as_a_whole_is_asked_for_again(
    body: bytes, make_client: MakeClient, tmp_path: Path
) -> None:
    good = fault.page("clients", [{"id": 1}, {"id": 2}])
    with FaultServer(script(fault.raw(body), good)) as server:
        spool = read(make_client(server.url), CLIENTS, None, tmp_path)
        assert len(server.requests) == 2
    assert ids_of(spool) == {1, 2}
    assert spool.rejected == ()


def test_an_unusable_record_counts_where_a_list_moves(
    make_client: MakeClient, tmp_path: Path
) -> None:
    """It was changed after the first page came: another may have been pushed out of sight."""
    pages = [
        fault.raw(b'{"time_entries":[{"id":1}],"total_entries":2,"total_pages":2}'),
        fault.raw(
            b'{"time_entries":[{"id":2,"updated_at":"2999-01-01T00:00:00Z","hours":NaN}],'
            b'"total_entries":2,"total_pages":2}'
        ),
    ]
    with (
        FaultServer(script(*pages * 3)) as server,
        pytest.raises(ReadNotProven, match="a record was changed at 2999"),
    ):
        read(make_client(server.url), ENTRIES, OCTOBER, tmp_path)


def test_a_folder_that_cannot_be_written_is_named(make_client: MakeClient, tmp_path: Path) -> None:
    (tmp_path / "spools").write_text("a file")
    with (
        FaultServer(script(fault.page("clients", []))) as server,
        pytest.raises(StateUnusable, match="spools"),
    ):
        read(make_client(server.url), CLIENTS, None, tmp_path / "spools")


# Modules


@pytest.mark.parametrize("status", [403, 404])
def test_a_module_that_is_off_is_no_data_and_no_error(
    status: int, make_client: MakeClient, tmp_path: Path
) -> None:
    actions = fault.routes(
        company=fault.answer({"expense_feature": False, "invoice_feature": False}),
        expense_categories=fault.answer({}, status),
        invoices=fault.answer({}, status),
    )
    with FaultServer(actions) as server:
        client = make_client(server.url)
        for record, window in ((CATEGORIES, None), (INVOICES, OCTOBER)):
            spool = read(client, record, window, tmp_path)
            assert (spool.rows, spool.proof) == (0, Proof.MODULE_OFF)
            assert spool.path.read_bytes() == b""
        assert server.paths().count("/v2/company") == 1


@pytest.mark.parametrize(
    "company",
    [
        fault.answer({"expense_feature": True}),
        fault.answer({}),
        fault.answer({"message": "Not authorized!"}, 403),
    ],
    ids=["on", "unknown", "hidden"],
)
@pytest.mark.parametrize(("status", "kind"), [(403, PermissionMissing), (404, RecordNotFound)])
def test_a_refusal_with_the_module_on_is_an_error(
    status: int,
    kind: type[HarvestError],
    company: Action,
    make_client: MakeClient,
    tmp_path: Path,
) -> None:
    actions = fault.routes(company=company, expense_categories=fault.answer({}, status))
    with FaultServer(actions) as server, pytest.raises(kind, match="/v2/expense_categories"):
        read(make_client(server.url), CATEGORIES, None, tmp_path)
    assert files_in(tmp_path) == []


# Children

PARENTS = [
    {"id": 5, "issue_date": "2026-10-02", "currency": "EUR", "amount": 1},
    {"id": 6, "issue_date": date(2026, 10, 3), "currency": "CHF", "amount": 2},
    {"id": 7, "issue_date": "2026-10-04", "currency": "EUR", "amount": 3},
]
SCOPE = Scope("invoice_payments", OCTOBER)


def payments_of(request: Request) -> Action:
    invoice = int(request.path.split("/")[3])
    payments = [{"id": invoice * 10 + number, "amount": 1.50} for number in range(invoice - 5)]
    return fault.page("invoice_payments", payments)


def test_children_carry_what_they_need_of_their_parent(
    make_client: MakeClient, tmp_path: Path
) -> None:
    with FaultServer(payments_of) as server:
        spool, _ = read_children(make_client(server.url), PAYMENTS, SCOPE, PARENTS, tmp_path)
        assert sorted(server.paths()) == [f"/v2/invoices/{n}/payments" for n in (5, 6, 7)]
    assert sorted(spool.path.read_bytes().splitlines()) == [
        b'{"invoice_id":6,"invoice_issue_date":"2026-10-03","invoice_currency":"CHF",'
        b'"id": 60, "amount": 1.5}',
        b'{"invoice_id":7,"invoice_issue_date":"2026-10-04","invoice_currency":"EUR",'
        b'"id": 70, "amount": 1.5}',
        b'{"invoice_id":7,"invoice_issue_date":"2026-10-04","invoice_currency":"EUR",'
        b'"id": 71, "amount": 1.5}',
    ]
    assert (spool.scope, spool.rows, spool.requests, spool.total_entries) == (SCOPE, 3, 3, 3)
    assert spool.proof is Proof.TOTAL_ENTRIES


def test_a_parent_that_is_given_twice_is_asked_once(
    make_client: MakeClient, tmp_path: Path
) -> None:
    with FaultServer(payments_of) as server:
        spool, _ = read_children(make_client(server.url), PAYMENTS, SCOPE, PARENTS * 2, tmp_path)
        assert len(server.requests) == 3
    assert spool.rows == 3


def _without_payments_of_6(*, gone: bool) -> Callable[[Request], Action]:
    def respond(request: Request) -> Action:
        if request.path.endswith("/company"):
            return fault.answer({"invoice_feature": True})
        if request.path.endswith("/invoices/6"):
            return fault.answer({}, 404) if gone else fault.answer({"id": 6})
        missing = request.path.split("/")[3] == "6"
        return fault.answer({}, 404) if missing else payments_of(request)

    return respond


def test_a_parent_that_is_gone_has_no_children(make_client: MakeClient, tmp_path: Path) -> None:
    with FaultServer(_without_payments_of_6(gone=True)) as server:
        spool, stopped = read_children(make_client(server.url), PAYMENTS, SCOPE, PARENTS, tmp_path)
    assert (stopped, spool.scope, spool.rows, spool.parents) == (None, SCOPE, 2, (5, 6, 7))


def test_when_the_children_of_one_parent_cannot_be_read_those_of_the_others_are_kept(
    make_client: MakeClient, tmp_path: Path
) -> None:
    with FaultServer(_without_payments_of_6(gone=False)) as server:
        spool, stopped = read_children(make_client(server.url), PAYMENTS, SCOPE, PARENTS, tmp_path)
    assert isinstance(stopped, RecordNotFound)
    assert spool.parents in ((5,), (7,), (5, 7))
    assert spool.scope.filters.parent_ids == spool.parents


def test_where_the_children_of_no_parent_can_be_read_nothing_is_kept(
    make_client: MakeClient, tmp_path: Path
) -> None:
    with (
        FaultServer(_without_payments_of_6(gone=False)) as server,
        pytest.raises(RecordNotFound, match="/v2/invoices/6"),
    ):
        read_children(make_client(server.url), PAYMENTS, SCOPE, PARENTS[1:2], tmp_path)
    assert files_in(tmp_path) == []


def test_children_of_a_module_that_is_off_are_no_data(
    make_client: MakeClient, tmp_path: Path
) -> None:
    actions = fault.routes(
        company=fault.answer({"invoice_feature": False}), payments=fault.answer({}, 403)
    )
    with FaultServer(actions) as server:
        spool, _ = read_children(make_client(server.url), PAYMENTS, SCOPE, PARENTS, tmp_path)
    assert (spool.rows, spool.proof) == (0, Proof.MODULE_OFF)


def test_the_same_child_of_two_parents_is_not_accepted(
    make_client: MakeClient, tmp_path: Path
) -> None:
    same = fault.page("invoice_payments", [{"id": 1}])
    with FaultServer(script(same)) as server, pytest.raises(ReadNotProven, match="the same id"):
        read_children(make_client(server.url), PAYMENTS, SCOPE, PARENTS, tmp_path)


def test_children_that_do_not_come_whole_are_refused(
    make_client: MakeClient, tmp_path: Path
) -> None:
    short = fault.page("invoice_payments", [{"id": 1}], total_entries=2)
    with FaultServer(script(short)) as server, pytest.raises(ReadNotProven, match="1 records"):
        read_children(make_client(server.url), PAYMENTS, SCOPE, PARENTS[:1], tmp_path)


def test_an_object_without_any_field_of_the_record_is_no_answer() -> None:
    """An empty page in the place of the company emptied its row (soak, seed 31, night 10)."""
    decoder = ObjectDecoder(RECORDS["company"])
    assert decoder.decode(b'{"name": "Acme", "new": 1}') == b'{"name": "Acme", "new": 1}'
    with pytest.raises(msgspec.ValidationError, match="not a company"):
        decoder.decode(b'{"company": [], "total_entries": 3}')
