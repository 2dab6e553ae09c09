"""Servers of the tests' own: Postgres as Debian installs it, and S3 from a package."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests

from harvest_pipeline_tests.waiting import PATIENCE

_SLEEP = 0.05


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Postgres:
    """A server in a temporary folder, which can be stopped, killed and started again."""

    def __init__(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        assert found, "Postgres is missing; on Debian: apt-get install postgresql"
        self.binaries = found[-1]
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        if os.geteuid() == 0:  # it refuses to run as root
            shutil.chown(self.folder, "postgres", "postgres")
        # As fast as a test wants it: a machine that loses its power is no subject here.
        self._run("initdb", "-D", "data", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-N")

    @property
    def conninfo(self) -> str:
        """The server, without a database."""
        return f"host=127.0.0.1 port={self.port} user=postgres"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        options += " -c fsync=off -c max_connections=300 -c shared_buffers=64MB"
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: `immediate` as if it was killed, `fast` by ending all sessions."""
        self._run("pg_ctl", "-D", "data", "-w", "-m", mode, "stop")

    def remove(self) -> None:
        """Stop it for good."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command: Sequence[str] = [str(self.binaries / program), *arguments]
        if os.geteuid() == 0:
            command = [
                "setpriv",
                "--reuid=postgres",
                "--regid=postgres",
                "--clear-groups",
                *command,
            ]
        with (self.folder / "output").open("a+") as output:
            done = subprocess.run(
                command, cwd=self.folder, stdout=output, stderr=output, check=False
            )
            output.seek(0)
            assert done.returncode == 0, output.read()


@contextmanager
def postgres() -> Generator[Postgres]:
    """A running server."""
    server = Postgres()
    server.start()
    try:
        yield server
    finally:
        server.remove()


class S3:
    """An S3 server (moto) that keeps objects in memory."""

    bucket = "s3://lake"

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which it is used."""
        return {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "its secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
        }

    def start(self) -> None:
        """Start it, and make the bucket."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + PATIENCE
        while True:
            try:
                requests.put(f"http://127.0.0.1:{self.port}/lake", timeout=PATIENCE)
                return
            except requests.ConnectionError:
                assert self._process.poll() is None, "moto did not start: pip install moto[server]"
                assert time.monotonic() < until, "moto does not answer"
                time.sleep(_SLEEP)

    def stop(self) -> None:
        """Stop it; its objects are lost."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


@contextmanager
def s3() -> Generator[S3]:
    """A running server."""
    server = S3()
    server.start()
    try:
        yield server
    finally:
        server.stop()
