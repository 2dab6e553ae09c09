"""Numbers, days and texts arrive exactly as Harvest sent them, or not at all."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import FieldRetyped, RecordsUnreadable
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline_tests.warehouse.records import (
    CONTEXT,
    FIRST,
    SpoolFolder,
    invoice,
    line_item,
    on,
    select,
    time_entry,
)


def with_hours(id: int, number: str) -> str:
    """A time entry whose hours stand in the line exactly as given."""
    return json.dumps(time_entry(id, hours="HOURS")).replace('"HOURS"', number)


@st.composite
def decimals(draw: st.DrawFn) -> Decimal:
    """Every decimal of at most 15 digits, at most 10 of them after the point."""
    digits = draw(st.integers(-(10**15 - 1), 10**15 - 1))
    return Decimal(digits).scaleb(-draw(st.integers(0, 10)))


@settings(max_examples=6, deadline=None)
@given(numbers=st.lists(decimals(), min_size=200, max_size=400))
def test_decimals_of_fifteen_digits_are_exact(
    numbers: list[Decimal], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("exact")
    warehouse = Warehouse(folder / "warehouse.duckdb", "harvest")
    rows = [with_hours(id, format(number, "f")) for id, number in enumerate(numbers)]
    load(warehouse, SpoolFolder(folder).time_entries(on(FIRST), rows), CONTEXT)

    found = select(warehouse, "SELECT hours FROM time_entries ORDER BY id")
    assert [row[0] for row in found] == numbers
    assert select(warehouse, "SELECT sum(hours) FROM time_entries") == [(sum(numbers),)]


NUMBERS = """
    1234567.89 99999999999.99 0.575 1e2 1E+2 1.5e-3 0.1 -0.0 0.0000000001 1e-10 9007199254740993
    999999999999999999 99999.9999999999 12345678901234.56
