"""`harvest-pipeline export`: what other programs read is what the database holds."""

import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import openpyxl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harvest_pipeline.cli.main import main
from harvest_pipeline.models import models
from harvest_pipeline.settings import project_folder
from harvest_pipeline.warehouse.database import scratch
from harvest_pipeline.warehouse.export import Export, sheet_names, workbook
from harvest_pipeline_tests.examples import made_up

ZONE = ZoneInfo("Asia/Kolkata")
ANSWERS = [name for name, model in models().items() if model.group == "answers"]


@pytest.fixture(autouse=True)
def of_the_account(account: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project whose database is the account, in a folder of its own."""
    monkeypatch.setenv("HARVEST_DUCKDB", str(account))
    monkeypatch.setenv("HARVEST_TIMEZONE", ZONE.key)
    monkeypatch.chdir(tmp_path)


def rows_of(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(path, read_only=True) as connection:
        connection.execute("USE harvest; SET TimeZone = 'UTC'")
        return connection.execute(sql).fetchall()


def is_shown(cell: Any, value: Any) -> bool:
    """Whether a cell has this value of the database, as far as Excel can have it."""
    there = cell.value
    assert cell.data_type != "f"
    assert cell.hyperlink is None
    if isinstance(there, str):
        there = re.sub("_x([0-9A-F]{4})_", lambda match: chr(int(match[1], 16)), there)
    match value:
        case None:
            return there is None
        case bool():
            return there is value
        case int() if abs(value) < 10**15:
            return there == value and type(there) is int
        case float() | Decimal():
            if not abs(value) <= 9.99e307:
                return there == str(value)
            exact = Fraction(value)
            return abs(Fraction(there) - exact) <= abs(exact) / 10**15  # Excel has 15 digits
        case datetime() if 1900 < value.year < 9999:
            local = value.astimezone(ZONE).replace(tzinfo=None) if value.tzinfo else value
            return abs(there - local) <= timedelta(milliseconds=1)
        case date() if type(value) is date and value.year >= 1900:
            return cell.is_date and there == datetime.combine(value, datetime.min.time())
        case str() if len(value.encode("utf-16-le")) > 2 * 32_767:
            return (
                len(there.encode("utf-16-le")) >= 2 * 32_766
                and there[-1] == "…"
                and value.startswith(there[:-1])
            )
        case _:
            return (there or "") == str(value)


def assert_shown(sheet: Any, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """The sheet has this header and these rows, in this order, and nothing else."""
    header, *lines = sheet.iter_rows(max_row=len(rows) + 1)  # rows without a value are not there
    assert [cell.value for cell in header] == list(columns)
    assert sheet.max_row <= len(rows) + 1
    for line, row in zip(lines, rows, strict=True):
        for cell, value in zip(line, row, strict=True):
            assert is_shown(cell, value), (sheet.title, cell.coordinate, cell.value, value)


def test_every_cell_of_the_workbook_is_the_value_in_the_database(
    account: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [*ANSWERS, "daily", "invoices", "invoice_line_items", "_loads"]
    assert main(["export", *names, "--to", "books/month.xlsx"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    book = openpyxl.load_workbook(tmp_path / "books" / "month.xlsx")
    assert book.sheetnames == [*names, "About"]
    for name in names:
        grain = f" ORDER BY {', '.join(models()[name].grain)}" if name in models() else ""
        columns = [row[0] for row in rows_of(account, f"DESCRIBE {name}")]
        rows = rows_of(account, f"FROM {name}{grain}")
        sheet = book[name]
        assert_shown(sheet, columns, rows)
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref.endswith(str(len(rows) + 1))
        assert all(cell.font.b for cell in sheet[1])
        assert f"{name} {len(rows):,}" in told


def test_cells_look_as_finance_expects(tmp_path: Path) -> None:
    assert main(["export", "receivables", "timesheets", "profitability", "--to", "a.xlsx"]) == 0
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    looks = {
        f"{sheet.title}.{header.value}": cell.number_format
        for sheet in book
        for header, *cells in sheet.columns
        for cell in cells
        if cell.value is not None
    }
    assert looks["receivables.invoice_id"] == "0"
    assert looks["receivables.due_amount"] == "#,##0.00"
    assert looks["receivables.due_date"] == "yyyy-mm-dd"
    assert looks["receivables.as_of"] == "yyyy-mm-dd hh:mm:ss"
    assert looks["receivables.days_past_due"] == "#,##0"
    assert looks["timesheets.submitted_share"] == "0.0%"
    assert looks["profitability.margin_percent"] == '0.0"%"'
    assert all(column.width >= 8 for sheet in book for column in sheet.column_dimensions.values())


def test_the_last_sheet_says_what_the_others_are(tmp_path: Path) -> None:
    names = ["receivables", "daily", "invoice_line_items"]
    assert main(["export", *names, "--to", "a.xlsx"]) == 0
    about = [[*row] for row in openpyxl.load_workbook("a.xlsx")["About"].values]
    model = models()["receivables"]
    assert about[0][0].startswith("harvest, exported on ")
    assert "Asia/Kolkata" in about[1][0]
    as_of = datetime(2026, 11, 20, 22, 30)
    (line,) = [row for row in about if row[3] == model.title]
    assert line[0] == "receivables"
    assert line[2:] == [as_of, model.title, model.definition]
    assert {row[0]: row[2] for row in about if row[2] == as_of}.keys() == {*names}
    meanings = {(row[0], row[1]): row[3] for row in about}
    for column, meaning in model.columns.items():
        assert meanings["receivables", column] == meaning
    assert meanings["daily", "hours"]  # of a view, whose table says it


def test_without_names_a_workbook_has_all_answers(tmp_path: Path) -> None:
    assert main(["export"]) == 0
    (path,) = tmp_path.glob("harvest_20*.xlsx")
    assert set(openpyxl.load_workbook(path).sheetnames) == {*ANSWERS, "About"}


_TEXTS = st.one_of(
    st.text(),
    st.sampled_from(
        [
            *("=1+1", "+1", "-1", "@SUM(A1)", "http://example.com", "mailto:a@example.com", "007"),
            *("<r><t>x</t></r>", "<r></r>", "_x0041_", "\r\n", " x ", "a\x00\x1b\x9b", "\ufffe"),
            *("x" * 32_767, "x" * 32_768, "😀" * 16_384, "TRUE", "#N/A", "{=1}", "internal:A1"),
        ]
    ),
)
_MONEY = st.decimals(min_value=1 - 10**20, max_value=10**20 - 1, allow_nan=False, places=18)
_ROWS = st.lists(
    st.tuples(
        st.none() | _TEXTS,
        st.none() | st.dates(),
        st.none() | st.datetimes(timezones=st.just(ZoneInfo("UTC"))),
        st.none() | _MONEY,
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.booleans(),
        st.none() | st.floats(),
    ),
    min_size=1,
    max_size=8,
)


@made_up(every=150, few=20)
@given(_ROWS)
@example([(text, None, None, None, None, None, None) for text in ("<r></r>", "=1", "x" * 40_000)])
@example([("", date(1899, 12, 31), None, Decimal("0.005"), 10**15, None, None)])
@example([(None, None, None, None, None, None, 1.7976931348623155e308)])
@example([("", date(1900, 1, 1), None, Decimal("1234567890.12"), 10**15 - 1, None, None)])
def test_every_value_stays_what_it_is(tmp_path: Path, rows: list[tuple[Any, ...]]) -> None:
    columns = ("text", "day", "instant", "amount", "id", "flag", "ratio")
    with scratch() as connection:
        connection.execute(
            "CREATE TABLE made (text VARCHAR, day DATE, instant TIMESTAMPTZ,"
            " amount DECIMAL(38,18), id BIGINT, flag BOOLEAN, ratio DOUBLE)"
        )
        connection.executemany("INSERT INTO made VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        stored = connection.execute("FROM made").fetchall()
        written = workbook(connection, [Export("made")], tmp_path / "a.xlsx", "a", ZONE)
    assert_shown(openpyxl.load_workbook(tmp_path / "a.xlsx")["made"], columns, stored)
    long = [row for row in stored if len((row[0] or "").encode("utf-16-le")) > 2 * 32_767]
    assert written.cut == len(long)


@made_up(every=1000, few=100)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True))
@example(["About", "about~2", "HISTORY", "'", "a/b", "a?b", "x" * 40, "x" * 41, "😀" * 20])
def test_excel_accepts_the_names_of_all_sheets(names: list[str]) -> None:
    sheets = sheet_names(names)
    assert len({name.casefold() for name in [*sheets, "About"]}) == len(names) + 1
    for sheet in sheets:
        assert 1 <= len(sheet.encode("utf-16-le")) // 2 <= 31
        assert not re.search(r"[\[\]:*?/\\]|^'|'$", sheet)
        assert sheet.casefold() != "history"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_csv_and_parquet_are_equal_to_the_tables(kind: str, account: Path, tmp_path: Path) -> None:
    names = [*ANSWERS, "daily", "invoices", "_loads"]
    assert main(["export", *names, "--format", kind, "--to", "out"]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{n}.{kind}" for n in names}
    with duckdb.connect(account, read_only=True) as connection:
        connection.execute("USE harvest; SET TimeZone = 'UTC'")
        for name in names:
            types = {row[0]: row[1] for row in connection.execute(f"DESCRIBE {name}").fetchall()}
            file = f"read_parquet('out/{name}.parquet')"
            if kind == "csv":
                file = (
                    f"read_csv('out/{name}.csv', header = true, allow_quoted_nulls = false,"
                    f" columns = {types})"
                )
            there = connection.execute(f"DESCRIBE FROM {file}").fetchall()
            assert {row[0]: row[1] for row in there} == types
            for one, other in ((name, file), (file, name)):
                differing = connection.execute(f"FROM {one} EXCEPT ALL FROM {other}").fetchall()
                assert differing == []


def test_one_name_is_one_file(tmp_path: Path) -> None:
    assert main(["export", "receivables", "--format", "csv"]) == 0
    assert main(["export", "receivables", "--to", "r.parquet"]) == 0
    assert main(["export", "receivables", "receivables", "--to", "."]) == 0
    kinds = sorted(re.sub(r"_20\d\d-\d\d-\d\d", "", path.name) for path in tmp_path.iterdir())
    assert kinds == ["harvest.xlsx", "harvest_receivables.csv", "r.parquet"]


@pytest.fixture
def own(account: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Runs SQL in a copy of the database, which is the project's from now on."""
    path = Path(shutil.copy(account, tmp_path / "own.duckdb"))
    monkeypatch.setenv("HARVEST_DUCKDB", str(path))

    def run(sql: str) -> None:
        with duckdb.connect(path) as connection:
            connection.execute("USE harvest")
            connection.execute(sql)

    yield run


@pytest.mark.parametrize("kind", ["xlsx", "csv", "parquet"])
def test_a_file_is_replaced_as_a_whole_or_not_at_all(
    kind: str, own: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own("CREATE VIEW broken AS SELECT if(range = 5000, error('no'), range) AS n FROM range(9000)")
    path = tmp_path / "out" / f"a.{kind}"
    path.parent.mkdir()
    path.write_text("before")
    path.chmod(0o644)
    assert main(["export", "broken", "--to", str(path)]) == 1
    assert re.search(r"Nothing was written to .*: .*no\.\n", capsys.readouterr().err)
    assert [each.read_text() for each in path.parent.iterdir()] == ["before"]
    with path.open() as open_before:
        assert main(["export", "clients", "--to", str(path)]) == 0
        assert open_before.read() == "before"
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["recievables"], "has no table, report or model 'recievables'; did you mean receivables"),
        (["qqqq"], "has no table, report or model 'qqqq'; `harvest-pipeline reports` lists"),
        (["assignments", "estimates"], "estimates is not loaded yet; run `harvest-pipeline sync "),
        (["clients", "roles", "--to", "a.csv"], "A csv file holds one table, and these are 2"),
        (["clients", "--to", "a.xls"], "--to ends in '.xls'; a file ends in .xlsx, .csv, .parquet"),
        (["clients", "--to", "a.csv", "--format", "xlsx"], "leave one of them out"),
        (["clients", "--to", "/proc/x/a.csv"], "Nothing was written to /proc/x/a.csv: "),
        (["clients", "--account", "acme"], "There is no account 'acme'; there are: harvest."),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", *arguments]) == 1
    told = capsys.readouterr()
    assert sentence in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""
    assert [*tmp_path.iterdir()] == []


def test_before_anything_is_loaded_it_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARVEST_DUCKDB", str(tmp_path / "none.duckdb"))
    assert main(["export"]) == 1
    assert "is not created yet; run `harvest-pipeline sync`, which" in capsys.readouterr().err
    assert main(["export", "invoice_line_items"]) == 1
    assert "run `harvest-pipeline sync invoices`." in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []


def test_more_rows_than_a_sheet_has_are_refused(
    own: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own("CREATE VIEW many AS SELECT range AS n FROM range(1_048_576)")
    assert main(["export", "many", "--to", "many.xlsx"]) == 1
    assert "many has 1,048,576 rows, and a sheet of Excel holds 1,048,575" in (
        capsys.readouterr().err
    )
    assert main(["export", "many", "--to", "many.csv"]) == 0
    assert not (tmp_path / "many.xlsx").exists()


def test_texts_that_were_cut_are_told(own: Any, capsys: pytest.CaptureFixture[str]) -> None:
    own("CREATE TABLE notes AS SELECT repeat('x', 40_000) AS note")
    assert main(["export", "notes"]) == 0
    assert "longer than a cell of Excel holds: 1;" in capsys.readouterr().err


@pytest.mark.long
def test_memory_does_not_grow_with_the_table(own: Any, tmp_path: Path) -> None:
    own("CREATE VIEW few AS SELECT range AS n, 'a text of row ' || range AS t FROM range(2_000)")
    own("CREATE VIEW many AS SELECT range AS n, 'a text of row ' || range AS t FROM range(300_000)")
    code = (
        "import resource, sys; from harvest_pipeline.cli.main import main\n"
        "assert main(['export', sys.argv[1], '--to', f'{sys.argv[2]}/a.xlsx']) == 0\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    few, many = (
        int(
            subprocess.run(
                [sys.executable, "-c", code, name, tmp_path],
                cwd=project_folder(),
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split()[-1]
        )
        for name in ("few", "many")
    )
    assert many < few + 40
