"""Which of the changes that Harvest tells of are not in the warehouse yet.

Belongs here: comparing the records of a spool with the rows of their table.
Does not belong here: what is done about it (judging.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import cast

import duckdb
import msgspec

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.harvest.errors import TRY_LATER, AnswerInvalid
from harvest_pipeline.scope import Spool
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.ledger import LEDGER
from harvest_pipeline.warehouse.sql import identifier

#: What `updated_at` resolves. A record can change twice in one.
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Change:
    """A record that has changed at Harvest, and the days that it touches: the one that it is on
    now, and the one that the warehouse has it on; none for a record without a day."""

    id: int
    updated_at: datetime
    days: frozenset[date]


@dataclass(frozen=True, slots=True)
class _Row:
    """What the warehouse has of a record. `read_at` is Harvest's clock before it was read."""

    updated_at: datetime
    day: date | None
    read_at: datetime | None


def outstanding(
    connection: duckdb.DuckDBPyConnection, record: Record, spool: Spool
) -> list[Change]:
    """The changes of the spool that the warehouse does not hold. Raises AnswerInvalid.

    A row holds a change if it is of the same instant or a later one, on the same day, and was read
    when the second of that instant was over: a change later in that second would look the same.
    """
    heads = list(_heads(record, spool))
    rows = _rows(connection, record, [head.id for head in heads])
    found: list[Change] = []
    for head in heads:
        row = rows.get(head.id)
        if row is None or not _holds(row, head):
            days = (head.day, row.day if row else None)
            found.append(Change(head.id, head.updated_at, frozenset(day for day in days if day)))
    return found


class _Head(msgspec.Struct):
    """What is looked at of a record that came."""

    id: int
    updated_at: datetime
    day: date | None = None


def _holds(row: _Row, head: _Head) -> bool:
    if row.updated_at > head.updated_at:
        return True
    settled = row.read_at is None or row.read_at >= head.updated_at + _SECOND
    return row.updated_at == head.updated_at and row.day == head.day and settled


def _heads(record: Record, spool: Spool) -> Iterator[_Head]:
    """The records of the spool."""
    form = _Head
    if record.day:
        day = msgspec.field(name=record.column(record.day).path[0])
        form = cast("type[_Head]", msgspec.defstruct("Head", [("day", date, day)], bases=(_Head,)))
    decoder = msgspec.json.Decoder(form)
    with spool.path.open("rb") as lines:
        for line in lines:
            try:
                yield decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise AnswerInvalid(
                    f"A record of {record.name} has another form than documented ({error}). "
                    f"{TRY_LATER}"
                ) from None


def _rows(connection: duckdb.DuckDBPyConnection, record: Record, ids: list[int]) -> dict[int, _Row]:
    if not ids or not tables.exists(connection, record.name):
        return {}
    day = identifier(record.day) if record.day else "NULL"
    found = connection.execute(
        f"""
        SELECT id, coalesce(updated_at, TIMESTAMPTZ 'epoch'), {day}, read_at
        FROM {identifier(record.name)}
        LEFT JOIN (
            SELECT loaded_at, min(read_at) AS read_at FROM {identifier(LEDGER.name)}
            WHERE record = ? GROUP BY loaded_at
        ) ON loaded_at = {identifier(tables.LOADED_AT.name)}
        WHERE id IN (SELECT unnest(?::BIGINT[]))
        """,
        [record.name, ids],
    ).fetchall()
    return {row[0]: _Row(*row[1:]) for row in found}
