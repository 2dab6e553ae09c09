"""`harvest-pipeline query`: answers one SELECT from the warehouse, for people and for programs.

The file is opened read-only, and the statement reaches nothing else: it may come from anywhere.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import click
import duckdb
import msgspec
from rich.cells import cell_len, set_cell_size

from harvest_pipeline.cli.choice import one_account
from harvest_pipeline.cli.completion import account_option
from harvest_pipeline.cli.declared import accounts_of
from harvest_pipeline.cli.output import columns as terminal_columns
from harvest_pipeline.safety.text import one_line
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.confined import refuse_what_reaches_out
from harvest_pipeline.warehouse.database import warehouse_of

#: Rows that are in memory at a time.
_BATCH = 2_000
#: The least width of a column of a table.
_NARROWEST = 8
#: DuckDB marks the place of an error below the line.
_PLACE = re.compile(r"^(?P<number>LINE \d+: )(?P<line>.*)\n(?P<margin> *)\^", re.MULTILINE)

#: Errors that the warehouse explains.
_OF_THE_FILE = (duckdb.OperationalError, duckdb.InternalError, duckdb.FatalException)
_NUMBER = (int, float, Decimal, type(None))
_json = msgspec.json.Encoder(decimal_format="number")


@click.command("query")
@click.argument("sql", metavar="SQL")
@account_option
@click.option(
    "--format",
    "kind",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    help="table fits the terminal; csv and json have all rows, with exact values.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Rows of the table that is shown.",
)
def command(sql: str, account: str | None, kind: str, limit: int) -> int:
    """Ask the warehouse in SQL: one SELECT of DuckDB, or - to read it from standard input.

    It only reads, and only the warehouse. Tables without a schema are those of the account; times
    are in UTC.

    \b
    Example:
      harvest-pipeline query "select * from receivables order by due_date"
    """
    settings = one_account(accounts_of(), account)
    warehouse = warehouse_of(settings, partial(click.echo, err=True))
    try:
        if sql == "-":
            sql = sys.stdin.read()
        sql.encode()
    except UnicodeError:
        raise click.ClickException("The statement is not text in UTF-8.") from None
    try:
        with warehouse.reader(confined=True) as connection:
            try:
                if warehouse.place.is_lake:
                    refuse_what_reaches_out(connection, sql)
                _answer(connection, sql, kind, limit)
            except duckdb.Error as error:
                if isinstance(error, _OF_THE_FILE):
                    raise
                if isinstance(error, duckdb.CatalogException) and not tables.names(connection):
                    raise click.ClickException(
                        f"Nothing of {settings.name} is loaded yet; run `harvest-pipeline sync`."
                    ) from error
                raise click.ClickException(_sentence(error)) from error
    except duckdb.Error as error:
        raise click.ClickException(_sentence(error)) from error
    return 0


def _answer(connection: duckdb.DuckDBPyConnection, sql: str, kind: str, limit: int) -> None:
    """Run the statement and print its rows. Raises ClickException for any but one SELECT, and
    duckdb.Error."""
    statements = connection.extract_statements(sql)
    # DuckDB would let COPY overwrite the file that it has open.
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise click.ClickException(
            "query runs one statement that only reads: SELECT, WITH, FROM, VALUES, DESCRIBE, SHOW "
            "or SUMMARIZE."
        )
    cursor = _executed(connection, statements[0])
    columns = [each[0] for each in cursor.description or ()]
    if kind == "table":
        rows = cursor.fetchmany(limit + 1)
        click.echo(_table(columns, rows[:limit]))
        if len(rows) > limit:
            click.echo("\nThere are more rows: --limit shows more, --format csv all of them.")
        return
    show = _printable if sys.stdout.isatty() else str
    for text in (_csv if kind == "csv" else _objects)(columns, _batches(cursor)):
        click.echo(show(text), color=True)  # without it, click takes escape codes out of values


def _executed(
    connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement
) -> duckdb.DuckDBPyConnection:
    """The result of the statement, which Ctrl-C ends: in the main thread, DuckDB would not look up
    from work that only one thread can do."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(connection.execute, statement)
        try:
            return running.result()
        except KeyboardInterrupt:
            connection.interrupt()
            raise


