"""A load replaces exactly what its scope owns, by name, and nothing else."""

from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import pytest

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.scope import Proof
from harvest_pipeline.warehouse import ledger, rejected, tables
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import AnotherAccount, WarehouseError
from harvest_pipeline.warehouse.ledger import LoadContext
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline_tests.places import KIND, only_a_file
from harvest_pipeline_tests.warehouse.records import (
    ADMINISTRATOR,
    CONTEXT,
    FIRST,
    JANUARY,
    SECOND,
    THIRD,
    SpoolFolder,
    client,
    dump,
    invoice,
    line_item,
    on,
    payment,
    select,
    time_entry,
)


def test_every_value_of_a_record_arrives_in_its_column(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    entry = time_entry(2380001001, FIRST, hours=0.575, invoice={"id": 41900801, "number": "1042"})
    load(warehouse, spools.time_entries(on(FIRST), [entry]), CONTEXT)

    [row] = select(
        warehouse,
        "SELECT id, spent_date, hours, notes, billable, updated_at, client_currency, project_code,"
        " user_assignment_budget, invoice_number, external_reference_id, _extra FROM time_entries",
    )
    assert row == (
        2380001001,
        FIRST,
        Decimal("0.575"),
        entry["notes"],
        True,
        datetime(2026, 1, 12, 23, 59, 59, tzinfo=UTC),
        "USD",
        "AST-WEB",
        None,
        "1042",
        None,
        None,
    )


def test_the_window_is_replaced_and_other_days_stay(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    before = [time_entry(1, FIRST), time_entry(2, SECOND), time_entry(3, THIRD)]
    load(warehouse, spools.time_entries(JANUARY, before), CONTEXT)
    load(warehouse, spools.time_entries(on(SECOND), [time_entry(4, SECOND)]), CONTEXT)

    assert select(warehouse, "SELECT id FROM time_entries ORDER BY id") == [(1,), (3,), (4,)]


def test_a_moved_entry_appears_once(warehouse: Warehouse, spools: SpoolFolder) -> None:
    load(warehouse, spools.time_entries(on(FIRST), [time_entry(1, FIRST)]), CONTEXT)
    load(warehouse, spools.time_entries(on(SECOND), [time_entry(1, SECOND)]), CONTEXT)

    assert select(warehouse, "SELECT id, spent_date FROM time_entries") == [(1, SECOND)]


def test_a_record_without_a_day_is_replaced_whole(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    load(warehouse, spools.write("clients", None, [client(1), client(2)]), CONTEXT)
    load(warehouse, spools.write("clients", None, [client(2, name="Bee Ltd")]), CONTEXT)

    assert select(warehouse, "SELECT id, name FROM clients") == [(2, "Bee Ltd")]


def test_loading_twice_changes_nothing_but_times_and_the_ledger(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    def load_all() -> None:
        entries = [time_entry(n, FIRST, notes=None) for n in range(20)]
        lines = [line_item(10, new={"a": [1]}), line_item(11)]
        load(warehouse, spools.time_entries(JANUARY, entries), CONTEXT)
        load(warehouse, spools.write("invoices", JANUARY, [invoice(1, lines=lines)]), CONTEXT)
        load(warehouse, spools.write("clients", None, [client(1)]), CONTEXT)

    load_all()
    first = dump(warehouse)
    load_all()

    assert dump(warehouse) == first
    assert len(first["daily"]) == 20
    assert select(warehouse, "SELECT count(*) FROM _loads") == [(6,)]


def test_line_items_follow_their_invoice(warehouse: Warehouse, spools: SpoolFolder) -> None:
    def lines() -> list[tuple[int, int]]:
        rows = select(warehouse, "SELECT invoice_id, id FROM invoice_line_items ORDER BY ALL")
        return [(row[0], row[1]) for row in rows]

    invoices = [
        invoice(1, FIRST, [line_item(10), line_item(11)]),
        invoice(2, SECOND, [line_item(20, project=None)]),
        invoice(3, THIRD),
    ]
    load(warehouse, spools.write("invoices", JANUARY, invoices), CONTEXT)
    assert lines() == [(1, 10), (1, 11), (2, 20)]

    # Invoice 1 is gone, and invoice 2 was moved to its day with another line.
    moved = invoice(2, FIRST, [line_item(21)])
    load(warehouse, spools.write("invoices", on(FIRST), [moved]), CONTEXT)
    assert lines() == [(2, 21)]
    assert select(warehouse, "SELECT id FROM invoices ORDER BY id") == [(2,), (3,)]


def test_children_carry_the_values_of_their_parent(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    paid = payment(5, invoice(1, SECOND))
    load(warehouse, spools.write("invoice_payments", JANUARY, [paid]), CONTEXT)

    assert select(
        warehouse,
        "SELECT invoice_id, invoice_issue_date, invoice_currency, id, amount FROM invoice_payments",
    ) == [(1, SECOND, "EUR", 5, Decimal(672))]


def test_an_empty_first_load_makes_the_table_with_its_types(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    done = load(warehouse, spools.time_entries(on(FIRST), []), CONTEXT)

    with warehouse.reader() as connection:
        types = tables.column_types(connection, "time_entries")
    assert types["spent_date"] == "DATE"
    assert types["hours"] == "DECIMAL(38,18)"
    assert types["created_at"] == "TIMESTAMP WITH TIME ZONE"
    assert done.rows == 0
    assert select(warehouse, "SELECT rows FROM _loads") == [(0,)]


def test_a_module_switched_off_deletes_nothing(warehouse: Warehouse, spools: SpoolFolder) -> None:
    load(warehouse, spools.write("invoices", JANUARY, [invoice(1, lines=[line_item(1)])]), CONTEXT)
    before = dump(warehouse)
    off = spools.write("invoices", JANUARY, [], proof=Proof.MODULE_OFF)
    load(warehouse, off, CONTEXT)

    assert dump(warehouse) == before
    assert select(warehouse, "SELECT proof, rows FROM _loads ORDER BY loaded_at") == [
        ("total_entries", 1),
        ("module_off", 0),
    ]


def test_reports_of_other_names_are_views_that_survive_new_columns(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    load(warehouse, spools.time_entries(on(FIRST), [time_entry(1)]), CONTEXT)
    with warehouse.connect() as connection:
        connection.execute("DROP VIEW daily")
        connection.execute("ALTER TABLE time_entries DROP COLUMN task_name")
    load(warehouse, spools.time_entries(on(SECOND), [time_entry(2, SECOND)]), CONTEXT)

    assert select(warehouse, "SELECT id, task_name FROM daily ORDER BY id") == [
        (1, None),
        (2, "Development"),
    ]
    with warehouse.reader() as connection:
        assert set(tables.column_types(connection, "all_users_time_entries")) == {
            *(column.name for column in RECORDS["time_entries"].columns),
            "_loaded_at",
            "_extra",
        }


def test_lines_go_with_their_invoice_but_not_what_the_same_load_has_brought(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    """Found by the soak, where the line of a new invoice had the id of one that was deleted."""
    old = [invoice(1, lines=[line_item(7), line_item(8)]), invoice(2, lines=[line_item(9)])]
    load(warehouse, spools.write("invoices", JANUARY, old), CONTEXT)
    new = [invoice(2, lines=[line_item(9)]), invoice(3, lines=[line_item(8)])]
    load(warehouse, spools.write("invoices", JANUARY, new), CONTEXT)
    lines = "SELECT id, invoice_id FROM invoice_line_items{} ORDER BY id"
    assert select(warehouse, lines.format("")) == [(8, 3), (9, 2)]
    assert select(warehouse, lines.format("_deleted")) == [(7, 1)]
    assert select(warehouse, "SELECT id FROM invoices_deleted") == [(1,)]


def test_tables_and_columns_are_described(warehouse: Warehouse, spools: SpoolFolder) -> None:
    load(warehouse, spools.write("clients", None, [client(1)]), CONTEXT)
    uncommented = select(
        warehouse,
        "SELECT table_name, column_name FROM duckdb_columns() WHERE comment IS NULL"
        " AND schema_name = 'harvest'"
        # DuckLake has no comments on the columns of views.
        + ("" if KIND == "file" else " AND table_name IN (SELECT table_name FROM duckdb_tables())"),
    )
    assert uncommented == []
    comments = select(warehouse, "SELECT table_name, comment FROM duckdb_tables() ORDER BY ALL")
    assert comments == [
        ("_loads", ledger.LEDGER.description),
        ("_rejected", rejected.REJECTED.description),
        ("clients", RECORDS["clients"].description),
        ("clients_deleted", tables.deleted_table(RECORDS["clients"]).description),
    ]


def test_only_the_key_is_required(warehouse: Warehouse, spools: SpoolFolder) -> None:
    load(warehouse, spools.write("clients", None, [client(1)]), CONTEXT)
    required = select(
        warehouse,
        "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT is_nullable"
        " AND schema_name = 'harvest' ORDER BY ALL",
    )
    assert required == [
        ("_loads", "load_id"),
        ("_rejected", "id"),
        ("clients", "id"),
        ("clients_deleted", "id"),
    ]
    assert select(warehouse, "SELECT count(*) FROM duckdb_indexes()") == [(0,)]


def test_a_spool_with_another_number_of_records_is_not_loaded(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    spool = spools.time_entries(on(FIRST), [time_entry(1), time_entry(2)])
    spool.path.write_text("\n".join(spool.path.read_text().splitlines()[:1]))

    with pytest.raises(WarehouseError, match="has 1 records instead of 2"):
        load(warehouse, spool, CONTEXT)
    assert select(warehouse, "SELECT count(*) FROM duckdb_tables()") == [(0,)]


def test_a_second_account_is_refused(warehouse: Warehouse, spools: SpoolFolder) -> None:
    load(warehouse, spools.write("clients", None, [client(1)]), CONTEXT)
    other = LoadContext("run-2", "clients", 99, ADMINISTRATOR)

    with pytest.raises(AnotherAccount, match="account 1204417, and this run reads 99"):
        load(warehouse, spools.write("clients", None, [client(7)]), other)
    assert select(warehouse, "SELECT id FROM clients") == [(1,)]


def test_a_folder_may_have_any_name(warehouse: Warehouse, spools: SpoolFolder) -> None:
    folder = spools.folder / "it's [a] *spool?, key=1 \u00e9"
    folder.mkdir()
    load(warehouse, SpoolFolder(folder).write("clients", None, [client(1)]), CONTEXT)

    assert select(warehouse, "SELECT id FROM clients") == [(1,)]


def test_days_far_away_are_days(warehouse: Warehouse, spools: SpoolFolder) -> None:
    window = on(date(1900, 1, 1), date(2199, 12, 31))
    days = [window.first, date(2024, 2, 29), window.last]
    entries = [time_entry(n, day) for n, day in enumerate(days)]
    load(warehouse, spools.time_entries(window, entries), CONTEXT)

    found = select(warehouse, "SELECT spent_date FROM time_entries ORDER BY id")
    assert [row[0] for row in found] == days


@only_a_file
def test_the_file_and_its_folder_are_for_their_owner_only(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    load(warehouse, spools.write("clients", None, [client(1)]), CONTEXT)

    assert warehouse.place.path.stat().st_mode & 0o777 == 0o600
    assert warehouse.place.path.parent.stat().st_mode & 0o777 == 0o700


@only_a_file
def test_the_connection_is_closed_even_when_a_load_fails(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    broken = spools.time_entries(on(FIRST), [time_entry(id, hours="much") for id in (1, 2)])
    with pytest.raises(WarehouseError):
        load(warehouse, broken, CONTEXT)

    # A connection with other settings is refused while one is open in this process.
    duckdb.connect(warehouse.place.path, read_only=True).close()
