"""`harvest-pipeline dev`: it serves the UI, and leaves nothing behind."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from harvest_pipeline.local import dagster_environment
from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.ui.conftest import by_ctrl_c, started_dev
from harvest_pipeline_tests.waiting import PATIENCE


def told(*options: str, **environment: str) -> str:
    """What `harvest-pipeline dev` says when it ends at once, with exit code 1."""
    answer = subprocess.run(
        [sys.executable, "-m", "harvest_pipeline.cli", "dev", *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert answer.returncode == 1
    assert answer.stdout == ""
    return answer.stderr


def test_a_port_in_use_is_told_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert told("--port", str(port)) == (
            f"Error: Port {port} cannot be used (Address already in use); give another with "
            "--port.\n"
        )


def test_a_port_that_there_is_not_is_told_in_one_sentence() -> None:
    assert told("--port", "99999").startswith("Error: Port 99999 cannot be used (")


def test_a_name_that_is_none_is_told_in_one_sentence() -> None:
    assert told("--port", "0", "--allow-host", "https://x.example/").startswith(
        "Error: --allow-host 'https://x.example/' is not a host name; give the name "
    )


def test_a_home_that_is_not_there_is_told_in_one_sentence(tmp_path: Path) -> None:
    home = str(tmp_path / "none")
    assert told(DAGSTER_HOME=home).startswith(f"Error: DAGSTER_HOME is {home!r}, which is not ")


def test_the_home_that_is_made_is_the_owners_alone(tmp_path: Path) -> None:
    home = tmp_path / "dagster" / "sandbox"
    (tmp_path / "dagster").mkdir(mode=0o700)
    home.mkdir(mode=0o755)
    for _ in ("made before", "made now"):
        environment = dagster_environment({"A": "b"}, home)
        assert environment == {
            "A": "b",
            "DAGSTER_HOME": str(home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
        }
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert (home / "dagster.yaml").samefile(project_folder() / "dagster.yaml")
        (home / "dagster.yaml").unlink()
        home.rmdir()


@pytest.mark.slow
def test_ctrl_c_ends_it_with_everything_that_it_started(tmp_path: Path) -> None:
    """ui/test_dev.py shows the same of SIGTERM."""
    home = tmp_path / "home"
    home.mkdir()
    with started_dev({"DAGSTER_HOME": str(home)}, tmp_path / "output.txt") as started:
        started.assert_ends(by_ctrl_c)
        assert "Traceback" not in started.output.read_text()
