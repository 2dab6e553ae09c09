"""Writes tables and views as files for other programs: a workbook of Excel, CSV or Parquet."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import xlsxwriter  # pyright: ignore[reportMissingTypeStubs]
from xlsxwriter.exceptions import FileCreateError  # pyright: ignore[reportMissingTypeStubs]

from harvest_pipeline.safety.text import one_line
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.models import as_of
from harvest_pipeline.warehouse.sql import comma, identifier, literal

#: A workbook, a sheet or a format: XlsxWriter declares no types.
_Untyped = Any

#: The limits of Excel: rows of a sheet, and UTF-16 units of a text and of a sheet's name.
_MOST_ROWS, _LONGEST_TEXT, _LONGEST_NAME = 1_048_576, 32_767, 31
#: Excel calculates with doubles and shows 15 digits; an id with more would become another one.
_MOST_DIGITS = 15
#: The largest number of Excel; a double goes a little further, and a text to infinity.
_LARGEST = 9.99e307
#: Rows that are in memory at a time.
_BATCH = 2_000
#: Widths of columns, in letters: the least, that of dates and of numbers (999,999,999.99), and the
#: most for a text.
_NARROWEST, _NARROW, _WIDE = 8, 14, 50
#: The last sheet.
_ABOUT = "About"

_DATE, _INSTANT, _EXACT = "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss", "#,##0.00"
_COUNT, _ID = "#,##0", "0"
#: 12.5 means 12.5 % in columns of one kind, and 0.125 does in those of the other.
_IN_PERCENT = re.compile(r"(.+_)?percent(age)?")
_SHARE = re.compile(r"(.+_)?(share|utilisation|realisation)")
_IS_ID = re.compile(r"(.+_)?id")
#: What an exchange rate says stands further behind.
_RATE = "rate"


class Format(StrEnum):
    """The kind of a file, which is also its suffix."""

    XLSX = "xlsx"
    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Export:
    """A table or view of the schema that is exported, in the order of some columns, or as stored.
    `records` are those that it is computed from."""

    name: str
    order: tuple[str, ...] = ()
    records: frozenset[str] = frozenset()

    @property
    def sql(self) -> str:
        """The SELECT of its rows."""
        order = f" ORDER BY {comma(map(identifier, self.order))}" if self.order else ""
        return f"SELECT * FROM {identifier(self.name)}{order}"


def copy(connection: duckdb.DuckDBPyConnection, export: Export, path: Path, format: Format) -> int:
    """Write a CSV or Parquet file with exact values; returns its number of rows."""
    options = "FORMAT csv, HEADER" if format is Format.CSV else "FORMAT parquet"
    return connection.execute(
        f"COPY ({export.sql}) TO {literal(str(path))} ({options}, USE_TMP_FILE false)"
    ).fetchall()[0][0]


@dataclass(slots=True)
class Written:
    """The rows of each sheet of a workbook, and how many texts were too long for a cell."""

    rows: list[int]
    cut: int = 0


def workbook(
    connection: duckdb.DuckDBPyConnection,
    exports: Sequence[Export],
    path: Path,
    title: str,
    zone: ZoneInfo,
) -> Written:
    """Write a workbook with a sheet for each table, and one that says what they are; instants are
    times in `zone`. Memory does not grow with the tables.

    Raises WarehouseError for a table with more rows than a sheet holds, and OSError.
    """
    rows = [_rows(connection, export.name) for export in exports]
    book: Any = xlsxwriter.Workbook(
        path,
        {
            "constant_memory": True,
            "use_zip64": True,  # as soon as a sheet needs it
            "tmpdir": str(path.parent),  # where there is room, and private
        },
    )
    styles = _Styles(book)
    names = sheet_names(export.name for export in exports)
    written = Written(rows)
    for export, name in zip(exports, names, strict=True):
        cursor = connection.execute(export.sql)
        columns = [(each[0], str(each[1])) for each in cursor.description or ()]
        sheet = _Sheet(book.add_worksheet(name), styles, columns, zone)
        while batch := cursor.fetchmany(_BATCH):
            sheet.add(batch)
        sheet.end()
        written.cut += sheet.cut
    about = _About(book.add_worksheet(_ABOUT), styles, zone)
    about.write(connection, title, [*zip(exports, names, rows, strict=True)])
    try:
        book.close()
    except FileCreateError as error:
        raise error.args[0] from None  # the OSError inside it
    return written


def sheet_names(names: Iterable[str]) -> list[str]:
    """The names of the sheets for these tables: what Excel accepts, each another one."""
    chosen: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[\[\]:*?/\\]", "_", one_line(name)).strip("'") or "_"
        sheet, number = _first(plain, _LONGEST_NAME).rstrip("'"), 1
        # Excel keeps History for itself.
        while sheet.casefold() in {*chosen, _ABOUT.casefold(), "history"}:
            number += 1
            sheet = f"{_first(plain, _LONGEST_NAME - len(f'~{number}'))}~{number}"
        chosen[sheet.casefold()] = sheet
    return [*chosen.values()]


def _rows(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    """The number of rows of a table that fits into a sheet. Raises WarehouseError for another."""
    rows = connection.execute(f"SELECT count(*) FROM {identifier(name)}").fetchall()[0][0]
    if rows >= _MOST_ROWS:
        raise WarehouseError(
            f"{name} has {rows:,} rows, and a sheet of Excel holds {_MOST_ROWS - 1:,} below its "
            "header; export it with --format csv or --format parquet."
        )
    return rows


def _first(text: str, units: int) -> str:
    """The beginning of `text` that has at most so many UTF-16 units, which Excel counts."""
    if len(text) * 2 <= units:
        return text
    return text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", errors="ignore")


def _number_format(column: str, type: str) -> str:
    """How Excel shows the values of a column that are no text; empty: as it likes."""
    if type == "DATE":
        return _DATE
    if type.startswith("TIMESTAMP"):
        return _INSTANT
    if type.endswith(("INT", "INTEGER")):
        return _ID if _IS_ID.fullmatch(column) else _COUNT
    if type.startswith("DECIMAL") or type in ("DOUBLE", "FLOAT"):
        if _IN_PERCENT.fullmatch(column):
            return '0.0"%"'
        if _SHARE.fullmatch(column):
            return "0.0%"
        return "#,##0.00####" if column == _RATE else _EXACT
    return ""


class _Styles:
    """The formats of a workbook's cells."""

    def __init__(self, book: _Untyped) -> None:
        self._book = book
        self._numbers: dict[str, _Untyped] = {}
        self.title = book.add_format({"bold": True, "font_size": 14})
        self.header = book.add_format({"bold": True, "bottom": 1, "bg_color": "#E8EEF4"})
        self.wrapped = book.add_format({"text_wrap": True, "valign": "top"})
        # As after an apostrophe: it stays a text when somebody edits the cell.
        self.quoted = book.add_format({"quote_prefix": True})

    def number(self, number_format: str) -> _Untyped:
        """The format of numbers, dates and times that are shown so."""
        if number_format not in self._numbers:
            self._numbers[number_format] = self._book.add_format({"num_format": number_format})
        return self._numbers[number_format]


