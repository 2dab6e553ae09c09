"""`harvest-pipeline dev`: it serves the UI, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from harvest_pipeline_tests.ui.conftest import free_port


def lives(group: int) -> bool:
    """Whether any process of a process group is still there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_sigterm_ends_the_ui_and_everything_that_it_started(tmp_path: Path) -> None:
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
        )
    try:
        served, deadline = False, time.monotonic() + 120
        while not served and time.monotonic() < deadline:
            time.sleep(0.3)
            try:
                served = requests.get(f"http://127.0.0.1:{port}/server_info", timeout=2).ok
            except requests.RequestException:
                assert server.poll() is None
        assert served
        server.send_signal(signal.SIGTERM)
        server.wait(60)
        deadline = time.monotonic() + 30
        while lives(server.pid) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not lives(server.pid)
    finally:
        if lives(server.pid):
            os.killpg(server.pid, signal.SIGKILL)
