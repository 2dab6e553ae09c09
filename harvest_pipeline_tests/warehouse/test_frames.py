"""DataFrames of users' assets keep every value and every old row."""

from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from harvest_pipeline.warehouse import frames, tables
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline_tests.warehouse.records import select


def store(warehouse: Warehouse, frame: pd.DataFrame) -> None:
    """Store a frame in the table `mart`."""
    with warehouse.transaction() as connection:
        frames.store(connection, "mart", frame)


def stored(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return select(warehouse, "SELECT * FROM mart ORDER BY ALL")


def test_columns_are_matched_by_name(warehouse: Warehouse) -> None:
    store(warehouse, pd.DataFrame({"hours": [7.0], "note": ["1.5"]}))
    store(warehouse, pd.DataFrame({"note": ["2.5"], "hours": [8.0]}))
    assert stored(warehouse) == [(7.0, "1.5"), (8.0, "2.5")]


def test_new_columns_are_added_and_missing_ones_are_empty(warehouse: Warehouse) -> None:
    store(warehouse, pd.DataFrame({"a": [1], "b": ["x"]}))
    store(warehouse, pd.DataFrame({"a": [2], "c": [True]}))
    assert stored(warehouse) == [(1, "x", None), (2, None, True)]


def test_an_empty_frame_makes_the_table(warehouse: Warehouse) -> None:
    frame = pd.DataFrame({"day": pd.Series(dtype="datetime64[s]"), "note": pd.Series(dtype=object)})
    store(warehouse, frame)
    store(warehouse, pd.DataFrame({"day": [pd.Timestamp("2026-01-01")], "note": ["x"]}))
    assert stored(warehouse) == [(pd.Timestamp("2026-01-01"), "x")]


def test_a_column_that_was_empty_takes_texts_later(warehouse: Warehouse) -> None:
    store(warehouse, pd.DataFrame({"note": pd.Series([None, None], dtype=object)}))
    store(warehouse, pd.DataFrame({"note": ["x"]}))
    assert ("x",) in stored(warehouse)


def test_decimals_grow(warehouse: Warehouse) -> None:
    store(warehouse, pd.DataFrame({"amount": [Decimal("0.5")]}))
    store(warehouse, pd.DataFrame({"amount": [Decimal("123456789.0123456789")]}))
    assert stored(warehouse) == [(Decimal("0.5"),), (Decimal("123456789.0123456789"),)]


def test_dates_stay_dates(warehouse: Warehouse) -> None:
    store(warehouse, pd.DataFrame({"day": [date(2026, 1, 1)], "at": [pd.Timestamp(0, tz="UTC")]}))
    with warehouse.reader() as connection:
        assert tables.column_types(connection, "mart") == {
            "day": "DATE",
            "at": "TIMESTAMP WITH TIME ZONE",
        }


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([1], [1.5]),
        ([1], ["one"]),
        ([date(2026, 1, 1)], [pd.Timestamp("2026-01-01 12:00")]),
        ([{"a": 1}], [{"a": 1, "b": 2}]),
        ([True], [2]),
    ],
)
def test_values_that_would_change_are_refused(
    warehouse: Warehouse, first: list[object], second: list[object]
) -> None:
    store(warehouse, pd.DataFrame({"value": first}))
    before = stored(warehouse)
    with pytest.raises(WarehouseError, match=r"column value of mart is .* cannot hold 1 of"):
        store(warehouse, pd.DataFrame({"value": second}))
    assert stored(warehouse) == before


def test_another_type_with_the_same_values_is_taken(warehouse: Warehouse) -> None:
    store(warehouse, pd.DataFrame({"value": [1, 2]}))
    store(warehouse, pd.DataFrame({"value": [3.0, None]}))
    assert stored(warehouse) == [(1,), (2,), (3,), (None,)]
