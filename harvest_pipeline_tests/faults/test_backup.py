"""A backup is whole, private and known by its mark; a restored database is equal to it: R33."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from harvest_pipeline.cli import main
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline_tests.warehouse.records import (
    CONTEXT,
    FIRST,
    JANUARY,
    SpoolFolder,
    client,
    invoice,
    line_item,
    on,
    time_entry,
)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A database of two accounts, one load of which is only in its log: its process was killed."""
    path = tmp_path / "data" / "ware house's.duckdb"
    monkeypatch.setenv("HARVEST_DUCKDB", str(path))
    spools = SpoolFolder(tmp_path)
    for schema in ("harvest", "other account"):
        there = Warehouse(path, schema)
        entries = [time_entry(n, notes="naïve\r\n'\"") for n in range(100)]
        load(there, spools.time_entries(on(FIRST), entries), CONTEXT)
        load(there, spools.write("clients", None, [client(1)]), CONTEXT)
    lines = [line_item(10), line_item(11)]
    spool = spools.write("invoices", JANUARY, [invoice(1, FIRST, lines)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "harvest_pipeline.warehouse.database._SESSION",
            "SET GLOBAL TimeZone = 'UTC'; PRAGMA disable_checkpoint_on_shutdown",
        )
        load(Warehouse(path, "harvest"), spool, CONTEXT)
    assert path.with_name(f"{path.name}.wal").exists()
    yield path


def everything(path: Path) -> dict[str, Any]:
    """All tables and views of all schemas with types, comments and rows."""
    with duckdb.connect(path, read_only=True) as connection:
        columns = connection.execute(
            "SELECT schema_name, table_name, column_name, data_type, is_nullable, comment"
            " FROM duckdb_columns() WHERE NOT internal ORDER BY ALL"
        ).fetchall()
        comments = connection.execute(
            "SELECT schema_name, table_name, comment FROM duckdb_tables() UNION ALL"
            " SELECT schema_name, view_name, comment FROM duckdb_views() WHERE NOT internal"
            " ORDER BY ALL"
        ).fetchall()
        rows = {
            (schema, name): connection.execute(
                f'SELECT * FROM "{schema}"."{name}" ORDER BY ALL'
            ).fetchall()
            for schema, name, _ in comments
        }
    return {"columns": columns, "comments": comments, **rows}


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path, code: int = 0) -> str:
    assert main([str(each) for each in arguments]) == code
    told = capsys.readouterr()
    return told.err if code else told.out


def test_what_is_restored_in_a_clean_place_equals_what_was_backed_up(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    before = everything(database)
    assert ("harvest", "daily") in before
    backup = tmp_path / "backups" / "of today.duckdb"
    text = said(capsys, "backup", backup)
    assert f"Backed up {database} into {backup}" in text
    assert "5 loads, the last on" in text
    assert everything(database) == before
    assert backup.stat().st_mode & 0o077 == 0
    assert [each.name for each in backup.parent.iterdir()] == [backup.name]

    elsewhere = tmp_path / "clean" / "place" / "warehouse.duckdb"
    monkeypatch.setenv("HARVEST_DUCKDB", str(elsewhere))
    text = said(capsys, "restore", backup)
    assert "5 loads, the last on" in text
    assert "`harvest-pipeline doctor` names the days" in text
    assert everything(elsewhere) == before
    assert elsewhere.stat().st_mode & 0o077 == 0
    # And it is a warehouse like any other.
    load(
        Warehouse(elsewhere, "harvest"), SpoolFolder(tmp_path).time_entries(on(FIRST), []), CONTEXT
    )


def test_nothing_is_replaced_without_force(database: Path, tmp_path: Path, capsys: Any) -> None:
    backup = tmp_path / "backup.duckdb"
    said(capsys, "backup", backup)
    before, made = everything(database), backup.read_bytes()
    assert "exists" in said(capsys, "backup", backup, code=1)
    assert "exists" in said(capsys, "backup", database, "--force", code=1)
    assert "exists" in said(capsys, "restore", backup, code=1)
    assert (everything(database), backup.read_bytes()) == (before, made)

    load(Warehouse(database, "harvest"), SpoolFolder(tmp_path).time_entries(on(FIRST), []), CONTEXT)
    assert everything(database) != before
    said(capsys, "restore", backup, "--force")
    assert everything(database) == before


def test_what_may_not_be_whole_is_not_restored(database: Path, tmp_path: Path, capsys: Any) -> None:
    before = everything(database)
    plain = tmp_path / "plain.duckdb"
    plain.write_bytes(database.read_bytes())  # without the log, and so without a load
    assert "may lack the last loads" in said(capsys, "restore", plain, "--force", code=1)

    text = tmp_path / "text.duckdb"
    text.write_text("no database " * 1000)
    assert "is not a DuckDB database" in said(capsys, "restore", text, "--force", code=1)

    assert "There is no file" in said(capsys, "restore", tmp_path / "none", "--force", code=1)

    backup = tmp_path / "backup.duckdb"
    said(capsys, "backup", backup)
    log = backup.with_name("backup.duckdb.wal")
    log.write_bytes(database.with_name(f"{database.name}.wal").read_bytes())
    assert "was written to after it was made" in said(capsys, "restore", backup, "--force", code=1)
    log.unlink()

    backup.write_bytes(backup.read_bytes()[: backup.stat().st_size // 2])
    assert "is damaged" in said(capsys, "restore", backup, "--force", code=1)

    made = tmp_path / "changed.duckdb"
    said(capsys, "backup", made)
    with duckdb.connect(made) as connection:
        connection.execute("DELETE FROM harvest._loads WHERE record = 'invoices'")
    assert "holds 4 loads, and held 5" in said(capsys, "restore", made, "--force", code=1)
    assert everything(database) == before


def test_a_database_that_is_open_elsewhere_is_not_replaced(
    database: Path, tmp_path: Path, capsys: Any
) -> None:
    backup = tmp_path / "backup.duckdb"
    said(capsys, "backup", backup)
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdin and holder.stdout
        holder.stdout.readline()
        told = said(capsys, "restore", backup, "--force", code=1)
        holder.stdin.write(b"\n")
        holder.stdin.flush()
    assert f"(process {holder.pid})" in told


def test_without_a_database_there_is_nothing_to_back_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("HARVEST_DUCKDB", str(tmp_path / "none.duckdb"))
    assert "There is no database" in said(capsys, "backup", tmp_path / "backup.duckdb", code=1)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_no_backup_leaves_nothing_behind(database: Path, capsys: Any) -> None:
    # Nobody may make files in /proc, not even root.
    told = said(capsys, "backup", "/proc/backup.duckdb", code=1)
    assert "cannot be written" in told