class _Cells:
    """A sheet whose cells are written from the left to the right and from the top."""

    def __init__(self, sheet: _Untyped, styles: _Styles, zone: ZoneInfo) -> None:
        self.sheet, self.styles, self.zone = sheet, styles, zone
        self.cut = 0
        # A number of an invoice is a text: no green triangle says that it should not be.
        sheet.ignore_errors({"number_stored_as_text": "A1:XFD1048576"})

    def value(self, row: int, column: int, value: Any, style: _Untyped) -> str | None:
        """Write a value; returns the text if it was written as one."""
        if value is None:
            return None
        if isinstance(value, bool):
            self.sheet.write_boolean(row, column, value)
        elif isinstance(value, int | float | Decimal) and _is_number(value):
            self.sheet.write_number(row, column, float(value), style)
        elif isinstance(value, datetime) and 1900 < value.year < 9999:
            if value.tzinfo:  # Excel knows no time zones
                value = value.astimezone(self.zone).replace(tzinfo=None)
            self.sheet.write_datetime(row, column, value, style)
        elif isinstance(value, date) and not isinstance(value, datetime) and value.year >= 1900:
            self.sheet.write_datetime(row, column, value, style)
        else:
            return self.text(row, column, str(value))
        return None

    def text(self, row: int, column: int, text: str, style: _Untyped | None = None) -> str:
        """Write a text, which never becomes a formula, a link or a number; returns it."""
        shown = _first(text, _LONGEST_TEXT)
        if len(shown) < len(text):
            shown = f"{_first(text, _LONGEST_TEXT - 1)}…"
            self.cut += 1
        if style is None and shown.startswith(("=", "+", "-", "@")):
            style = self.styles.quoted
        if shown.startswith("<r>") and shown.endswith("</r>"):
            # XlsxWriter would take it for XML. A text in two parts it writes as a text.
            font = self.styles.wrapped
            self.sheet.write_rich_string(row, column, shown[:1], font, shown[1:])
        else:
            self.sheet.write_string(row, column, shown, style)
        return shown


