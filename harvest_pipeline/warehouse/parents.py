"""The records that others hang on, e.g. the invoices whose payments are to be read.

Belongs here: that one question to the tables.
Does not belong here: which of them are worth a request.
"""

from typing import Any

import duckdb

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.scope import Scope
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.scopes import condition
from harvest_pipeline.warehouse.sql import comma, identifier

#: Besides what the children repeat: what tells whether an invoice can have payments.
_STATE = ("amount", "due_amount", "paid_at", "state", "updated_at")


def parents(
    connection: duckdb.DuckDBPyConnection, record: Record, scope: Scope
) -> list[dict[str, Any]]:
    """The parents of a child record (`Record.parent`), those in `scope`, in order of their day.

    For invoices: dicts with id, issue_date, currency, amount, due_amount, paid_at, state and
    updated_at. Amounts are `Decimal`. Empty if the parents have never been loaded.
    """
    assert record.parent is not None
    parent = RECORDS[record.parent]
    if not tables.exists(connection, parent.name):
        return []
    assert parent.day is not None
    repeated = [column.from_parent for column in record.parent_columns if column.from_parent]
    names = list(dict.fromkeys((parent.key, parent.day, *repeated, *_STATE)))
    rows = connection.execute(
        f"SELECT {comma(map(identifier, names))} FROM {identifier(parent.name)}"
        f" WHERE {condition(parent, scope)} ORDER BY {identifier(parent.day)},"
        f" {identifier(parent.key)}"
    ).fetchall()
    return [dict(zip(names, row, strict=True)) for row in rows]
