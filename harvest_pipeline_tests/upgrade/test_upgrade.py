"""A warehouse that an older version has made: this one loads into it, and loses nothing."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.harvest import access
from harvest_pipeline.models import models
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.conftest import Project, unlimited
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.upgrade.dump import ACCOUNT, TODAY, edit

#: Made by dump.py with the code of fb219e5: 18 reports, no models, no record of estimates or rates.
FORMER = (Path(__file__).parent / "fb219e5.sql").read_text("utf-8")
YESTERDAY = Window(TODAY - timedelta(days=1), TODAY)


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(**ACCOUNT) as server:
        edit(server)
        yield server


@pytest.fixture
def upgraded(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project on that account, whose database the older version has written."""
    monkeypatch.setattr(access, "HarvestClient", unlimited)
    with duckdb.connect(project.database) as connection:
        connection.execute(FORMER)
    return project


def rows(project: Project) -> dict[str, set[tuple[object, ...]]]:
    """All rows, by table."""
    names = project.query("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'harvest'")
    return {
        name: {*project.query(f'SELECT COLUMNS(*)::VARCHAR FROM "{name}"')} for (name,) in names
    }


def keys(rows: set[tuple[object, ...]]) -> set[object]:
    return {row[0] for row in rows}


@pytest.mark.long
def test_a_run_keeps_what_an_older_version_has_loaded_and_the_next_night_makes_it_equal(
    upgraded: Project,
) -> None:
    before = rows(upgraded)
    found = {name: len(there) for name, there in before.items()}
    assert found["time_entries"] > 50
    assert (found["time_entries_deleted"], found["_rejected"]) == (1, 1)
    reports = ("daily", "project_expenses", "clients", "projects", "company")
    computed = ("entry_values", "freshness", "time_daily")
    assert upgraded.materialize(*reports, *computed, window=YESTERDAY).success

    after = rows(upgraded)
    for name, there in before.items():
        assert keys(there) <= keys(after[name]), name
    for name in ("_loads", "time_entries_deleted", "contacts"):
        assert before[name] <= {row[: len(next(iter(before[name])))] for row in after[name]}, name
    hours = upgraded.query("SELECT sum(hours) FROM time_entries")
    assert upgraded.query("SELECT sum(hours) FROM time_daily") == hours

    upgraded.sandbox.account.faults.clear()
    night = build_definitions().resolve_job_def("harvest_reconcile")
    assert night.execute_in_process(instance=upgraded.instance).success
    upgraded.assert_equal("time_entries", "hours")
    upgraded.assert_equal("invoices", "amount")
    assert upgraded.query("SELECT verdict FROM _comparisons") == [("equal",)]
    for name in models():
        upgraded.query(f"SELECT * FROM {name} LIMIT 1")
