"""Statistics, integrity and parents: what the Dagster side asks the tables."""

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal

import pytest

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.scope import Proof, Scope, Window
from harvest_pipeline.warehouse import integrity, statistics
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.integrity import Finding
from harvest_pipeline.warehouse.ledger import LoadContext
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline.warehouse.parents import parents
from harvest_pipeline_tests.warehouse.records import (
    ADMINISTRATOR,
    CONTEXT,
    FIRST,
    JANUARY,
    SECOND,
    THIRD,
    SpoolFolder,
    client,
    invoice,
    line_item,
    on,
    payment,
    time_entry,
)

TIME_ENTRIES, INVOICES = RECORDS["time_entries"], RECORDS["invoices"]


def test_every_day_has_its_rows_and_hours_and_the_last_one_the_newest_rows(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    entries = [time_entry(n, FIRST, hours=0.1) for n in range(7)] + [time_entry(9, THIRD)]
    load(warehouse, spools.time_entries(JANUARY, entries), CONTEXT)
    with warehouse.reader() as connection:
        days = statistics.of_days(connection, TIME_ENTRIES, on(FIRST, THIRD))

    assert [(day, found.rows, found.totals) for day, found in days.items()] == [
        (FIRST, 7, {"hours": Decimal("0.7")}),
        (SECOND, 0, {}),
        (THIRD, 1, {"hours": Decimal("3.5")}),
    ]
    assert days[FIRST].preview is days[SECOND].preview is None
    newest, *others = days[THIRD].preview or []
    assert [row["id"] for row in others] == [6, 5, 4, 3]
    assert [newest] == [
        {
            "id": 9,
            "spent_date": THIRD,
            "user_name": "Chi Tanaka",
            "client_name": "Aster Foods",
            "project_name": "Website Relaunch",
            "task_name": "Development",
            "hours": Decimal("3.5"),
        }
    ]


def test_money_is_totalled_by_currency(warehouse: Warehouse, spools: SpoolFolder) -> None:
    invoices = [
        invoice(1, amount=100.10),
        invoice(2, amount=0.20),
        invoice(3, amount=7, currency="USD"),
        invoice(4, amount=1, currency=None),
    ]
    load(warehouse, spools.write("invoices", JANUARY, invoices), CONTEXT)
    with warehouse.reader() as connection:
        found = statistics.of_days(connection, INVOICES, on(FIRST))[FIRST]
        whole = statistics.of_table(connection, INVOICES)

    assert found.rows == 4
    assert found.totals == {"EUR": Decimal("100.3"), "USD": 7, "no currency": 1}
    assert (whole.rows, whole.totals, whole.preview) == (found.rows, found.totals, found.preview)


def test_a_record_without_a_measure_has_rows_and_preview(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    load(warehouse, spools.write("clients", None, [client(2), client(1)]), CONTEXT)
    with warehouse.reader() as connection:
        found = statistics.of_table(connection, RECORDS["clients"])
        counts = statistics.row_counts(connection, ["clients", "daily"])

    assert (found.rows, found.totals) == (2, {})
    assert found.preview == [
        {"id": 2, "name": "Aster Foods"},
        {"id": 1, "name": "Aster Foods"},
    ]
    assert counts == {"clients": 2}


@pytest.mark.parametrize(
    "record",
    [record for record in RECORDS.values() if record.inside is None],
    ids=lambda record: record.name,
)
def test_every_record_of_the_catalogue_answers_when_empty(
    warehouse: Warehouse, spools: SpoolFolder, record: Record
) -> None:
    window = JANUARY if record.day else None
    load(warehouse, spools.write(record.name, window, []), CONTEXT)
    with warehouse.reader() as connection:
        assert statistics.of_table(connection, record).rows == 0
        assert integrity.duplicated_keys(connection, record) == Finding(0)
        assert integrity.rows_outside_window(connection, record) == Finding(0)
        assert all(
            finding == Finding(0)
            for finding in integrity.unknown_references(connection, record).values()
        )


def test_duplicated_keys_are_found(warehouse: Warehouse, spools: SpoolFolder) -> None:
    load(warehouse, spools.time_entries(on(FIRST), [time_entry(1), time_entry(2)]), CONTEXT)
    with warehouse.connect() as connection:
        assert integrity.duplicated_keys(connection, TIME_ENTRIES) == Finding(0)
        connection.execute("INSERT INTO time_entries FROM time_entries WHERE id = 2")
        assert integrity.duplicated_keys(connection, TIME_ENTRIES) == Finding(1, (2,))


def test_rows_outside_the_window_of_their_load_are_found(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    load(warehouse, spools.time_entries(on(FIRST), [time_entry(1, FIRST)]), CONTEXT)
    load(warehouse, spools.time_entries(on(SECOND), [time_entry(2, SECOND)]), CONTEXT)
    with warehouse.reader() as connection:
        assert integrity.rows_outside_window(connection, TIME_ENTRIES) == Finding(0)
    # Harvest should not send entries of other days.
    strays = [time_entry(3, FIRST), time_entry(4, THIRD), time_entry(5, spent_date=None)]
    load(warehouse, spools.time_entries(on(SECOND), strays), CONTEXT)
    with warehouse.reader() as connection:
        assert integrity.rows_outside_window(connection, TIME_ENTRIES) == Finding(3, (3, 4, 5))


def test_unknown_references_are_found_once_their_table_is_loaded(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    entry = time_entry(1, invoice={"id": 5, "number": "5"})
    load(warehouse, spools.time_entries(on(FIRST), [entry]), CONTEXT)
    with warehouse.reader() as connection:
        assert integrity.unknown_references(connection, TIME_ENTRIES) == {}
    load(warehouse, spools.write("clients", None, [client(1)]), CONTEXT)
    # Invoices are loaded by their own day: that one is not there means nothing.
    load(warehouse, spools.write("invoices", on(FIRST), [invoice(9)]), CONTEXT)
    with warehouse.reader() as connection:
        assert integrity.unknown_references(connection, TIME_ENTRIES) == {
            "client_id": Finding(1, (13700101,))
        }
    load(warehouse, spools.write("clients", None, [client(13700101)]), CONTEXT)
    with warehouse.reader() as connection:
        found = integrity.unknown_references(connection, TIME_ENTRIES)
    assert found == {"client_id": Finding(0)}


def test_a_payment_without_its_invoice_is_found(warehouse: Warehouse, spools: SpoolFolder) -> None:
    payments = RECORDS["invoice_payments"]
    load(warehouse, spools.write("invoices", on(FIRST), [invoice(1)]), CONTEXT)
    rows = [payment(1, invoice(1)), payment(2, invoice(7)), payment(3, invoice(7))]
    load(warehouse, spools.write("invoice_payments", on(FIRST), rows), CONTEXT)
    with warehouse.reader() as connection:
        assert integrity.unknown_references(connection, payments) == {
            "invoice_id": Finding(1, (7,))
        }


def test_a_module_switched_off_is_no_reason_to_miss_references(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    off = spools.write("expense_categories", None, [], proof=Proof.MODULE_OFF)
    load(warehouse, off, CONTEXT)
    load(warehouse, spools.write("expenses", on(FIRST), []), CONTEXT)
    with warehouse.reader() as connection:
        assert integrity.unknown_references(connection, RECORDS["expenses"]) == {}


def test_drift_is_that_of_the_last_run_of_the_scope(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    def drift(scope: Scope) -> tuple[Counter[str], Counter[str]]:
        with warehouse.reader() as connection:
            found = integrity.field_drift(connection, scope)
        return found.unknown, found.missing

    everything = Scope("time_entries", JANUARY)
    assert drift(everything) == (Counter(), Counter())
    first, second = (LoadContext(run, "daily", 1, ADMINISTRATOR) for run in ("a", "b"))
    load(warehouse, spools.time_entries(on(FIRST), [time_entry(1, old=1)]), first)
    load(warehouse, spools.time_entries(on(SECOND), [time_entry(2, SECOND, new=1)]), second)
    bare = time_entry(3, THIRD, new=1)
    del bare["hours"]
    load(warehouse, spools.time_entries(on(THIRD), [bare]), second)

    assert drift(everything) == ({"new": 2}, {"hours": 1})
    assert drift(Scope("time_entries", on(FIRST))) == ({"old": 1}, {})
    assert drift(Scope("time_entries", on(SECOND))) == ({"new": 1}, {})
    assert drift(Scope("clients")) == ({}, {})


def test_names_that_harvest_gives_to_fields_and_currencies_are_fit_to_be_shown(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    forged = "x\r\n2026-11-22 INFO all is well\x1b[2J\u202e"
    sent = invoice(1, FIRST, **{forged: 1, forged.replace("\r", " "): 2}, currency=forged)
    load(warehouse, spools.write("invoices", JANUARY, [sent]), CONTEXT)
    with warehouse.reader() as connection:
        drift = integrity.field_drift(connection, Scope("invoices", JANUARY))
        totals = statistics.of_table(connection, INVOICES).totals
    assert drift.unknown == {"x 2026-11-22 INFO all is well [2J": 2}
    assert totals == {"x 2026-11-22 INFO al": Decimal(1500)}


def test_parents_are_what_their_children_need(warehouse: Warehouse, spools: SpoolFolder) -> None:
    payments = RECORDS["invoice_payments"]
    with warehouse.reader() as connection:
        assert parents(connection, payments, Scope("invoices", JANUARY)) == []
    rows = [
        invoice(2, SECOND, amount=10.5, due_amount=0.5, state="paid"),
        invoice(1, FIRST, [line_item(1)]),
        invoice(3, THIRD),
    ]
    load(warehouse, spools.write("invoices", JANUARY, rows), CONTEXT)
    with warehouse.reader() as connection:
        found = parents(connection, payments, Scope("invoices", on(FIRST, SECOND)))
        messages = parents(
            connection, RECORDS["invoice_messages"], Scope("invoices", on(FIRST, SECOND))
        )

    assert [row["id"] for row in found] == [row["id"] for row in messages] == [1, 2]
    assert found[1].pop("updated_at").isoformat() == "2026-01-12T15:20:11+00:00"
    assert found[1] == {
        "id": 2,
        "issue_date": SECOND,
        "currency": "EUR",
        **dict.fromkeys(("_updated_at", "_read_at", "_run_id", "_loaded_at")),
    }


def test_a_day_that_dropped_suddenly_is_found_and_one_that_is_usually_quiet_is_not(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    """F32: four Mondays of 40 entries and one of 3; Tuesdays of 19 and one of none."""
    monday = date(2026, 3, 2)
    weeks = Window(monday, monday + timedelta(days=34))
    counts = {
        monday + timedelta(days=7 * week + day): usual if week < 4 else last
        for week in range(5)
        for day, (usual, last) in enumerate([(40, 3), (19, 0), (40, 4)])
    }
    days = [day for day, count in counts.items() for _ in range(count)]
    load(warehouse, spools.time_entries(weeks, list(map(time_entry, range(999), days))), CONTEXT)

    def dropped(first: date, last: date, today: date) -> Finding:
        with warehouse.reader() as connection:
            return integrity.sudden_drops(
                connection, TIME_ENTRIES, "time_entries", on(first, last), today
            )

    fifth = monday + timedelta(days=28)
    found = Finding(1, (f"{fifth}: 3, usually 40",))
    assert dropped(weeks.first, weeks.last, weeks.last) == found
    assert dropped(fifth, fifth, weeks.last) == found
    assert dropped(fifth, fifth, today=fifth) == Finding(0)  # it is not over yet
    assert dropped(weeks.first, fifth - timedelta(days=1), weeks.last) == Finding(0)