def _batches(cursor: duckdb.DuckDBPyConnection) -> Iterator[list[tuple[Any, ...]]]:
    while batch := cursor.fetchmany(_BATCH):
        yield batch


def _csv(columns: Sequence[str], batches: Iterator[list[tuple[Any, ...]]]) -> Iterator[str]:
    """The lines of a CSV file, many at a time. An empty field is NULL, and `""` an empty text."""
    yield ",".join(map(_field, columns))
    for batch in batches:
        yield "\n".join(",".join(map(_field, row)) for row in batch)


def _field(value: Any) -> str:
    text = _text(value)
    if value is not None and (not text or re.search(r'[",\r\n]|^\s|\s$', text)):
        return '"' + text.replace('"', '""') + '"'
    return text


def _objects(columns: Sequence[str], batches: Iterator[list[tuple[Any, ...]]]) -> Iterator[str]:
    """The lines of a JSON array of an object for each row, many at a time. Decimals are numbers
    with all their digits. Raises ClickException if two columns have the same name."""
    if twice := next((name for name in columns if columns.count(name) > 1), None):
        raise click.ClickException(
            f"Two columns are named {one_line(twice)}, and an object of JSON has one of a name; "
            "rename one with AS."
        )
    before = "["
    for batch in batches:
        objects = (_json.encode(dict(zip(columns, row, strict=True))).decode() for row in batch)
        yield before + ",\n".join(objects)
        before = ","
    yield "]" if before == "," else "[]"


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """The rows as a table that fits the terminal, in which long texts are cut; or each row as a
    list of its columns, if there are too many for that."""
    wide = terminal_columns()
    names = [one_line(name, wide) for name in columns]
    cells = [[one_line(_cell(value), wide) for value in row] for row in rows]
    numbers = [
        all(isinstance(row[index], _NUMBER) for row in rows) for index in range(len(columns))
    ]
    if widths := _widths([names, *cells], wide):
        lines = [names, ["-" * width for width in widths], *cells]
        return "\n".join("  ".join(map(_fitted, line, widths, numbers)).rstrip() for line in lines)
    first = max(map(cell_len, names))
    return "\n\n".join(
        "\n".join(
            _fitted(f"{_fitted(name, first)}  {cell}", wide).rstrip()
            for name, cell in zip(names, row, strict=True)
        )
        for row in cells
    )


def _widths(lines: Sequence[Sequence[str]], wide: int) -> list[int] | None:
    """The widths of the columns of a table, of which the widest are made as narrow as is needed;
    None if it does not fit then."""
    longest = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for most in range(max(_NARROWEST, *longest), _NARROWEST - 1, -1):
        widths = [min(each, most) for each in longest]
        if sum(widths) + 2 * (len(widths) - 1) <= wide:
            return widths
    return None


def _fitted(text: str, width: int, right: bool = False) -> str:
    """The text in that many columns of the terminal, of which a Chinese letter takes two."""
    if cell_len(text) > width:
        text = f"{set_cell_size(text, width - 1)}…"
    room = " " * (width - cell_len(text))
    return f"{room}{text}" if right else f"{text}{room}"


def _cell(value: Any) -> str:
    """A value for people: two decimals, or as many as it has."""
    if isinstance(value, Decimal):
        whole, point, decimals = _text(value).partition(".")
        return f"{whole}{point}{decimals.rstrip('0').ljust(2, '0')}" if point else whole
    return _text(value)


def _text(value: Any) -> str:
    """A value as text, with all its digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict | list | tuple):
        return _json.encode(value).decode()
    return str(value)


def _printable(text: str) -> str:
    """The text without what a terminal would obey."""
    return "".join(each if each.isprintable() or each == "\n" else " " for each in text)


def _sentence(error: duckdb.Error) -> str:
    """What DuckDB says, and the place in the statement."""
    text = str(error)
    place = _PLACE.search(text)
    told = one_line(text[: place.start()] if place else text, 400)
    if place and (there := place["line"][len(place["margin"]) - len(place["number"]) :]):
        return f"{told} ({place['number'].strip(' :').lower()}, at {one_line(there, 30)!r})"
    return told
