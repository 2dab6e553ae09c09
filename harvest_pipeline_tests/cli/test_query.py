"""`harvest-pipeline query`: a SELECT, whole and exact, and nothing but reading."""

import csv
import io
import json
import re
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest
from rich.cells import cell_len

from harvest_pipeline.cli.main import main
from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.waiting import PATIENCE, wait_for

CODE = "import sys; from harvest_pipeline.cli.main import main; sys.exit(main())"
#: Every kind of value that a query can give.
KINDS = """
    SELECT * FROM (VALUES
        (1, 0.1::DECIMAL(38,18), 'a "b", c', DATE '2026-01-31', '2026-01-31 10:00'::TIMESTAMPTZ,
            true, [1, 2], 12345678901234567890123456789.12::DECIMAL(38,2)),
        (NULL, NULL, '', NULL, NULL, NULL, NULL, NULL),
        (-7, -2.50, E'two\\nlines', DATE '1899-12-31', NULL, false, [], 3)
    ) AS t(id, hours, text, day, instant, flag, list, amount)
"""


@pytest.fixture(autouse=True)
def of_the_account(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARVEST_DUCKDB", str(account))
    monkeypatch.setenv("COLUMNS", "100")


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command answers."""
    assert main(["query", *arguments]) == 0
    return capsys.readouterr().out


def test_a_table_shows_amounts_and_says_that_there_are_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = ask(capsys, KINDS.replace("list, amount", "list, _").replace("*", "id, hours, text"))
    assert [line.rstrip() for line in lines.splitlines()] == [
        "id  hours  text",
        "--  -----  ---------",
        ' 1   0.10  a "b", c',
        "",
        "-7  -2.50  two lines",
    ]
    lines = ask(capsys, "SELECT range AS n FROM range(101)").splitlines()
    assert lines[-1] == "There are more rows: --limit shows more, --format csv all of them."
    assert lines[-3].strip() == "99"
    lines = ask(capsys, "SELECT range AS n FROM range(101)", "--limit", "101").splitlines()
    assert lines[-1].strip() == "100"
    assert ask(capsys, "SELECT 1 AS n WHERE false").split() == ["n", "-"]


@pytest.mark.parametrize("columns", [30, 60, 100, 250])
def test_it_fits_the_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    long = "SELECT repeat('建設', 40) AS client, 'x' AS y, repeat('long ', 9) AS text FROM range(3)"
    for sql in ("FROM receivables", "SELECT client_name, number, subject FROM invoices", long):
        assert max(map(cell_len, ask(capsys, sql).splitlines())) <= columns


def test_csv_is_complete_and_exact(capsys: pytest.CaptureFixture[str]) -> None:
    text = ask(capsys, KINDS, "--format", "csv")
    assert [*csv.reader(io.StringIO(text, newline=""))] == [
        ["id", "hours", "text", "day", "instant", "flag", "list", "amount"],
        [
            *("1", "0.100000000000000000", 'a "b", c', "2026-01-31", "2026-01-31 10:00:00+00:00"),
            *("true", "[1,2]", "12345678901234567890123456789.12"),
        ],
        [""] * 8,
        [
            *("-7", "-2.500000000000000000", "two\nlines", "1899-12-31", "", "false", "[]"),
            "3.00",
        ],
    ]
    assert ',,"",,' in text  # an empty text is not NULL
    assert len(ask(capsys, "SELECT range FROM range(5001)", "--format", "csv").split()) == 5002


def test_json_is_complete_and_exact(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(ask(capsys, KINDS, "--format", "json"), parse_float=Decimal)
    assert rows[0] == {
        "id": 1,
        "hours": Decimal("0.1"),
        "text": 'a "b", c',
        "day": "2026-01-31",
        "instant": "2026-01-31T10:00:00Z",
        "flag": True,
        "list": [1, 2],
        "amount": Decimal("12345678901234567890123456789.12"),
    }
    assert {**rows[1], "text": None} == dict.fromkeys(rows[0])
    assert json.loads(ask(capsys, "SELECT 1 WHERE false", "--format", "json")) == []
    many = json.loads(ask(capsys, "SELECT range AS n FROM range(5001)", "--format", "json"))
    assert [row["n"] for row in many] == [*range(5001)]


def test_the_statement_can_come_from_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("SELECT count(*) AS n\nFROM invoices;\n"))
    assert int(ask(capsys, "-").split()[-1]) > 0


@pytest.mark.parametrize("kind", ["table", "csv", "json"])
def test_control_characters_do_not_reach_the_terminal(
    kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = "SELECT chr(27) || '[2J' || chr(155) || chr(7) AS \"a\x1b\""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", ask(capsys, sql, "--format", kind))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    if kind == "csv":  # a program gets what is there
        assert ask(capsys, sql, "--format", kind).splitlines()[1] == "\x1b[2J\x9b\x07"


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("SELECT * FORM clients", 'Parser Error: syntax error at or near "clients"'),
        ("SELECT nme FROM clients", "(line 1, at 'nme FROM clients')"),
        ("SELECT 1,\n  x.y\nFROM clients", "(line 2, at 'x.y')"),
        ("SELECT 1 AS checksum, WAL FROM clients", 'column "WAL" not found'),
        ("FROM recievables", 'Did you mean "receivables'),
        ("SELECT 'a'::INTEGER", "Could not convert string 'a'"),
        ("SELECT error('Corrupt')", "Error: Invalid Input Error: Corrupt"),
        ("SELECT 1; SELECT 2", "query runs one statement that only reads"),
        ("", "query runs one statement that only reads"),
        ("SELECT '\udcff'", "The statement is not text in UTF-8."),
    ],
)
def test_an_error_is_one_sentence(
    sql: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["query", sql]) == 1
    told = capsys.readouterr()
    assert sentence in told.err
    assert told.err.startswith("Error: ")
    assert told.err.count("\n") == 1
    assert told.out == ""


def test_two_columns_of_a_name_are_no_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "SELECT 1 AS a, 2 AS a", "--format", "json"]) == 1
    assert "Two columns are named a" in capsys.readouterr().err


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM clients",
        "CREATE TABLE x AS SELECT 1",
        "DROP VIEW receivables",
        "WITH x AS (DELETE FROM clients RETURNING id) FROM x",
        # What the database file is called, DuckDB would overwrite.
        "COPY (SELECT 1) TO '{account}' (FORMAT csv, USE_TMP_FILE false)",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{account}' (FORMAT csv, USE_TMP_FILE false)",
        "COPY (PIVOT clients ON id USING count(*)) TO '{account}' (USE_TMP_FILE false)",
        "COPY clients TO '{account}.csv'",
        "EXPORT DATABASE '{account}.folder'",
        "ATTACH '{account}.other'",
        "FROM read_csv('/etc/hosts')",
        "FROM read_text('{account}.lock')",
        "FROM glob('/etc/*')",
        "FROM read_csv('http://127.0.0.1:9/x.csv')",
        "LOAD httpfs",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "FROM enable_logging(storage = 'file', storage_path = '{account}.log')",
    ],
)
def test_it_only_reads_and_only_the_warehouse(
    sql: str, account: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, files = account.read_bytes(), {*account.parent.iterdir()}
    assert main(["query", sql.format(account=account)]) == 1
    assert capsys.readouterr().out == ""
    assert account.read_bytes() == before
    assert {*account.parent.iterdir()} == files
    assert main(["query", "SELECT count(*) FROM clients"]) == 0


def test_before_anything_is_loaded_it_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARVEST_DUCKDB", str(tmp_path / "none.duckdb"))
    assert main(["query", "FROM clients"]) == 1
    assert (
        "Nothing of harvest is loaded yet; run `harvest-pipeline sync`." in capsys.readouterr().err
    )
    (tmp_path / "none.duckdb").write_text("no database")
    assert main(["query", "FROM clients"]) == 1
    assert "is not a DuckDB database" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["table", "csv", "json"])
def test_it_ends_quietly_if_its_reader_does(kind: str) -> None:
    sql = "SELECT range, repeat('x', 80) FROM range(100_000)"
    with subprocess.Popen(
        [sys.executable, "-c", CODE, "query", sql, "--format", kind, "--limit", "50000"],
        cwd=project_folder(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(PATIENCE)


def test_ctrl_c_ends_a_statement_that_would_take_days(account: Path) -> None:
    sql = "SELECT count(*) FROM range(100_000_000_000) AS t(a) WHERE sin(a) = 2"
    with subprocess.Popen(
        [sys.executable, "-c", CODE, "query", sql],
        cwd=project_folder(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        open_files = Path(f"/proc/{process.pid}/fd")
        wait_for(lambda: account in [each.resolve() for each in open_files.iterdir()])
        time.sleep(1)  # the statement has begun
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=PATIENCE) == (b"", b"\n")
        assert process.returncode == 130


def test_it_answers_without_importing_dagster() -> None:
    code = (
        "import sys; from harvest_pipeline.cli.main import main; main(['query', 'SELECT 1'])\n"
        "assert not {'dagster', 'pandas', 'xlsxwriter'} & sys.modules.keys()"
    )
    subprocess.run(
        [sys.executable, "-c", code], cwd=project_folder(), check=True, capture_output=True
    )
