"""`harvest-pipeline dev`: it serves the UI, and leaves nothing behind."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from harvest_pipeline.local import dagster_environment
from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.ui.conftest import free_port


def lives(group: int) -> bool:
    """Whether any process of a process group is still there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def told(*options: str, **environment: str) -> str:
    """What `harvest-pipeline dev` says when it ends at once, with exit code 1."""
    answer = subprocess.run(
        [sys.executable, "-m", "harvest_pipeline.cli", "dev", *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
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


def end_by_sigterm(server: "subprocess.Popen[bytes]") -> None:
    server.send_signal(signal.SIGTERM)


def ignore_sigint() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def end_by_ctrl_c(server: "subprocess.Popen[bytes]") -> None:
    """As a terminal does: the signal reaches the command and all that it started."""
    os.killpg(server.pid, signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("end", [end_by_sigterm, end_by_ctrl_c])
def test_it_ends_cleanly_with_everything_that_it_started(
    tmp_path: Path, end: Callable[["subprocess.Popen[bytes]"], None]
) -> None:
    port = free_port()
    home = tmp_path / "home"
    home.mkdir()
    with (tmp_path / "output.txt").open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "harvest_pipeline.cli", "dev", "--port", str(port)],
            env={**os.environ, "DAGSTER_HOME": str(home)},
            stdout=output,
            stderr=output,
            start_new_session=True,
            # As a shell starts what it puts into the background; Ctrl-C is for the foreground.
            preexec_fn=ignore_sigint if end is end_by_sigterm else None,
        )
    try:
        # Until the daemon has begun, it does not know what to do about Ctrl-C.
        served, deadline = False, time.monotonic() + 120
        while not (served and "following daemons" in (tmp_path / "output.txt").read_text()):
            assert time.monotonic() < deadline
            assert server.poll() is None
            time.sleep(0.3)
            with suppress(requests.RequestException):
                served = requests.get(f"http://127.0.0.1:{port}/server_info", timeout=2).ok
        end(server)
        assert server.wait(60) == 0
        assert "Traceback" not in (tmp_path / "output.txt").read_text()
        deadline = time.monotonic() + 30
        while lives(server.pid) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not lives(server.pid)
    finally:
        if lives(server.pid):
            os.killpg(server.pid, signal.SIGKILL)
