"""Dagster's own commands find the project in its folder, by workspace.yaml and dg.toml."""

import json
from pathlib import Path

import duckdb
import pytest

from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline_tests.checkout import Place
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.surroundings import utc_today

pytestmark = pytest.mark.slow

DG = ("-m", "dagster_dg_cli.cli")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("commands"))


@pytest.mark.parametrize(
    "command", [(*DG, "check", "defs"), ("-m", "dagster", "definitions", "validate")]
)
def test_the_definitions_are_valid(place: Place, command: tuple[str, ...]) -> None:
    done = place.python(*command)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "All definitions loaded" in said or "Validation successful for code location" in said
    assert "suppress this warning" not in said


def test_what_there_is_can_be_listed(place: Place) -> None:
    done = place.python(*DG, "list", "defs", "--json")
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    keys = {each["asset_key"] for each in listed["assets"]}
    assert {f"harvest/{name}" for name in REPORTS} <= keys
    assert "harvest_all_reports" in {each["name"] for each in listed["jobs"]}


def test_a_launch_over_some_days_loads_them(place: Place, tmp_path: Path) -> None:
    database, day = tmp_path / "warehouse.duckdb", utc_today().isoformat()
    with SandboxServer(years=0.1, rate_limit=None) as sandbox:
        start = sandbox.first_day.isoformat()
        done = place.python(
            *(*DG, "launch", "--assets", "harvest/daily"),
            *("--partition-range", f"{start}...{day}"),
            **sandbox.environment(),
            HARVEST_START_DATE=start,
            HARVEST_DUCKDB=str(database),
        )
    assert done.returncode == 0, done.stdout + done.stderr
    with duckdb.connect(database, read_only=True) as connection:
        ((rows, first),) = connection.execute(
            "SELECT count(*), min(window_first)::TEXT FROM harvest.daily, harvest._loads"
        ).fetchall()
    assert (rows > 0, first) == (True, start)
