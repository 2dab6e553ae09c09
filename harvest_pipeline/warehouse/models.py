"""Creates the views of the models, and what their SQL relies on: the macro `money`, and the tables
that they read."""

from collections.abc import Iterable

import duckdb

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.models import Model, models
from harvest_pipeline.warehouse import exchange_rates, ledger, tables
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


def create(connection: duckdb.DuckDBPyConnection, *names: str) -> list[Model]:
    """Create or replace the views of these models and of the models that they read; returns all of
    them, each after those that it reads.

    Tables that were never loaded are created without rows, so that a model exists whatever has been
    loaded. Raises KeyError for an unknown model, and duckdb.Error.
    """
    wanted = with_what_they_read(names)
    connection.execute(f"CREATE OR REPLACE MACRO {_MONEY}")
    for name in dict.fromkeys(other for model in wanted for other in model.reads):
        if name in RECORDS:
            tables.prepare(connection, RECORDS[name])
        elif name == ledger.LEDGER.name:
            tables.prepare_tables(connection, ledger.LEDGER)
        elif name == exchange_rates.TABLE.name:
            tables.prepare_tables(connection, exchange_rates.TABLE)
    for model in wanted:
        _create(connection, model)
    return wanted


def with_what_they_read(names: Iterable[str]) -> list[Model]:
    """These models and the models that they read, each after those that it reads. Raises KeyError
    for an unknown model."""
    wanted: set[str] = set()

    def add(model: Model) -> None:
        wanted.add(model.name)
        for other in model.reads:
            if other in models():
                add(models()[other])

    for name in names:
        add(models()[name])
    return [model for model in models().values() if model.name in wanted]


def inlined(name: str, **replaced: str) -> str:
    """The SELECT of a model in which the models that it reads are subqueries, so that no view has
    to exist; those in `replaced` are selected by that SQL, in which `{sql}` is their own."""
    *others, model = with_what_they_read([name])
    parts = [
        f"{identifier(each.name)} AS ({replaced.get(each.name, '{sql}').format(sql=each.sql)})"
        for each in others
    ]
    return f"WITH {comma(parts)} SELECT * FROM ({model.sql})" if parts else model.sql


def money(connection: duckdb.DuckDBPyConnection) -> None:
    """Let this connection use the macro `money`, also one that only reads."""
    connection.execute(f"CREATE OR REPLACE TEMP MACRO {_MONEY}")


def _create(connection: duckdb.DuckDBPyConnection, model: Model) -> None:
    view = identifier(model.name)
    columns = comma(map(identifier, model.columns))
    connection.execute(
        f"CREATE OR REPLACE VIEW {view} ({columns}) AS SELECT {columns} FROM ({model.sql})"
    )
    connection.execute(f"COMMENT ON VIEW {view} IS {literal(model.description)}")
    for column, description in model.columns.items():
        connection.execute(
            f"COMMENT ON COLUMN {view}.{identifier(column)} IS {literal(description)}"
        )
