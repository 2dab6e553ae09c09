"""Creates the views of the models with what their SQL relies on, macros and the tables that they
read, describes them, and makes them tables in a copy for readers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import Any

import duckdb

from harvest_pipeline.catalogue.columns import TEXT, Column
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.models import Model, models, tables_of, with_what_they_read
from harvest_pipeline.warehouse import exchange_rates, ledger, tables
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.sql import comma, identifier, literal

#: Currencies whose smallest unit is not a hundredth, by ISO 4217.
_WITHOUT_DIGITS = (
    *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"),
    *("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"),
)
_WITH_THREE_DIGITS = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
#: `money(amount, currency)`: rounded to the digits of the currency, two if it is not known. The
#: casts keep the decimals: a CASE has the type of its first branch, DECIMAL(38,0).
_MONEY = f"""
    money(amount, currency) AS CASE
        WHEN currency IN ({comma(map(literal, _WITHOUT_DIGITS))})
            THEN round(amount, 0)::DECIMAL(38,3)
        WHEN currency IN ({comma(map(literal, _WITH_THREE_DIGITS))})
            THEN round(amount, 3)::DECIMAL(38,3)
        ELSE round(amount, 2)::DECIMAL(38,3)
    END
"""
#: `ageing_bucket(due_amount, days_past_due)` of an invoice.
_AGEING_BUCKET = """
    ageing_bucket(due_amount, days_past_due) AS CASE
        WHEN due_amount < 0 THEN 'credit'
        WHEN days_past_due = 0 THEN '0'
        WHEN days_past_due <= 30 THEN '1–30'
        WHEN days_past_due <= 60 THEN '31–60'
        WHEN days_past_due <= 90 THEN '61–90'
        ELSE '90+'
    END
"""  # noqa: RUF001 - a range of days is written with a dash, as finance does


def _macros(timezone: str) -> list[str]:
    """What the SQL of the models calls: besides the above `local_day(instant)`, the day in the
    project's time zone. A night at 3 in India is still the day before in UTC."""
    local_day = f"local_day(instant) AS (instant AT TIME ZONE {literal(timezone)})::DATE"
    return [_MONEY, _AGEING_BUCKET, local_day]


#: The version of each view: creating them all takes a second of processor.
_VERSIONS = tables.Table(
    "_models",
    "The version of the SQL from which each model's view was made.",
    "name",
    (
        Column("name", TEXT, "Name of the model.", ()),
        Column("version", TEXT, "Changes with its SQL and with that of what it reads.", ()),
    ),
)
#: The version of a model that is a table, in a copy for readers.
_IS_TABLE = "table"


def create(
    connection: duckdb.DuckDBPyConnection, names: Iterable[str], timezone: str
) -> list[Model]:
    """Create the views of these models and of the models that they read, or replace those whose SQL
    has changed; returns the ones that were. Instants are days in `timezone` (an IANA name).

    Tables that were never loaded are created without rows, so that a model exists whatever has been
    loaded. Raises KeyError for an unknown model, WarehouseError if a table is in the place of a
    view, and duckdb.Error.
    """
    wanted = with_what_they_read(names)
    there = _versions(connection)
    stale = [each for each in wanted if there.get(each.name) != version(each.name, timezone)]
    if not stale:
        return []
    for macro in _macros(timezone):
        connection.execute(f"CREATE OR REPLACE MACRO {macro}")
    tables.prepare_tables(connection, _VERSIONS)
    for name in dict.fromkeys(other for model in wanted for other in model.reads):
        if name in RECORDS:
            tables.prepare(connection, RECORDS[name])
        elif name == ledger.LEDGER.name:
            tables.prepare_tables(connection, ledger.LEDGER)
        elif name == exchange_rates.TABLE.name:
            tables.prepare_tables(connection, exchange_rates.TABLE)
    for model in stale:
        _create(connection, model, version(model.name, timezone))
    return stale


def become_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Let the models in the schema, which is one of a copy of the database, be tables with the rows
    that their views show. `create` knows them again, and replaces them by views."""
    there, comments = _versions(connection), tables.column_comments(connection)
    for name in [each for each in models() if each in there]:  # after those that it reads
        view, table = identifier(name), identifier(f"{name} (table)")
        connection.execute(f"CREATE TABLE {table} AS FROM {view}")
        connection.execute(f"DROP VIEW {view}; ALTER TABLE {table} RENAME TO {view}")
        connection.execute(f"COMMENT ON TABLE {view} IS {literal(models()[name].description)}")
        for column, comment in comments[name].items():
            connection.execute(
                f"COMMENT ON COLUMN {view}.{identifier(column)} IS {literal(comment or '')}"
            )
        connection.execute(
            f"UPDATE {_VERSIONS.name} SET version = ? WHERE name = ?", [_IS_TABLE, name]
        )


def _versions(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The versions of the views that exist."""
    if not tables.exists(connection, _VERSIONS.name):
        return {}
    return dict(
        connection.execute(
            f"SELECT name, version FROM {_VERSIONS.name} JOIN duckdb_views() ON view_name = name"
            " AND database_name = current_database() AND schema_name = current_schema()"
        ).fetchall()
    )


