"""Numbers, days and texts arrive exactly as Harvest sent them, or not at all."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import FieldRetyped, RecordsUnreadable
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline_tests.examples import made_up
from harvest_pipeline_tests.places import place_at
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


def numbers_of(warehouse: Warehouse) -> dict[int, Decimal]:
    return dict(select(warehouse, "SELECT id, hours FROM time_entries"))


def aside(warehouse: Warehouse) -> list[int]:
    return [id for (id,) in select(warehouse, "SELECT id FROM _rejected ORDER BY id")]


@st.composite
def decimals(draw: st.DrawFn) -> Decimal:
    """Every decimal of at most 15 digits, at most 10 of them after the point."""
    digits = draw(st.integers(-(10**15 - 1), 10**15 - 1))
    return Decimal(digits).scaleb(-draw(st.integers(0, 10)))


@made_up(6, few=3)
@given(numbers=st.lists(decimals(), min_size=200, max_size=400))
def test_decimals_of_fifteen_digits_are_exact(
    numbers: list[Decimal], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("exact")
    warehouse = Warehouse(place_at(folder / "warehouse.duckdb"), "harvest")
    rows = [with_hours(id, format(number, "f")) for id, number in enumerate(numbers)]
    load(warehouse, SpoolFolder(folder).time_entries(on(FIRST), rows), CONTEXT)

    assert numbers_of(warehouse) == dict(enumerate(numbers))
    assert select(warehouse, "SELECT sum(hours) FROM time_entries") == [(sum(numbers),)]


@made_up(6, few=3)
@given(
    numbers=st.lists(
        st.floats(0.01, 1e20, exclude_max=True) | st.floats(-1000, -0.01) | st.floats(0.01, 24),
        min_size=300,
    )
)
def test_every_float_that_harvest_may_print_is_exact(
    numbers: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What Harvest calculates has 17 digits at worst: 0.1 + 0.2 is 0.30000000000000004."""
    folder = tmp_path_factory.mktemp("floats")
    warehouse = Warehouse(place_at(folder / "warehouse.duckdb"), "harvest")
    rows = [with_hours(id, repr(number)) for id, number in enumerate(numbers)]
    load(warehouse, SpoolFolder(folder).time_entries(on(FIRST), rows), CONTEXT)

    assert aside(warehouse) == []
    assert numbers_of(warehouse) == {id: Decimal(repr(n)) for id, n in enumerate(numbers)}


