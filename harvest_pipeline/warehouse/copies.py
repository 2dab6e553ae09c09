"""Keeps copies of names equal to the record that they are copied from.

Harvest repeats the names of clients, projects, tasks and people in the records that belong to them,
and the client of a project in its time entries and expenses. Renaming one of these, or moving a
project to another client, changes no other record's `updated_at`: reading only changes would keep
the old copies forever. So whenever a record is loaded, the rows that repeat it are updated. They
are not read again, and their `_loaded_at` stays.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import duckdb

from harvest_pipeline.catalogue.columns import ROW_KEY, Column, Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.sql import comma, identifier


@dataclass(frozen=True, slots=True)
class Copy:
    """Columns of a table that repeat another record: `link` contains its key, `columns` are the
    copies, each with the columns that it is made of."""

    table: str
    link: str
    columns: tuple[tuple[str, tuple[str, ...]], ...]


@cache
def copies_of(name: str) -> tuple[Copy, ...]:
    """Where other records repeat this one, in the order of the catalogue."""
    return tuple(
        Copy(record.name, link.name, repeated)
        for record in RECORDS.values()
        for link in record.columns
        if link.references == name and (repeated := tuple(_repeated(record, link)))
    )


def follow(
    connection: duckdb.DuckDBPyConnection,
    record: Record,
    loaded_at: datetime,
    present: Collection[str],
) -> None:
    """Update the copies of the rows of `record` that were loaded at that instant.

    `present` are the names of the existing tables.
    """
    for copy in copies_of(record.name):
        if copy.table not in present:
            continue
        pairs = [(identifier(name), _joined(origin)) for name, origin in copy.columns]
        differ = " OR ".join(f"copy.{name} IS DISTINCT FROM {value}" for name, value in pairs)
        connection.execute(
            f"UPDATE {identifier(copy.table)} AS copy"
            f" SET {comma(f'{name} = {value}' for name, value in pairs)}"
            f" FROM {identifier(record.name)} AS origin"
            f" WHERE copy.{identifier(copy.link)} = origin.{identifier(record.key)}"
            f" AND origin.{identifier(tables.LOADED_AT.name)} = ?"
            f" AND ({differ})",
            [loaded_at],
        )


def _repeated(record: Record, link: Column) -> Iterator[tuple[str, tuple[str, ...]]]:
    for column in record.columns:
        if link.from_parent:
            if column is not link and column.from_parent not in (None, ROW_KEY):
                yield column.name, (column.from_parent,)
        elif column.through == link.name:
            yield column.name, (column.name,)
        elif column.copy_of and column.path[:-1] == link.path[:-1]:
            yield column.name, column.copy_of


def _joined(origin: tuple[str, ...]) -> str:
    columns = [f"origin.{identifier(name)}" for name in origin]
    return columns[0] if len(columns) == 1 else f"trim(concat_ws(' ', {comma(columns)}))"
