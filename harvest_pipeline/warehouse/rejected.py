"""The table `_rejected`: records from Harvest that fit into no table.

Such a record does not prevent all others of its list from being loaded: it is set aside with its
bytes, an older row of it stays, and a check fails until Harvest sends it in a form that fits.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import duckdb
import msgspec

from harvest_pipeline.catalogue.columns import DAY, ID, INSTANT, TEXT, Column, Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.scope import Rejected, Scope, Spool
from harvest_pipeline.warehouse import contract, tables
from harvest_pipeline.warehouse.contract import Misfits
from harvest_pipeline.warehouse.errors import FieldRetyped
from harvest_pipeline.warehouse.json_lines import Lines, rewriting
from harvest_pipeline.warehouse.ledger import LEDGER, Load
from harvest_pipeline.warehouse.sql import comma, identifier, literal

#: More records than this, if they are more than one in a hundred of a read, are not an accident.
_HANDFUL, _ONE_IN = 10, 100

REJECTED = tables.Table(
    "_rejected",
    "Records that Harvest sent and that do not fit into their tables; a good version of one takes"
    " its row from here.",
    "id",
    (
        Column("record", TEXT, "The record, which is also the table that it is missing from.", ()),
        Column("id", ID, "Id of the record.", ()),
        Column("day", DAY, "Its day; empty where it has none, or none that can be read.", ()),
        Column("parent_id", ID, "Id of what it belongs to: the invoice of a payment.", ()),
        Column("field", TEXT, "The field that does not fit; empty: the record as a whole.", ()),
        Column("reason", TEXT, "What is wrong with the field.", ()),
        # Bytes, since not all of it is text: a byte that is not UTF-8 is one of the reasons.
        Column("bytes", "BLOB", "The record, byte by byte; decode(bytes) shows one in UTF-8.", ()),
        Column("load_id", TEXT, "Id of the load that set it aside.", ()),
        Column("read_at", INSTANT, "Harvest's clock before it was read, in UTC.", ()),
        Column("rejected_at", INSTANT, "When it was set aside, in UTC.", ()),
    ),
)

_TABLE = identifier(REJECTED.name)


_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def set_aside(
    connection: duckdb.DuckDBPyConnection, spool: Spool, lines: Sequence[Lines], misfits: Misfits
) -> Spool:
    """Remove these records from the spool's file. Raises FieldRetyped if they are too many, or are
    all the records that have a value in a field."""
    record, rejected = lines[0].record, list(spool.rejected)
    refused = _are_too_many(spool, len(rejected) + len(misfits)) or _is_throughout(
        connection, lines, misfits
    )
    with rewriting(spool.path) as (old, kept):
        for line in old:
            misfit = misfits.get(record_id := _value(line, record.key, int))
            if misfit is None:
                kept.write(line)
                continue
            found = Rejected(
                record_id,
                _value(line, record.day, date),
                ".".join(misfit.path),
                misfit.reason,
                line.removesuffix(b"\n"),
                _value(line, record.link.name, int) if record.parent else None,
            )
            if refused:
                count = sum(other.path == misfit.path for other in misfits.values())
                raise _refusal(record.name, found, count)
            rejected.append(found)
    return replace(spool, rejected=tuple(rejected))


def refuse_many(spool: Spool) -> None:
    """Raise FieldRetyped if too many of the records could not be read."""
    if _are_too_many(spool, len(spool.rejected)):
        raise _refusal(spool.scope.record, spool.rejected[0], len(spool.rejected))


def write(connection: duckdb.DuckDBPyConnection, spool: Spool, load: Load) -> None:
    """Record what a load sets aside, in an existing table, and remove from it the records that the
    load has brought in a valid form, and those that Harvest no longer has."""
    record = RECORDS[spool.scope.record]
    key, ids = identifier(record.key), [each.id for each in spool.rejected]
    settled = [
        f"id IN (SELECT {key} FROM {identifier(record.name)}"
        f" WHERE {identifier(tables.LOADED_AT.name)} = $loaded_at::TIMESTAMPTZ)",
        "list_contains($ids, id)",
        *_owned(connection, record, spool),
    ]
    connection.execute(
        f"DELETE FROM {_TABLE} WHERE record = $record AND ({' OR '.join(settled)})",
        {"record": record.name, "loaded_at": load.loaded_at, "ids": ids},
    )
    window = spool.scope.window
    only_day = window.first if window and window.first == window.last else None
    for each in spool.rejected:
        connection.execute(
            f"INSERT INTO {_TABLE} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                record.name,
                each.id,
                each.day or only_day,
                each.parent_id,
                each.field,
                each.reason,
                each.raw,
                load.load_id,
                spool.read_at,
                load.loaded_at,
            ],
        )


def of_load(load: Load) -> str:
    """The query for the ids that a load has set aside."""
    return (
        f"SELECT id FROM {_TABLE} WHERE record = {literal(load.scope.record)}"
        f" AND load_id = {literal(load.load_id)}"
    )


def without_row(connection: duckdb.DuckDBPyConnection, record: Record, scope: Scope) -> int:
    """How many records of a scope are set aside and have no older row: Harvest counts them."""
    if scope.filters or not tables.exists(connection, REJECTED.name):
        return 0
    window = scope.window
    return connection.execute(
        f"SELECT count(*) FROM {_TABLE} WHERE record = ?"
        f" AND coalesce(day >= ?::DATE AND day <= ?::DATE, {'false' if window else 'true'})"
        f" AND id NOT IN (SELECT {identifier(record.key)} FROM {identifier(record.name)})",
        [record.name, window and window.first, window and window.last],
    ).fetchall()[0][0]


def _owned(connection: duckdb.DuckDBPyConnection, record: Record, spool: Spool) -> Iterator[str]:
    """The conditions for the records that the load of a spool would have brought again."""
    scope, window = spool.scope, spool.scope.window
    if scope.filters.changes_only:
        return
    if not scope.filters and window is None:
        yield "true"
    elif not scope.filters and window:
        days = f"DATE '{window.first}' AND DATE '{window.last}'"
        yield f"day BETWEEN {days}"
        yield (
            f"load_id IN (SELECT load_id FROM {identifier(LEDGER.name)}"
            f" WHERE window_first BETWEEN {days} AND window_last BETWEEN {days})"
        )
    if spool.parents:
        yield f"parent_id IN ({comma(map(str, spool.parents))})"
    if record.parent and tables.exists(connection, record.parent):
        parent = RECORDS[record.parent]
        yield f"parent_id NOT IN (SELECT {identifier(parent.key)} FROM {identifier(parent.name)})"


def _are_too_many(spool: Spool, rejected: int) -> bool:
    return rejected > _HANDFUL and rejected * _ONE_IN > spool.rows


def _is_throughout(
    connection: duckdb.DuckDBPyConnection, lines: Sequence[Lines], misfits: Misfits
) -> bool:
    """Whether no record has a usable value in one of the fields: then the field has changed. A
    single record is no sign of that."""
    outer, *inner = lines
    for path, count in Counter(misfit.path for misfit in misfits.values()).items():
        where, below = outer, path
        for each in inner:
            if len(path) > 1 and path[0] == each.record.envelope:
                where, below = each, path[1:]
        if count > 1 and contract.ids_with(connection, where, below) == count:
            return True
    return False


def _value(line: bytes, key: str | None, form: Any) -> Any:
    """The value of a key of a line; None if there is none of that form."""
    try:
        # Lenient: DuckDB converts the text "77" to a number, too.
        value = _members_decoder.decode(line)[key or ""]
        return msgspec.json.decode(value, type=form, strict=False)
    except (KeyError, msgspec.DecodeError):
        return None


def _refusal(record: str, rejected: Rejected, count: int) -> FieldRetyped:
    field = f"The field {rejected.field}" if rejected.field else "A record"
    day = f" of {rejected.day}" if rejected.day else ""
    return FieldRetyped(
        f"{field} of {record} {rejected.reason} in {count} of the records, in {rejected.id}{day}"
        " for example; nothing was loaded. Harvest has changed: a newer version of this project may"
        " know the new form."
    )
