"""Writes a warehouse as SQL, with the code of the commit that it is run in:

    git archive fb219e5 | tar x -C OLD && cp harvest_pipeline_tests/upgrade/dump.py OLD
    cd OLD && PYTHONPATH=. python dump.py > …/harvest_pipeline_tests/upgrade/fb219e5.sql

It is a small account of the sandbox, with an entry that was deleted, one that was moved, and one
that is set aside.
"""

import tempfile
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from harvest_pipeline.scope import Window
from harvest_pipeline_tests.conftest import Project
from harvest_pipeline_tests.sandbox.faults import SpoilRecord
from harvest_pipeline_tests.sandbox.server import SandboxServer

TODAY = date(2026, 11, 20)
DAYS = Window(TODAY - timedelta(days=9), TODAY)
#: The account, which each version of the sandbox generates alike.
ACCOUNT = {"today": TODAY, "seed": 1, "years": 0.1, "scale": 0.3, "rate_limit": None}


def edit(sandbox: SandboxServer) -> None:
    """What people did between the two loads."""
    entries = sandbox.account.records.time_entries.ascending()
    first, second, third = [e.id for e in entries if e.spent_date > DAYS.first][:3]
    sandbox.account.delete("time_entries", first)
    sandbox.account.change("time_entries", second, spent_date=DAYS.first)
    sandbox.account.faults.add(
        SpoilRecord(path="/time_entries", id=third, field="hours", raw="NaN", times=None)
    )


def sql(database: Path) -> str:
    """The statements that make the same database."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(str(database)) as connection:
        connection.execute(f"EXPORT DATABASE '{folder}'")
        lines = [(Path(folder) / "schema.sql").read_text("utf-8")]
        for (name,) in connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'harvest' ORDER BY 1"
        ).fetchall():
            rows = connection.execute(
                f'SELECT COLUMNS(*)::VARCHAR FROM harvest."{name}" ORDER BY ALL'
            ).fetchall()
            for row in rows:
                lines.append(f'INSERT INTO harvest."{name}" VALUES ({", ".join(map(_text, row))});')
    return "\n".join(lines) + "\n"


def _text(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def main() -> None:
    with (
        SandboxServer(**ACCOUNT) as sandbox,
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("HARVEST_CONFIG", "/dev/null")
        project = Project(sandbox, Path(folder), patch)
        assert project.materialize(window=DAYS).success
        edit(sandbox)
        assert project.materialize("daily", window=DAYS).success
        print(sql(project.database), end="")


if __name__ == "__main__":
    main()
