"""The demo: everything from one command, in a folder with a space in its name."""

import os
import re
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.surroundings import utc_today
from harvest_pipeline_tests.waiting import PATIENCE


class Demo:
    """A checkout in a folder with a space in its name, and its demo of the last 40 days."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "a folder with a space"
        self.folder.mkdir()
        for name in ("harvest_pipeline", "dagster.yaml", "workspace.yaml"):
            source = project_folder() / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, self.folder / name)
        # As somebody begins it who has not filled it in: it would win over what the demo sets.
        empty = "HARVEST_ACCESS_TOKEN=\nHARVEST_DUCKDB=data/mine.duckdb\n"
        (self.folder / ".env").write_text(empty)
        start = utc_today() - timedelta(days=40)
        ours = ("HARVEST_", "DAGSTER", "PYTHON_DOTENV_DISABLED")
        others = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        self.environment = {**others, "HARVEST_START_DATE": start.isoformat()}

    def __call__(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "harvest_pipeline.cli", "demo", "--once", *options],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )


@pytest.mark.long
@pytest.mark.slow
def test_the_demo_loads_all_reports_of_the_sandbox_and_shows_them(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    folder = demo.folder
    done = demo()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    # In our own words: no line of Dagster's log, which has the id of the run in it.
    assert done.stderr.splitlines()[0] == "assignments: begins"
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}", done.stdout + done.stderr)
    database = folder / "data" / "sandbox" / "warehouse.duckdb"
    with duckdb.connect(database, read_only=True) as connection:
        for report in REPORTS:
            count = connection.execute(f"SELECT count(*) FROM harvest.{report}").fetchall()[0][0]
            line = next(line for line in done.stdout.splitlines() if line.startswith(f"{report} "))
            assert line.split()[-1] == f"{count:,}"
            assert count > 0
    dashboard = folder / "data" / "sandbox" / "harvest-dashboard.html"
    assert done.stdout.splitlines()[-1] == f"Dashboard: {dashboard.as_uri()}"
    assert "Equal to Harvest" in dashboard.read_text("utf-8")
    assert not (folder / "data" / "mine.duckdb").exists()
    again = demo()
    assert again.stderr == ""
    assert "Loaded before; `make demo FRESH=1` loads it again." in again.stdout
    assert again.stdout.split("report  ")[1] == done.stdout.split("report  ")[1]
    # Everything generated is in the two folders that `make clean` removes.
    assert {path.name for path in folder.iterdir()} == {
        ".env", "harvest_pipeline", "dagster.yaml", "workspace.yaml", "data", ".dagster",
    }  # fmt: skip


@pytest.mark.long
def test_a_fresh_demo_loads_again_what_is_there(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    for options in ((), ("--fresh",)):
        assert "clients: 10 rows, 1 requests" in demo(*options).stderr
