"""The table `exchange_rates`: rates that the user gives, as a file or by filling the table."""

from pathlib import Path

import duckdb

from harvest_pipeline.catalogue.columns import DAY, DECIMAL, TEXT, Column
from harvest_pipeline.safety.text import one_line
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.sql import file_pattern, identifier, literal


def _column(name: str, type: str, description: str) -> Column:
    return Column(name, type, description, ())


TABLE = tables.Table(
    "exchange_rates",
    "Exchange rates, as the user gives them: nothing is fetched, and without any it is empty. A "
    "rate holds until the next day that has one.",
    "day",
    (
        _column("day", DAY, "The first day that the rate holds for."),
        _column("from_currency", TEXT, "The currency that is exchanged, as an ISO code."),
        _column("to_currency", TEXT, "The currency that it is exchanged for, as an ISO code."),
        _column("rate", DECIMAL, "How much of that currency one unit of the first one gives."),
    ),
)


def fill(connection: duckdb.DuckDBPyConnection, path: Path | None) -> int:
    """Create the table if it is missing, and let it hold what the file has, a CSV or Parquet file
    with the columns day, from, to and rate; without a file it keeps what the user filled in.
    Returns its number of rows.

    Runs in the caller's transaction. Raises WarehouseError if the file cannot be read.
    """
    tables.prepare_tables(connection, TABLE)
    table = identifier(TABLE.name)
    if path is not None:
        pattern = literal(file_pattern(path))
        # As text, whose digits become those of the rate; a number would be a float first.
        rows = f"read_csv({pattern}, header = true, all_varchar = true)"
        if path.suffix.lower() == ".parquet":
            rows = f"read_parquet({pattern})"
        connection.execute(f"DELETE FROM {table}")
        try:
            connection.execute(
                f"INSERT INTO {table}"
                ' SELECT "day", upper(trim("from")), upper(trim("to")), "rate"'
                f" FROM {rows}"
            )
        except duckdb.Error as error:
            raise WarehouseError(
                f"The exchange rates in {path} cannot be read ({one_line(str(error), 200)}); it "
                "needs the columns day, from, to and rate."
            ) from error
    return connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
