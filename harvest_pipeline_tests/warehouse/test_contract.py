"""Fields that are new, missing or in another order lose nothing, and are written down."""

import json
from collections.abc import Iterable
from typing import Any

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.lines import LINE, Keys
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline.warehouse.values import remainder
from harvest_pipeline_tests.warehouse.records import (
    CONTEXT,
    FIRST,
    SpoolFolder,
    client,
    dump,
    invoice,
    line_item,
    on,
    select,
    time_entry,
)


def test_reordered_fields_land_in_their_columns(warehouse: Warehouse, spools: SpoolFolder) -> None:
    entry = time_entry(1)
    load(warehouse, spools.time_entries(on(FIRST), [entry]), CONTEXT)
    first = dump(warehouse)
    backwards = dict(reversed(entry.items()))
    backwards["client"] = dict(reversed(entry["client"].items()))
    done = load(warehouse, spools.time_entries(on(FIRST), [backwards]), CONTEXT)

    assert dump(warehouse) == first
    assert not done.unknown_fields and not done.missing_fields


def test_unknown_fields_are_kept_and_counted(warehouse: Warehouse, spools: SpoolFolder) -> None:
    new = time_entry(1, mood={"word": "fine", "level": 3}, color=None)
    new["client"] |= {"vip": True}
    done = load(warehouse, spools.time_entries(on(FIRST), [new, time_entry(2)]), CONTEXT)

    rows = select(warehouse, "SELECT id, hours, _extra FROM time_entries ORDER BY id")
    assert json.loads(rows[0][2]) == {
        "mood": {"word": "fine", "level": 3},
        "color": None,
        "client": {"vip": True},
    }
    assert rows[1][2] is None
    assert [row[1] for row in rows] == [3.5, 3.5]
    assert done.unknown_fields == {"client.vip": 1, "color": 1, "mood": 1}


def test_unknown_fields_of_a_line_item_stay_with_the_line_item(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    lines = [line_item(10, weight=1.5), line_item(11)]
    done = load(
        warehouse,
        spools.write("invoices", on(FIRST), [invoice(1, lines=lines, paper="A4")]),
        CONTEXT,
    )

    assert select(warehouse, "SELECT _extra FROM invoices") == [('{"paper":"A4"}',)]
    items = select(warehouse, "SELECT invoice_id, id, amount, _extra FROM invoice_line_items")
    assert sorted(items) == [(1, 10, 1500, '{"weight":1.5}'), (1, 11, 1500, None)]
    assert done.unknown_fields == {"paper": 1, "line_items.weight": 1}


def test_missing_fields_are_empty_and_counted(warehouse: Warehouse, spools: SpoolFolder) -> None:
    entries = [time_entry(1), time_entry(2), time_entry(3)]
    del entries[0]["cost_rate"], entries[1]["cost_rate"]
    del entries[1]["task"]["name"], entries[2]["client"]
    # The catalogue knows that these may be missing.
    del entries[0]["approval_status"], entries[0]["project"]["code"]
    done = load(warehouse, spools.time_entries(on(FIRST), entries), CONTEXT)

    assert done.missing_fields == {"client": 1, "cost_rate": 2, "task.name": 1}
    assert select(
        warehouse,
        "SELECT cost_rate, task_name, client_id, approval_status FROM time_entries ORDER BY id",
    ) == [
        (None, "Development", 13700101, None),
        (None, None, 13700101, "approved"),
        (60, "Development", None, "approved"),
    ]
    assert select(warehouse, "SELECT missing_fields FROM _loads") == [
        ('{"client": 1, "cost_rate": 2, "task.name": 1}',)
    ]


def test_an_empty_object_misses_its_fields(warehouse: Warehouse, spools: SpoolFolder) -> None:
    done = load(warehouse, spools.time_entries(on(FIRST), [time_entry(1, task={})]), CONTEXT)

    assert done.missing_fields == {"task.id": 1, "task.name": 1}


def test_a_column_that_the_catalogue_gained_is_added(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    load(warehouse, spools.write("clients", None, [client(1)]), CONTEXT)
    with warehouse.connect() as connection:
        connection.execute("ALTER TABLE clients DROP COLUMN currency")
    load(warehouse, spools.write("clients", None, [client(1)]), CONTEXT)

    assert select(warehouse, "SELECT currency FROM clients") == [("USD",)]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(
    line=st.dictionaries(
        # DuckDB 1.5 takes no SQL with a zero byte in it.
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4),
        st.dictionaries(st.sampled_from(["a/b", "c~d", "", '"', "'", "x"]), json_values),
        max_size=4,
    ),
    data=st.data(),
)
def test_the_remainder_is_exactly_what_is_under_the_unknown_paths(
    line: dict[str, dict[str, Any]], data: st.DataObject
) -> None:
    paths = [(key, inner) for key, value in line.items() for inner in value]
    unknown = data.draw(st.sets(st.sampled_from(paths))) if paths else set[Keys]()
    with duckdb.connect() as connection:
        [(found,)] = connection.execute(
            f"SELECT {remainder(unknown)} FROM (SELECT ?::JSON AS {LINE})", [json.dumps(line)]
        ).fetchall()

    assert (json.loads(found) if found else {}) == _picked(line, unknown)


def _picked(line: dict[str, dict[str, Any]], paths: Iterable[Keys]) -> dict[str, Any]:
    picked: dict[str, Any] = {}
    for key, inner in paths:
        picked.setdefault(key, {})[inner] = line[key][inner]
    return picked
