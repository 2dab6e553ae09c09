"""One record that does not fit is set aside; everything else of its list is loaded."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.scope import Filters, Rejected, Scope, Spool
from harvest_pipeline.warehouse import integrity
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import FieldRetyped
from harvest_pipeline.warehouse.loading import load, load_together
from harvest_pipeline.warehouse.scopes import rows_in, vanished
from harvest_pipeline_tests.warehouse.records import (
    CONTEXT,
    FIRST,
    JANUARY,
    SECOND,
    SpoolFolder,
    client,
    invoice,
    line_item,
    on,
    payment,
    select,
    time_entry,
)

WHICH = "SELECT record, id, day, field, reason FROM _rejected ORDER BY id"


def aside(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return select(warehouse, "SELECT id, field FROM _rejected ORDER BY id")


def entries(*bad: int, of: int = 4, **fields: Any) -> list[dict[str, Any]]:
    """Time entries, some of which do not fit."""
    return [time_entry(id, **(fields if id in bad else {})) for id in range(1, of + 1)]


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"hours": 1e300}, "hours", "is declared as DECIMAL(38,18), and '1e+300' came"),
        ({"hours": "1_000"}, "hours", "is declared as DECIMAL(38,18), and '1_000' came"),
        ({"hours": " 1"}, "hours", "is declared as DECIMAL(38,18), and ' 1' came"),
        ({"billable": 1}, "billable", "is declared as BOOLEAN, and '1' came"),
        ({"spent_date": "2026-02-30"}, "spent_date", "declared as DATE, and '2026-02-30' came"),
        ({"spent_date": "infinity"}, "spent_date", "declared as DATE, and 'infinity' came"),
        ({"updated_at": "-infinity"}, "updated_at", "as TIMESTAMPTZ, and '-infinity' came"),
        ({"notes": {"text": "x"}}, "notes", "is declared as text, and OBJECT came"),
        ({"client": "Aster"}, "client", "is declared as an object, and VARCHAR came"),
        (
            {"client": {"id": "x", "name": "", "currency": ""}},
            "client.id",
            "is declared as BIGINT, and 'x' came",
        ),
        ({"k" * 300: 1}, "kkkkkkkkkkkkkkkkkkkk", "has a name of 300 letters"),
        ({f"new{number}": 1 for number in range(600)}, "", "has more than 500 fields"),
    ],
)
def test_a_record_that_does_not_fit_is_set_aside_and_the_others_are_loaded(
    warehouse: Warehouse,
    spools: SpoolFolder,
    fields: dict[str, Any],
    field: str,
    reason: str,
) -> None:
    load(warehouse, spools.time_entries(on(FIRST), entries()), CONTEXT)
    spool = spools.time_entries(on(FIRST), entries(2, of=5, **fields))
    done = load(warehouse, spool, CONTEXT)

    assert done.rows == spool.rows == 5
    assert done.deleted == 0
    assert select(warehouse, "SELECT id, hours FROM time_entries ORDER BY id") == [
        (id, Decimal("3.5")) for id in range(1, 6)
    ]
    ((record, id, day, found, why),) = select(warehouse, WHICH)
    assert (record, id, day, found) == ("time_entries", 2, FIRST, field)
    assert reason in why
    ((kept, load_id),) = select(warehouse, "SELECT decode(bytes), load_id FROM _rejected")
    assert json.loads(kept) == time_entry(2, **fields)
    assert load_id == done.load_id
    with warehouse.reader() as connection:
        finding = integrity.set_aside(connection, RECORDS["time_entries"])
    assert finding.count == 1
    assert f"2 of {FIRST}: {field}".strip() in finding.examples[0]
    assert reason in finding.examples[0]


@pytest.mark.parametrize("raw", ['"hours": 9007199254740.993', '"notes": "a", "notes": "b"'])
def test_what_json_readers_do_not_agree_about_is_set_aside(
    warehouse: Warehouse, spools: SpoolFolder, raw: str
) -> None:
    line = json.dumps(time_entry(2)).replace('"hours": 3.5', raw)
    load(warehouse, spools.time_entries(on(FIRST), [time_entry(1), line]), CONTEXT)

    assert select(warehouse, "SELECT id FROM time_entries") == [(1,)]
    assert select(warehouse, "SELECT id, decode(bytes) FROM _rejected") == [(2, line)]


def test_the_older_row_stays_until_a_good_version_comes(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    load(warehouse, spools.time_entries(on(FIRST), entries()), CONTEXT)
    spool = spools.time_entries(on(FIRST), entries(2, hours="many"))
    with warehouse.reader() as connection:
        assert vanished(connection, RECORDS["time_entries"], spool) == {}
    load(warehouse, spool, CONTEXT)
    load(warehouse, spools.time_entries(on(FIRST), entries(2, hours="lots")), CONTEXT)
    assert select(warehouse, "SELECT id, reason FROM _rejected") == [
        (2, "is declared as DECIMAL(38,18), and 'lots' came")
    ]
    assert select(warehouse, "SELECT hours FROM time_entries WHERE id = 2") == [(Decimal("3.5"),)]

    moved = [*entries(of=1), time_entry(2, SECOND, hours=7)]
    load(warehouse, spools.time_entries(on(FIRST, SECOND), moved), CONTEXT)
    assert aside(warehouse) == []
    assert select(warehouse, "SELECT spent_date, hours FROM time_entries WHERE id = 2") == [
        (SECOND, Decimal(7))
    ]


def test_a_record_that_is_gone_leaves_both_tables(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    load(warehouse, spools.time_entries(JANUARY, entries()), CONTEXT)
    bad = [time_entry(1), time_entry(2, spent_date="someday"), time_entry(3), time_entry(4)]
    load(warehouse, spools.time_entries(on(FIRST, SECOND), bad), CONTEXT)
    changes = spools.time_entries(JANUARY, [])
    since = Filters(updated_since=datetime(2026, 1, 1, tzinfo=UTC))
    load(warehouse, replace(changes, scope=Scope("time_entries", None, since)), CONTEXT)
    load(warehouse, spools.time_entries(on(SECOND), []), CONTEXT)
    assert select(warehouse, WHICH)[0][:3] == ("time_entries", 2, None)

    done = load(warehouse, spools.time_entries(JANUARY, entries(of=1)), CONTEXT)
    assert done.deleted == 3
    assert aside(warehouse) == []
    assert select(warehouse, "SELECT id FROM time_entries") == [(1,)]


def test_an_invoice_with_a_bad_line_is_set_aside_with_all_of_its_lines(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    def invoices(amount: Any) -> Spool:
        lines = [line_item(10), line_item(11, amount=amount)]
        others = [invoice(id, lines=[line_item(10 * id)]) for id in (2, 3)]
        return spools.write("invoices", on(FIRST), [invoice(1, lines=lines), *others])

    load(warehouse, invoices(5), CONTEXT)
    load(warehouse, invoices("five"), CONTEXT)
    assert aside(warehouse) == [(1, "line_items.amount")]
    items = "SELECT invoice_id, id, amount FROM invoice_line_items ORDER BY id"
    assert select(warehouse, items) == [(1, 10, 1500), (1, 11, 5), (2, 20, 1500), (3, 30, 1500)]

    broken = [invoice(1, lines=[line_item(10)]), invoice(2, line_items=[7]), invoice(3)]
    load(warehouse, spools.write("invoices", on(FIRST), broken), CONTEXT)
    assert aside(warehouse) == [(2, "line_items.id")]
    assert select(warehouse, items) == [(1, 10, 1500), (2, 20, 1500)]


def test_a_payment_that_is_set_aside_goes_with_the_next_read_of_its_invoice(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    one, two = invoice(1), invoice(2)
    load(warehouse, spools.write("invoices", on(FIRST), [one, two]), CONTEXT)

    def payments(*rows: Any, of: tuple[int, ...], rejected: tuple[Rejected, ...] = ()) -> Spool:
        spool = spools.write("invoice_payments", on(FIRST), rows)
        scope = replace(spool.scope, filters=Filters(parent_ids=of))
        count = len(rows) + len(rejected)
        return replace(spool, scope=scope, parents=of, rejected=rejected, rows=count)

    raw = json.dumps(payment(8, two)).encode().replace(b"672.0", b"NaN")
    nan = Rejected(8, FIRST, "amount", "is NaN, which is not JSON", raw, parent_id=2)
    bad = payment(7, one, amount="much")
    load(warehouse, payments(bad, payment(6, one), of=(1, 2), rejected=(nan,)), CONTEXT)
    assert select(warehouse, "SELECT id, parent_id, day, bytes FROM _rejected ORDER BY id") == [
        (7, 1, FIRST, json.dumps(bad).encode()),
        (8, 2, FIRST, raw),
    ]
    load(warehouse, payments(payment(6, one), of=(1,)), CONTEXT)
    assert aside(warehouse) == [(8, "amount")]
    load(warehouse, spools.write("invoices", on(FIRST), [one]), CONTEXT)
    load(warehouse, payments(payment(6, one), of=(1,)), CONTEXT)
    assert aside(warehouse) == []


def test_more_than_a_handful_refuse_the_load_and_one_of_them_is_named(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    ten, eleven = range(1, 11), range(1, 12)
    load(warehouse, spools.time_entries(on(FIRST), entries(*ten, of=40, hours="x")), CONTEXT)
    assert len(aside(warehouse)) == 10
    before = select(warehouse, "SELECT id FROM time_entries")
    with pytest.raises(
        FieldRetyped,
        match=r"^The field hours of time_entries is declared as DECIMAL\(38,18\), and 'x' came in"
        r" 11 of the records, in 1 of 2026-01-01 for example; nothing was loaded\.",
    ):
        load(warehouse, spools.time_entries(on(FIRST), entries(*eleven, of=40, hours="x")), CONTEXT)
    assert select(warehouse, "SELECT id FROM time_entries") == before
    # Of a long list, more may be set aside.
    many = spools.time_entries(on(FIRST), entries(*eleven, of=1100, hours="x"))
    load(warehouse, many, CONTEXT)
    assert len(aside(warehouse)) == 11

    unread = [Rejected(id, FIRST, "notes", "is not UTF-8", b"{\xff}") for id in range(11)]
    spool = replace(spools.time_entries(on(FIRST), []), rows=11, rejected=tuple(unread))
    with pytest.raises(FieldRetyped, match="notes of time_entries is not UTF-8 in 11 of the rec"):
        load(warehouse, spool, CONTEXT)


@pytest.mark.parametrize(
    ("record", "bad", "field"),
    [
        ("time_entries", entries(1, 2, 3, of=3, hours={"value": 1}), "hours"),
        ("time_entries", entries(1, 2, 3, of=3, spent_date="01.01.2026"), "spent_date"),
        ("time_entries", entries(2, 3, of=9, external_reference="x"), "external_reference"),
        ("clients", [client(1, is_active=1), client(2, is_active=0)], "is_active"),
        (
            "invoices",
            [invoice(id, lines=[line_item(id, amount="x")]) for id in (1, 2)],
            "line_items.amount",
        ),
    ],
)
def test_a_field_that_changed_its_type_throughout_refuses_the_load(
    warehouse: Warehouse, spools: SpoolFolder, record: str, bad: list[dict[str, Any]], field: str
) -> None:
    spool = spools.write(record, on(FIRST) if RECORDS[record].day else None, bad)
    with pytest.raises(FieldRetyped, match=rf"^The field {field} of {record} is declared as "):
        load(warehouse, spool, CONTEXT)


def test_records_that_are_set_aside_count_where_harvest_is_compared(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    load(warehouse, spools.time_entries(on(FIRST), entries()), CONTEXT)
    load(warehouse, spools.time_entries(on(FIRST), entries(2, 5, of=5, hours="x")), CONTEXT)
    load(warehouse, spools.time_entries(on(SECOND), [time_entry(9, spent_date="x")]), CONTEXT)
    with warehouse.reader() as connection:
        for window, count in ((on(FIRST), 5), (on(SECOND), 1), (JANUARY, 6), (None, 6)):
            found = rows_in(connection, RECORDS["time_entries"], Scope("time_entries", window))
            assert found == count


def test_a_record_without_a_day_and_one_with_an_unknown_field_are_set_aside_as_they_came(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    sent = json.dumps(client(2, is_active="perhaps", mood="M")).replace('"M"', "1.10")
    rows = [client(1, mood=1), sent, client(3, mood=2)]
    load_together(warehouse, [spools.write("clients", None, rows)], spools.folder, CONTEXT)

    assert select(warehouse, "SELECT id, day, decode(bytes) FROM _rejected") == [(2, None, sent)]
    assert select(warehouse, "SELECT id, _extra FROM clients ORDER BY id") == [
        (1, '{"mood":1}'),
        (3, '{"mood":2}'),
    ]


def test_a_load_that_fails_sets_nothing_aside(warehouse: Warehouse, spools: SpoolFolder) -> None:
    load(warehouse, spools.time_entries(on(FIRST), entries()), CONTEXT)
    other = replace(CONTEXT, account_id=5)
    with pytest.raises(Exception, match="account"):
        load(warehouse, spools.time_entries(on(date(2026, 1, 1)), entries(2, hours="x")), other)
    assert aside(warehouse) == []
