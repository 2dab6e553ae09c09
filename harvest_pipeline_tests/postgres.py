"""A Postgres server of the tests' own, and databases in it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from harvest_pipeline_tests.security.canaries import run_of
from harvest_pipeline_tests.servers import free_port
from harvest_pipeline_tests.surroundings import MISSING

#: That of the server, which tests look for where it does not belong.
PASSWORD = run_of("password of the database")


def binaries() -> Path | None:
    """The folder of the programs of the newest Postgres, which Debian puts into no PATH."""
    if found := sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        return found[-1].parent
    named = shutil.which("initdb")
    return Path(named).parent if named else None


class Postgres:
    """A server in a temporary folder, with a password; it can be stopped and started again."""

    user = "harvest"

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        (self.folder / "password").write_text(PASSWORD)
        if os.geteuid() == 0:  # it refuses to run as root
            shutil.chown(self.folder, "postgres", "postgres")
            shutil.chown(self.folder / "password", "postgres", "postgres")
        self._run(
            *("initdb", "-D", "data", "-U", self.user, "-A", "scram-sha-256"),
            *("--pwfile=password", "-E", "UTF8", "--locale=C", "--no-sync"),
        )
        # A machine that loses its power is no subject here.
        settings = f"port={self.port}\nunix_socket_directories='{self.folder}'\n"
        settings += "listen_addresses='127.0.0.1'\nfsync=off\nmax_connections=300\n"
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.write(settings)
        self._numbers = count(1)

    @property
    def conninfo(self) -> str:
        """The server for libpq, without a database and without the password."""
        return f"host=127.0.0.1 port={self.port} user={self.user}"

    def address(self, database: str = "postgres") -> str:
        """A database as a URL."""
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """The address of a new database."""
        name = f"database_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.address(name)

    def execute(self, sql: str, address: str = "") -> list[tuple[object, ...]]:
        """The rows of a statement."""
        return execute(address or self.address(), sql)

    def start(self) -> None:
        """Start it; it answers then."""
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: `immediate` as if it was killed, `fast` with an end of all sessions."""
        self._run("pg_ctl", "-D", "data", "-w", "-m", mode, "stop")

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """Stop it for good."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command: Sequence[str] = [str(self._binaries / program), *arguments]
        if os.geteuid() == 0:
            other = ("--reuid=postgres", "--regid=postgres", "--clear-groups")
            command = ["setpriv", *other, *command]
        with (self.folder / "output").open("a+") as output:
            done = subprocess.run(command, cwd=self.folder, stdout=output, stderr=output)
            output.seek(0)
            assert done.returncode == 0, output.read()


def execute(address: str, sql: str) -> list[tuple[object, ...]]:
    """The rows of a statement; PGPASSWORD has the password."""
    import psycopg

    with psycopg.connect(address, password=os.environ["PGPASSWORD"], autocommit=True) as it:
        cursor = it.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


@contextmanager
def running() -> Iterator[Postgres]:
    """A running server; PGPASSWORD holds its password."""
    found = binaries()
    assert found, "apt-get install postgresql"
    server = Postgres(found)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", PASSWORD)
        try:
            yield server
        finally:
            server.remove()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running server. Without the program tests are skipped; in CI they fail."""
    if binaries() is None and not os.environ.get("CI"):
        pytest.skip(f"PostgreSQL {MISSING}; on Debian: apt-get install postgresql")
    with running() as server:
        yield server
