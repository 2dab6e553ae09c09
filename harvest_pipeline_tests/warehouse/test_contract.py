"""Fields that are new, missing or in another order lose nothing, and are written down."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.json_lines import UNKNOWN, Keys, keep_unknown
from harvest_pipeline.warehouse.loading import load
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


def test_unknown_numbers_are_kept_as_they_were_sent(
    warehouse: Warehouse, spools: SpoolFolder
) -> None:
    """DuckDB's JSON writes a number again from 64 bits: 1.10 as 1.1."""
    numbers = "1.10 1e2 3.14159265358979323846 0.1000000000000000055511151231257827 -0.0 1E+400"
    sent = json.dumps(invoice(1, lines=[line_item(10, weight="A")], new={"list": ["B"]}, top="C"))
    rows = list[str]()
    for number in numbers.split():
        text = sent.replace('"A"', number).replace('"B"', number).replace('"C"', number)
        rows.append(text.replace('"id": 1', f'"id": {len(rows)}', 1))
    load(warehouse, spools.write("invoices", on(FIRST), rows), CONTEXT)

    kept = select(warehouse, "SELECT _extra FROM invoices ORDER BY id")
    assert kept == [(f'{{"new":{{"list": [{n}]}},"top":{n}}}',) for n in numbers.split()]
    kept = select(warehouse, "SELECT _extra FROM invoice_line_items ORDER BY invoice_id")
    assert kept == [(f'{{"weight":{number}}}',) for number in numbers.split()]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(
    line=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
        st.dictionaries(st.sampled_from(["a/b", "c~d", "", '"', "'", "\0", "x"]), json_values),
        max_size=4,
    ),
    data=st.data(),
)
def test_what_is_kept_is_exactly_what_is_under_the_unknown_paths(
    line: dict[str, dict[str, Any]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    paths = [(key, inner) for key, value in line.items() for inner in value]
    unknown = data.draw(st.sets(st.sampled_from(paths))) if paths else set[Keys]()
    file = tmp_path_factory.mktemp("unknown") / "spool.ndjson"
    file.write_text(json.dumps(line) + "\n")
    keep_unknown(file, RECORDS["clients"], {"clients": unknown})

    found = json.loads(file.read_text())[UNKNOWN.name]
    assert (json.loads(found) if found else {}) == _picked(line, unknown)


def _picked(line: dict[str, dict[str, Any]], paths: Iterable[Keys]) -> dict[str, Any]:
    picked: dict[str, Any] = {}
    for key, inner in paths:
        picked.setdefault(key, {})[inner] = line[key][inner]
    return picked
