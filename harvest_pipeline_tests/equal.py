"""Whether a warehouse equals an account: row by row, column by column, to the last digit.

Every column that the warehouse has is compared, the embedded assignments of people and tasks too;
only `_loaded_at` is ours. Copies of names are what the account shows now, whenever they were read.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.scope import Window
from harvest_pipeline.warehouse.coverage import kept_days
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.orchestration.parameters.expected import COMPARED, Row, Rows, of_table
from harvest_pipeline_tests.orchestration.parameters.expected import Account as Expected
from harvest_pipeline_tests.places import place_at
from harvest_pipeline_tests.sandbox.account import Account
from harvest_pipeline_tests.sandbox.truth import truth

#: The compared records whose rows have Harvest's id as their key.
WITH_ID = tuple(name for name, record in COMPARED.items() if record.key == "id")


def differences(database: Path, account: Account, schema: str = "harvest") -> list[str]:
    """What of all records but the snapshots differs between the warehouse and the account; empty:
    nothing.

    A table that is not there counts as one without rows.
    """
    with account.lock:
        there = Expected.of_sandbox(account.records).rows
    tables = read_tables(database, schema, COMPARED)
    found: list[str] = []
    for record, rows in there.items():
        columns, values = tables.get(record, ([], []))
        if rows and not columns:
            found.append(f"{record}: there is no table, and Harvest has {len(rows)}")
            continue
        found += _of_record(RECORDS[record], columns, values, rows)
    return found


def not_kept(
    database: Path, deleted: Mapping[str, Collection[int]], schema: str = "harvest"
) -> list[str]:
    """What was deleted at Harvest after it had been loaded, by record, and is not in the
    `<record>_deleted` table."""
    names = [f"{record}_deleted" for record, ids in deleted.items() if ids]
    tables = read_tables(database, schema, names)
    found: list[str] = []
    for record, ids in deleted.items():
        columns, values = tables.get(f"{record}_deleted", (["id"], []))
        kept = {row[columns.index("id")] for row in values}
        found += [f"{record} {id}: deleted, and not in {record}_deleted" for id in set(ids) - kept]
    return sorted(found)


def out_of_reach(
    database: Path, account: Account, window: Window, schema: str = "harvest"
) -> set[str]:
    """The rows of the account, as `record id`, on days that the warehouse need not keep: outside of
    the `window` of the project, never read, and without a row that it knows."""
    found: set[str] = set()
    warehouse = Warehouse(place_at(database), schema)
    with account.lock, warehouse.reader() as connection:
        for record in RECORDS.values():
            if record.day is None or record.parent or record.is_snapshot:
                continue
            kept = kept_days(connection, record, window)
            rows = truth(account.records, record.name)
            found |= {f"{record.name} {row['id']}" for row in rows if row[record.day] not in kept}
    # Where an invoice is, there is what belongs to it.
    for name in ("invoice_line_items", "invoice_messages", "invoice_payments"):
        for row in truth(account.records, name):
            if f"invoices {row['invoice_id']}" in found:
                found.add(f"{name} {row['id']}")
    return found


def read_tables(
    database: Path, schema: str, names: Collection[str]
) -> dict[str, tuple[list[str], list[tuple[Any, ...]]]]:
    """Columns and rows of those of the tables that are there."""
    with Warehouse(place_at(database), schema).reader() as connection:
        present = {
            name
            for (name,) in connection.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = ?", [schema]
            ).fetchall()
        }
        found: dict[str, tuple[list[str], list[tuple[Any, ...]]]] = {}
        for name in sorted(present & set(names)):
            cursor = connection.execute(f'SELECT * FROM "{schema}"."{name}"')
            found[name] = [each[0] for each in cursor.description or ()], cursor.fetchall()
        return found


def _of_record(
    record: Record, columns: list[str], values: list[tuple[Any, ...]], there: Rows
) -> Iterator[str]:
    name = record.name
    keys = [row[columns.index(record.key)] for row in values] if columns else []
    twice = {key for key in keys if keys.count(key) > 1} if len(set(keys)) < len(keys) else set()
    if twice:
        yield from (f"{name} {key}: is there {keys.count(key)} times" for key in sorted(twice))
        return
    here = of_table(name, columns, values)
    yield from (f"{name} {key}: is missing" for key in sorted(there.keys() - here.keys()))
    yield from (f"{name} {key}: Harvest has no such" for key in sorted(here.keys() - there.keys()))
    for key in sorted(here.keys() & there.keys()):
        yield from _of_row(f"{name} {key}", here[key], there[key])


def _of_row(subject: str, here: Row, there: Row) -> Iterator[str]:
    for column, value in there.items():
        if column not in here:
            yield f"{subject}: there is no column {column}"
        elif here[column] != value:
            yield f"{subject}: {column} is {here[column]!r}, at Harvest {value!r}"
    if here["_extra"] is not None:
        yield f"{subject}: _extra is {here['_extra']}, and Harvest sends nothing unknown"