"""


def test_numbers_of_every_notation_are_exact(warehouse: Warehouse, spools: SpoolFolder) -> None:
    numbers = NUMBERS.split()
    rows = [with_hours(id, number) for id, number in enumerate(numbers)]
    load(warehouse, spools.time_entries(on(FIRST), rows), CONTEXT)

    found = select(warehouse, "SELECT hours FROM time_entries ORDER BY id")
    assert [row[0] for row in found] == [Decimal(number) for number in numbers]


@pytest.mark.parametrize(
    "number",
    [
        "0.12345678901",
        "1e-11",
        "1e-30",
        "0.30000000000000004",
        "123456789012345678.12",
        "1234567.0000000001234",
        "9007199254740.993",
        "1000000000000000000",
        "123456789012345678901",
        "1e300",
        "true",
        '"abc"',
        '""',
        '{"value": 1}',
        "[1]",
    ],
)
def test_a_number_that_would_be_rounded_fails_the_load(
    warehouse: Warehouse, spools: SpoolFolder, number: str
) -> None:
    rows = [with_hours(1, "1.0"), with_hours(2, number), with_hours(3, number)]
    with pytest.raises(
        FieldRetyped, match=r"hours of time_entries is declared as DECIMAL.* in 2 of the records"
    ):
        load(warehouse, spools.time_entries(on(FIRST), rows), CONTEXT)


def test_a_long_number_in_a_line_item_fails_the_load(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    line = json.dumps(invoice(1, lines=[line_item(1, amount="AMOUNT")]))
    with pytest.raises(FieldRetyped, match=r"line_items\.amount of invoices"):
        rows = [line.replace('"AMOUNT"', "123456789012345678.12")]
        load(warehouse, spools.write("invoices", on(FIRST), rows), CONTEXT)


def test_long_numbers_in_texts_are_only_texts(warehouse: Warehouse, spools: SpoolFolder) -> None:
    notes = 'see "x": 3.14159265358979323846 and 12345678901234567890'
    load(warehouse, spools.time_entries(on(FIRST), [time_entry(1, notes=notes)]), CONTEXT)

    assert select(warehouse, "SELECT notes FROM time_entries") == [(notes,)]


@pytest.mark.parametrize(
    ("field", "value", "column", "expected"),
    [
        ("id", "77", "id", 77),
        ("hours", "1.50", "hours", Decimal("1.5")),
        ("notes", 1042, "notes", "1042"),
        ("billable", "true", "billable", True),
        ("hours", 2, "hours", Decimal(2)),
        ("hours", None, "hours", None),
        ("client", None, "client_id", None),
        ("updated_at", "2026-01-13T01:00:00+02:00", "epoch(updated_at)", 1768258800.0),
    ],
)
def test_another_form_of_the_same_value_is_taken(
    warehouse: Warehouse,
    spools: SpoolFolder,
    field: str,
    value: object,
    column: str,
    expected: object,
) -> None:
    entry = {**time_entry(1), field: value}
    load(warehouse, spools.time_entries(on(FIRST), [entry]), CONTEXT)

    assert select(warehouse, f"SELECT {column} FROM time_entries") == [(expected,)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": 1.5}, "field id of time_entries is declared as BIGINT, and '1.5' came in 1"),
        ({"id": 2**63}, "field id .* BIGINT"),
        ({"id": None}, "field id of time_entries is declared as a key, and NULL came"),
        ({"billable": 1}, "field billable .* BOOLEAN, and '1' came"),
        ({"spent_date": "2026-01-01T00:00:00Z"}, "field spent_date .* DATE"),
        ({"spent_date": "2026-02-30"}, "field spent_date .* DATE"),
        ({"created_at": "yesterday"}, "field created_at .* TIMESTAMPTZ, and 'yesterday' came"),
        ({"notes": {"text": "x"}}, "field notes .* declared as text, and OBJECT came"),
        ({"notes": ["x"]}, "field notes .* declared as text, and ARRAY came"),
        ({"client": "Aster"}, "field client .* declared as an object, and VARCHAR came"),
        ({"client": {"id": "x", "name": "", "currency": ""}}, r"field client\.id .* BIGINT"),
    ],
)
def test_a_retyped_field_fails_the_load_and_is_named(
    warehouse: Warehouse, spools: SpoolFolder, fields: dict[str, Any], message: str
) -> None:
    load(warehouse, spools.time_entries(on(FIRST), [time_entry(1)]), CONTEXT)
    retyped = {**time_entry(5), **fields}
    with pytest.raises(FieldRetyped, match=message):
        load(warehouse, spools.time_entries(on(FIRST), [time_entry(4), retyped]), CONTEXT)

    assert select(warehouse, "SELECT id FROM time_entries") == [(1,)]


def test_a_list_that_is_no_list_fails_the_load(warehouse: Warehouse, spools: SpoolFolder) -> None:
    with pytest.raises(FieldRetyped, match="line_items of invoices is declared as a list"):
        broken = invoice(1, line_items={"id": 1})
        load(warehouse, spools.write("invoices", on(FIRST), [broken]), CONTEXT)


@settings(max_examples=8, deadline=None)
@given(notes=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=50))
def test_texts_arrive_unchanged(notes: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("texts")
    warehouse = Warehouse(folder / "warehouse.duckdb", "harvest")
    rows = [time_entry(id, notes=note) for id, note in enumerate(notes)]
    load(warehouse, SpoolFolder(folder).time_entries(on(FIRST), rows), CONTEXT)

    assert select(warehouse, "SELECT notes FROM time_entries ORDER BY id") == [(n,) for n in notes]


def test_a_spool_that_is_not_json_fails_the_load(warehouse: Warehouse, spools: SpoolFolder) -> None:
    with pytest.raises(RecordsUnreadable, match=r"\(Malformed JSON\); nothing was loaded"):
        load(warehouse, spools.time_entries(on(FIRST), ['{"id": 1, "hours": ']), CONTEXT)