@cache
def version(name: str, timezone: str) -> str:
    """Changes with everything that the view depends on: a view breaks if a type below it does.
    Raises KeyError for an unknown model."""
    below = [
        (each.sql, each.columns, [RECORDS[other] for other in each.reads if other in RECORDS])
        for each in with_what_they_read([name])
    ]
    return sha256(repr((_macros(timezone), models()[name], below)).encode()).hexdigest()[:16]


def inlined(name: str, narrowed: Mapping[str, str]) -> str:
    """The SELECT of a model in which the models that it reads are subqueries, so that no view has
    to exist. Those in `narrowed` are the SQL there, in which `{sql}` is their own."""
    *others, model = with_what_they_read([name])
    parts = [
        f"{identifier(each.name)} AS ({narrowed.get(each.name, '{sql}').format(sql=each.sql)})"
        for each in others
    ]
    return f"WITH {comma(parts)} SELECT * FROM ({model.sql})" if parts else model.sql


def use_money(connection: duckdb.DuckDBPyConnection) -> None:
    """Let this connection use the macro `money`, also one that only reads."""
    connection.execute(f"CREATE OR REPLACE TEMP MACRO {_MONEY}")


_PREVIEW_ROWS = 5
_PREVIEW_COLUMNS = 7


@dataclass(frozen=True, slots=True)
class Described:
    """What a view shows: its rows, how many of them share their grain with another one, the types
    of its columns, its first rows, and how fresh it is (UTC; None if nothing was ever loaded)."""

    rows: int
    duplicates: int
    types: dict[str, str]
    preview: list[dict[str, Any]]
    as_of: datetime | None


def describe(connection: duckdb.DuckDBPyConnection, model: Model) -> Described:
    """The description of a model's view, which exists. Raises duckdb.Error."""
    view, grain = identifier(model.name), comma(map(identifier, model.grain))
    rows, duplicates = connection.execute(
        "SELECT coalesce(sum(n), 0)::BIGINT, coalesce(sum(n) FILTER (WHERE n > 1), 0)::BIGINT"
        f" FROM (SELECT count(*) AS n FROM {view} GROUP BY {grain})"
    ).fetchall()[0]
    shown = [*model.columns][:_PREVIEW_COLUMNS]
    first = connection.execute(
        f"SELECT {comma(map(identifier, shown))} FROM {view} LIMIT {_PREVIEW_ROWS}"
    ).fetchall()
    return Described(
        rows,
        duplicates,
        tables.column_types(connection, model.name),
        [dict(zip(shown, values, strict=True)) for values in first],
        as_of(connection, tables_of(model.name)),
    )


def as_of(connection: duckdb.DuckDBPyConnection, records: Iterable[str]) -> datetime | None:
    """How fresh these records are, as `freshness` defines it: the one that was asked for longest
    ago counts. In UTC; None if none of them was ever loaded."""
    if not tables.exists(connection, ledger.LEDGER.name):
        return None
    names = comma(map(literal, sorted(records))) or "NULL"
    sql = inlined("freshness", {})
    return connection.execute(
        f"SELECT min(as_of) FROM ({sql}) WHERE record IN ({names})"
    ).fetchall()[0][0]


def _create(connection: duckdb.DuckDBPyConnection, model: Model, version: str) -> None:
    view = identifier(model.name)
    if tables.kind(connection, model.name) == "BASE TABLE":
        if (model.name, _IS_TABLE) not in connection.table(_VERSIONS.name).fetchall():
            raise WarehouseError(
                f"There is a table {model.name}, and a model of that name is a view; rename the "
                "table."
            )
        connection.execute(f"DROP TABLE {view}")  # a copy for readers has been put back
    columns = comma(map(identifier, model.columns))
    connection.execute(
        f"CREATE OR REPLACE VIEW {view} ({columns}) AS SELECT {columns} FROM ({model.sql})"
    )
    connection.execute(f"COMMENT ON VIEW {view} IS {literal(model.description)}")
    tables.comment_on_columns(connection, model.name, model.columns)
    connection.execute(f"DELETE FROM {_VERSIONS.name} WHERE name = ?", [model.name])
    connection.execute(f"INSERT INTO {_VERSIONS.name} VALUES (?, ?)", [model.name, version])