@made_up(25, few=8)
@given(
    numbers=st.lists(
        st.floats(allow_nan=False, allow_infinity=False).map(repr)
        | st.floats(-1e-9, 1e-9).map(repr)
        | st.decimals(-100, 100, allow_nan=False, places=24).map("{:f}".format),
        max_size=10,
    ),
    column=st.sampled_from(["hours", "billable_rate"]),
)
def test_a_number_is_exact_or_set_aside_whatever_it_is(
    numbers: list[str], column: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("numbers")
    warehouse = Warehouse(place_at(folder / "warehouse.duckdb"), "harvest")
    rows = [
        json.dumps(time_entry(id, **{column: "N"})).replace('"N"', number)
        for id, number in enumerate(["1.5", *numbers])
    ]
    load(warehouse, SpoolFolder(folder).time_entries(on(FIRST), rows), CONTEXT)

    stored = dict(select(warehouse, f"SELECT id, {column} FROM time_entries"))
    assert {*stored, *aside(warehouse)} == set(range(len(rows)))
    for id, number in enumerate(["1.5", *numbers]):
        digits, scale = (20, 18) if column == "hours" else (32, 6)
        value = Decimal(number)
        fits = round(value, scale) == value if abs(value) < 10 else True
        if id in stored:
            assert stored[id] == value
        elif len(value.as_tuple().digits) <= 15:  # what is longer may be no 64-bit number
            assert abs(value) >= Decimal(10) ** digits or not fits


def test_products_and_sums_do_not_overflow(warehouse: Warehouse, spools: SpoolFolder) -> None:
    """A million hours at a rate of a million, and 17 digits of noise in the hours."""
    rows = [with_hours(id, "1000000.0000000001") for id in range(40)]
    rows = [row.replace('"billable_rate": 120.0', '"billable_rate": 1000000.5') for row in rows]
    load(warehouse, spools.time_entries(on(FIRST), rows), CONTEXT)

    exact = 40 * Decimal("1000000.0000000001") * Decimal("1000000.5")
    assert select(
        warehouse,
        "SELECT sum(hours * billable_rate), sum(hours), max(hours * billable_rate * 0.19),"
        " sum(hours - billable_rate), max(hours) = max(billable_rate) FROM time_entries",
    ) == [
        (
            exact,
            40 * Decimal("1000000.0000000001"),
            exact / 40 * Decimal("0.19"),
            40 * (Decimal("1000000.0000000001") - Decimal("1000000.5")),
            False,
        )
    ]


NUMBERS = """
    1234567.89 99999999999.99 0.575 1e2 1E+2 1.5e-3 0.1 -0.0 0.0000000001 1e-10 9007199254740993
    999999999999999999 99999.9999999999 12345678901234.56 0.12345678901 1e-11 0.30000000000000004
    1e16 1.2345678901234567e+19 1000000000000000000 0.016666666666666666 1e-18
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
        "1e-19",
        "1e-30",
        "123456789012345678.12",
        "1234567.0000000001234",
        "9007199254740.993",
        "123456789012345678901",
        "1e300",
        "1e999",
        "true",
        '"abc"',
        '"1_000"',
        '"0x10"',
        '""',
        '{"value": 1}',
        "[1]",
    ],
)
def test_a_number_that_would_be_rounded_is_set_aside(
    warehouse: Warehouse, spools: SpoolFolder, number: str
) -> None:
    rows = [with_hours(1, "1.0"), with_hours(2, number), with_hours(3, "2.0")]
    load(warehouse, spools.time_entries(on(FIRST), rows), CONTEXT)
    assert numbers_of(warehouse) == {1: 1, 3: 2}
    assert aside(warehouse) == [2]


def test_a_long_number_in_a_line_item_sets_its_invoice_aside(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    line = json.dumps(invoice(1, lines=[line_item(1, amount="AMOUNT")]))
    rows = [line.replace('"AMOUNT"', "123456789012345678.12"), invoice(2)]
    load(warehouse, spools.write("invoices", on(FIRST), rows), CONTEXT)
    assert select(warehouse, "SELECT id, field FROM _rejected") == [(1, "line_items.amount")]
    assert select(warehouse, "SELECT id FROM invoices") == [(2,)]


@pytest.mark.parametrize("number", ["126000.0", "126000", '"126000"', "126000.00", "1.26e5"])
def test_a_whole_number_is_one_in_every_notation(
    warehouse: Warehouse, spools: SpoolFolder, number: str
) -> None:
    entry = time_entry(1, task={"id": "T", "name": "Development"})
    row = json.dumps(entry).replace('"T"', number)
    load(warehouse, spools.time_entries(on(FIRST), [row]), CONTEXT)
    assert select(warehouse, "SELECT task_id FROM time_entries") == [(126000,)]


@pytest.mark.parametrize("number", ["126000.5", "9007199254740993.0", '"1_000"', "1e19", "true"])
def test_what_is_no_whole_number_is_set_aside(
    warehouse: Warehouse, spools: SpoolFolder, number: str
) -> None:
    entry = time_entry(1, task={"id": "T", "name": "Development"})
    row = json.dumps(entry).replace('"T"', number)
    load(warehouse, spools.time_entries(on(FIRST), [row, time_entry(2)]), CONTEXT)
    assert aside(warehouse) == [1]


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
    ("id", "message"),
    [
        (1.5, r"field id of time_entries is declared as BIGINT, and '1\.5' came"),
        (2**63, "field id .* BIGINT"),
        (None, "field id of time_entries is declared as a key, and NULL came"),
    ],
)
def test_without_an_id_no_record_can_be_set_aside(
    warehouse: Warehouse, spools: SpoolFolder, id: object, message: str
) -> None:
    load(warehouse, spools.time_entries(on(FIRST), [time_entry(1)]), CONTEXT)
    with pytest.raises(FieldRetyped, match=f"{message}.*nothing was loaded"):
        rows = [time_entry(4), {**time_entry(5), "id": id}]
        load(warehouse, spools.time_entries(on(FIRST), rows), CONTEXT)

    assert select(warehouse, "SELECT id FROM time_entries") == [(1,)]


def test_a_list_that_is_no_list_sets_its_record_aside(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    rows = [invoice(1, line_items={"id": 1}), invoice(2)]
    load(warehouse, spools.write("invoices", on(FIRST), rows), CONTEXT)
    assert select(warehouse, "SELECT id, reason FROM _rejected") == [
        (1, "is declared as a list, and OBJECT came")
    ]


@made_up(8, few=4)
@given(notes=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=50))
def test_texts_arrive_unchanged(notes: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("texts")
    warehouse = Warehouse(place_at(folder / "warehouse.duckdb"), "harvest")
    rows = [time_entry(id, notes=note) for id, note in enumerate(notes)]
    load(warehouse, SpoolFolder(folder).time_entries(on(FIRST), rows), CONTEXT)

    assert select(warehouse, "SELECT notes FROM time_entries ORDER BY id") == [(n,) for n in notes]


def test_a_spool_that_is_not_json_fails_the_load(warehouse: Warehouse, spools: SpoolFolder) -> None:
    with pytest.raises(RecordsUnreadable, match=r"\(Malformed JSON\); nothing was loaded"):
        load(warehouse, spools.time_entries(on(FIRST), ['{"id": 1, "hours": ']), CONTEXT)
