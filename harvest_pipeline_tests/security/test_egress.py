"""No process of this project asks anybody but Harvest: here the sandbox (RELIABILITY bar S13).

The system itself is asked, through strace: libraries that are not Python (DuckDB, gRPC) open
connections that Python knows nothing of.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.security.stage import Stage
from harvest_pipeline_tests.security.webserver import WebServer
from harvest_pipeline_tests.surroundings import needs
from harvest_pipeline_tests.ui.conftest import dev
from harvest_pipeline_tests.waiting import PATIENCE, wait_for

pytestmark = [pytest.mark.slow, needs("strace")]
#: -D: the tracer is a child, so that signals reach the program itself.
STRACE = ("strace", "-D", "-f", "--seccomp-bpf", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o")
_ADDRESS = re.compile(r'inet_(?:addr\(|pton\(AF_INET6, )"([^"]+)"')


def addressed(trace: Path) -> set[str]:
    """The addresses to which anything was sent."""
    return set(_ADDRESS.findall(trace.read_text()))


def test_a_connection_to_elsewhere_would_be_seen(tmp_path: Path) -> None:
    code = """
import socket
for family, address in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(family, kind) as one:
            one.settimeout(0.2)
            try:
                if kind is socket.SOCK_STREAM: one.connect((address, 80))
                else: one.sendto(b"x", (address, 53))
            except OSError:
                pass
"""
    trace = tmp_path / "trace"
    subprocess.run([*STRACE, str(trace), sys.executable, "-c", code], check=True, timeout=PATIENCE)
    wait_for(lambda: addressed(trace) == {"192.0.2.1", "2001:db8::1"}, lambda: "the trace")


def test_a_run_and_the_ui_ask_the_sandbox_and_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "trace"
    traced = tmp_path / "python"
    command = shlex.join([*STRACE, str(trace), sys.executable])
    traced.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    traced.chmod(0o755)
    with SandboxServer(years=0.1, scale=0.2, rate_limit=None) as sandbox:
        stage = Stage(tmp_path / "stage", sandbox)
        environment = stage.environment()
        monkeypatch.setattr(sys, "executable", str(traced))
        with dev(environment, tmp_path / "dev.txt") as url:
            server = WebServer(url)
            run = server.launch("harvest", "people", "clients")
            wait_for(lambda: server.status(run) in ("SUCCESS", "FAILURE"), lambda: "the run")
            assert server.status(run) == "SUCCESS"
        assert sandbox.account.request_log.paths()
        wait_for(lambda: f"htons({sandbox.port})" in trace.read_text(), lambda: "the trace")
    assert addressed(trace) == {"127.0.0.1"}
    # Dagster writes here what its telemetry would send.
    assert not (stage.home / "logs" / "event.log").exists()