class _Sheet(_Cells):
    """The sheet of a table."""

    def __init__(
        self, sheet: _Untyped, styles: _Styles, columns: list[tuple[str, str]], zone: ZoneInfo
    ) -> None:
        super().__init__(sheet, styles, zone)
        self._row = 0
        self._widths: list[int] = []
        self._styles: list[_Untyped] = []
        for index, (name, type) in enumerate(columns):
            self.text(0, index, name, styles.header)
            number_format = _number_format(name, type)
            self._styles.append(styles.number(number_format))
            least = {"": _NARROWEST, _INSTANT: len(_INSTANT)}.get(number_format, _NARROW)
            # The arrow of the filter takes three letters.
            self._widths.append(max(len(name) + 3, least))
        sheet.freeze_panes(1, 0)

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Write more rows."""
        for values in rows:
            self._row += 1
            for index, value in enumerate(values):
                text = self.value(self._row, index, value, self._styles[index])
                if text is not None and len(text) >= self._widths[index]:
                    self._widths[index] = min(len(text) + 1, max(self._widths[index], _WIDE))

    def end(self) -> None:
        """Set what depends on all rows."""
        for index, width in enumerate(self._widths):
            self.sheet.set_column(index, index, width)
        self.sheet.autofilter(0, 0, self._row, len(self._widths) - 1)


class _About(_Cells):
    """The sheet that says what the others are."""

    def write(
        self,
        connection: duckdb.DuckDBPyConnection,
        title: str,
        sheets: Sequence[tuple[Export, str, int]],
    ) -> None:
        """Write all of it. Each of `sheets` has its name and its rows."""
        for column, width in enumerate((32, 28, 20, 60, 90)):
            self.sheet.set_column(column, column, width)
        self.text(0, 0, title, self.styles.title)
        self.text(
            1,
            0,
            f"Times are those of {self.zone.key}. Amounts and hours show two decimals; the cells "
            "hold more of them where there are more.",
        )
        row = self._header(3, ("sheet", "rows", "as of", "what it shows", "definition"))
        descriptions = _descriptions(connection)
        for export, name, rows in sheets:
            what, _, definition = descriptions.get(export.name, "").partition("\n\n")
            fresh = as_of(connection, export.records)
            self._line(row, (name, rows, fresh, what, definition))
            row += 1
        row = self._header(row + 1, ("sheet", "column", "", "meaning", ""))
        comments = tables.column_comments(connection)
        for export, name, _ in sheets:
            # A view on a record's table has the columns of that table.
            others = [comments.get(each, {}) for each in export.records]
            for column, comment in comments[export.name].items():
                meaning = comment or next(filter(None, (each.get(column) for each in others)), "")
                self._line(row, (name, column, None, meaning, None))
                row += 1

    def _header(self, row: int, texts: Iterable[str]) -> int:
        for column, text in enumerate(texts):
            self.text(row, column, text, self.styles.header)
        return row + 1

    def _line(self, row: int, values: Iterable[Any]) -> None:
        for column, value in enumerate(values):
            if isinstance(value, str):
                self.text(row, column, value, self.styles.wrapped)
            else:
                style = _INSTANT if isinstance(value, datetime) else _COUNT
                self.value(row, column, value, self.styles.number(style))


def _is_number(value: int | float | Decimal) -> bool:
    """Whether Excel keeps it as the number that it is: of an id, all digits matter."""
    if isinstance(value, int):
        return abs(value) < 10**_MOST_DIGITS
    return abs(value) <= _LARGEST  # not if it is NaN


def _descriptions(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The comments of the tables and views of the schema."""
    here = "database_name = current_database() AND schema_name = current_schema()"
    return dict(
        connection.execute(
            f"SELECT table_name, comment FROM duckdb_tables() WHERE {here} AND comment IS NOT NULL"
            " UNION ALL SELECT view_name, comment FROM duckdb_views()"
            f" WHERE {here} AND comment IS NOT NULL"
        ).fetchall()
    )
