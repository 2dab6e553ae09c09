"""The copy for readers: nobody is in its way, and a killed publication leaves the former one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.cli.command import Place
from harvest_pipeline_tests.orchestration.published import (
    Published,
)
from harvest_pipeline_tests.orchestration.published import published as published
from harvest_pipeline_tests.orchestration.published import sandbox as sandbox
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.waiting import PATIENCE, wait_for

READ = """
import sys, threading, time, duckdb
from pathlib import Path
path, end = sys.argv[1], Path(sys.argv[2])
seen, wrong = set(), []

def read():
    while not end.exists():
        try:
            with duckdb.connect() as c:
                c.execute(f"ATTACH '{path}' AS copy (READ_ONLY); USE copy.harvest")
                runs = c.execute(
                    "SELECT arg_max(run_id, loaded_at) FROM _loads"
                    " WHERE report IN ('clients', 'tasks') GROUP BY report"
                ).fetchall()
                rows = c.execute("SELECT (SELECT count(*) FROM clients), count(*) FROM tasks")
                if len(runs) != 2 or len({*runs}) > 1 or not all(rows.fetchone()):
                    wrong.append(runs)
            seen.add(runs[0])
            if len(seen) > 1:
                end.with_name("reader saw several copies").touch()
        except Exception as error:
            wrong.append(repr(error))
        time.sleep(3)  # two cores cannot open more than some thirty in a second

threads = [threading.Thread(target=read) for _ in range(int(sys.argv[3]))]
[each.start() for each in threads]
[each.join() for each in threads]
print(wrong[:3])
"""


@pytest.mark.long
def test_a_hundred_readers_are_never_blocked_and_never_see_half_a_run(
    published: Published, tmp_path: Path
) -> None:
    assert published.materialize("clients", "tasks").success
    end, several = tmp_path / "end", tmp_path / "reader saw several copies"
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READ, str(published.copy), str(end), "25"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    versions = set[tuple[int, int]]()
    try:
        while len(versions) < 5 or not several.exists():
            assert published.materialize("clients", "tasks").success
            versions.add(published.version())
    finally:
        end.touch()
        said = [reader.communicate(timeout=PATIENCE)[0] for reader in readers]
    assert [each.strip() for each in said] == ["[]"] * 4


SLOWLY = """
import sys, time
from harvest_pipeline.warehouse import models
from harvest_pipeline.cli.main import main

def slowly(connection):
    print("publishing", flush=True)
    time.sleep(600)

models.become_tables = slowly
sys.exit(main())
"""


@pytest.mark.long
@pytest.mark.parametrize("name", ["analytics.duckdb", "parquet"])
def test_a_publication_that_is_killed_leaves_the_former_copy_and_the_next_run_publishes(
    sandbox: SandboxServer, tmp_path: Path, name: str
) -> None:
    place, copy = Place(sandbox, tmp_path), tmp_path / "shared" / name
    place.environment["HARVEST_PUBLISH"] = str(copy)
    assert (done := place.run("sync", "clients")).returncode == 0, done.stderr
    before = copy.stat().st_mtime_ns, copy.resolve()
    process = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, "sync", "tasks", "-v"],
        env=place.environment,
        cwd=project_folder(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    pieces = [copy.with_name(f"{name}.new"), copy.with_name(f"{name}.published-2")]
    wait_for(lambda: any(each.exists() for each in pieces))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert (copy.stat().st_mtime_ns, copy.resolve()) == before
    assert place.run("sync", "projects").returncode == 0
    assert (copy.stat().st_mtime_ns, copy.resolve()) != before
    assert not pieces[0].exists()
    rows = f"'{copy}/harvest/tasks.parquet'" if name == "parquet" else "copy.harvest.tasks"
    with duckdb.connect() as connection:
        if name != "parquet":
            connection.execute(f"ATTACH '{copy}' AS copy (READ_ONLY)")
        assert connection.execute(f"SELECT count(*) FROM {rows}").fetchall()[0][0]


@pytest.mark.long
def test_ctrl_c_while_it_is_published_cancels_the_run_and_leaves_no_copy(
    sandbox: SandboxServer, tmp_path: Path
) -> None:
    place, copy = Place(sandbox, tmp_path), tmp_path / "shared" / "analytics.duckdb"
    process = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, "sync", "tasks", "-v"],
        env={**place.environment, "HARVEST_PUBLISH": str(copy)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert any(line == "publishing\n" for line in process.stdout)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 130, said
    assert "Cancelled; what had been loaded stays: tasks." in said
    assert place.last_run().status is dg.DagsterRunStatus.CANCELED
    assert list(copy.parent.iterdir()) == []


def test_sync_says_in_one_sentence_that_nothing_could_be_published(
    sandbox: SandboxServer, tmp_path: Path
) -> None:
    place = Place(sandbox, tmp_path)
    (tmp_path / "shared").write_text("not a folder")
    done = place.run("sync", "clients", HARVEST_PUBLISH=str(tmp_path / "shared" / "copy.duckdb"))
    assert done.returncode == 1
    assert "Error: end of the run: The copy for readers" in done.stderr
    assert "Traceback" not in done.stderr
    assert place.query("SELECT count(*) FROM clients") > [(0,)]
