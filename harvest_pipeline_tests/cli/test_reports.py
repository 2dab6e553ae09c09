"""`harvest-pipeline reports`: what there is, and when it was last loaded."""

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.cli.main import main
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.conftest import TODAY, Project

LAST_WEEK = Window(TODAY - timedelta(days=6), TODAY)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a database that does not exist yet, in a project without credentials."""
    monkeypatch.setenv("HARVEST_DUCKDB", str(tmp_path / "warehouse.duckdb"))
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path / "warehouse.duckdb"


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    """What the command says for programs, by name."""
    capsys.readouterr()
    assert main(["reports", "--json"]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def test_all_reports_are_listed_before_anything_was_loaded(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = listed(capsys)
    assert list(rows) == list(REPORTS)
    assert {row["loaded_at"] for row in rows.values()} == {None}
    assert rows["invoice_payments"]["days"] is True
    assert rows["clients"] == {
        "account": "harvest",
        "name": "clients",
        "table": "clients",
        "shows": "Every client, archived ones too, with its currency.",
        "parameters": ["updated_since", "updated_since_days_back", "full_refresh"],
        "days": False,
        "loaded_at": None,
        "rows": None,
        "run_id": None,
        "problem": None,
    }
    assert not database.exists()


def test_where_several_reports_show_one_table_the_list_says_so(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reports"]) == 0
    *_, said = capsys.readouterr().out.split("\n\n")
    said = " ".join(said.split())
    assert "time_entries by all_projects_time_entries, all_users_time_entries, daily;" in said
    assert said.endswith("users by people; task_assignments by assignments.")


def test_the_last_load_of_a_record_is_that_of_all_reports_that_show_it(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARVEST_TIMEZONE", "Asia/Kolkata")
    monkeypatch.setenv("COLUMNS", "200")
    first = project.materialize("daily", window=Window(TODAY, TODAY))
    last = project.materialize("daily", "clients", window=LAST_WEEK)
    assert first.success and last.success
    rows = listed(capsys)
    ((count,),) = project.query("SELECT count(*) FROM time_entries")
    for name in ("daily", "all_users_time_entries"):
        assert (rows[name]["run_id"], rows[name]["rows"]) == (last.run_id, count)
    assert rows["clients"]["rows"] == len(project.truth("clients"))
    assert rows["invoices"]["loaded_at"] is None
    assert main(["reports"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("clients ")]
    loaded_at = datetime.fromisoformat(str(rows["clients"]["loaded_at"]))
    assert f"{loaded_at.astimezone(ZoneInfo('Asia/Kolkata')):%Y-%m-%d %H:%M}" in line
    assert f" {len(project.truth('clients'))}  Every client" in line


def test_while_another_program_holds_the_database_a_sentence_says_so(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    duckdb.connect(database).close()
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline()
        assert main(["reports"]) == 0
        holder.communicate(b"\n")
    told = capsys.readouterr()
    assert f"(process {holder.pid})" in told.err
    assert told.err.startswith("The last loads are not known: ")
    assert "never" not in told.out
    assert all(any(line.startswith(name) for line in told.out.splitlines()) for name in REPORTS)


@pytest.mark.parametrize("columns", [40, 120])
def test_it_fits_the_terminal(
    columns: int,
    database: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["reports"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    text = " ".join(" ".join(lines).split())
    assert all(name in text for name in REPORTS)


def test_it_answers_without_importing_dagster(database: Path) -> None:
    code = (
        "import sys; from harvest_pipeline.cli.main import main; main(['reports'])\n"
        "assert 'dagster' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
