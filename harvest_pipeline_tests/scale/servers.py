"""The servers of a deployment, as Debian and PyPI have them, each on a free port."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from harvest_pipeline_tests.waiting import wait_for

#: Of every server here; no other process knows it.
PASSWORD = secrets.token_hex(12)
DATABASES = ("dagster", "lake", "state")


def free_port() -> int:
    """A port on which nothing listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return listener.getsockname()[1]


def listens(port: int) -> bool:
    """Whether something on this machine takes connections there."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def postgres_programs() -> Path | None:
    """Debian's folder of PostgreSQL's programs, if it is installed."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


class Postgres:
    """PostgreSQL with the databases of a deployment, which belong to the user `harvest`."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        # The server refuses to run as root.
        as_somebody = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
        self._prefix = as_somebody if os.geteuid() == 0 else ()
        if self._prefix:
            shutil.chown(folder, "postgres")
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        given = f"--auth=scram-sha-256 --username=harvest --pwfile={password} --no-sync".split()
        self._run("initdb", "--pgdata", str(folder / "data"), *given)

    @property
    def environment(self) -> dict[str, str]:
        """What Postgres' clients need besides the address."""
        return {"PGPASSWORD": PASSWORD}

    def url(self, database: str, driver: str = "") -> str:
        """The address of a database, without a password."""
        return f"postgresql{driver}://harvest@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self._folder} -c fsync=off"
        options += " -c max_connections=400"
        log = str(self._folder / "log")
        self._run(
            "pg_ctl", "start", "-w", "-D", str(self._folder / "data"), "-l", log, "-o", options
        )

    def make_databases(self) -> None:
        """Make the databases of `DATABASES`."""
        for name in DATABASES:
            self.execute("postgres", f"CREATE DATABASE {name}")

    def execute(self, database: str, sql: str) -> str:
        """What psql prints."""
        command = ("psql", "--no-psqlrc", "-qAt", self.url(database), "-c", sql)
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self) -> None:
        """Cut all connections and end, as a machine that goes down."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(self._folder / "data"))

    def _run(self, program: str, *words: str) -> None:
        programs = postgres_programs()
        assert programs
        done = subprocess.run(
            [*self._prefix, str(programs / program), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a pipe would stay open as long as the server
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
        log = self._folder / "log"
        assert done.returncode == 0, (program, log.read_text() if log.exists() else "")


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server that is gone in the end."""
    folder = Path(tempfile.mkdtemp(prefix="harvest-postgres-"))
    try:
        server = Postgres(folder)
        server.start()
        server.make_databases()
        try:
            yield server
        finally:
            with suppress(AssertionError):  # it is stopped already
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A redis, which forgets everything in the end; yields its address, with the password."""
    port = free_port()
    file = folder / "redis.conf"
    file.write_text(f"requirepass {PASSWORD}\nbind 127.0.0.1\nport {port}\nsave ''\n")
    file.chmod(0o600)
    with subprocess.Popen(["redis-server", str(file)], cwd=folder, stdout=subprocess.DEVNULL) as it:
        try:
            wait_for(lambda: listens(port))
            yield f"redis://:{PASSWORD}@127.0.0.1:{port}"
        finally:
            it.kill()


class S3:
    """moto's S3, in a thread. While `away` it answers nothing but 503, as S3 does when it is not
    well."""

    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Silent(WSGIRequestHandler):
            protocol_version = "HTTP/1.1"

            def log(self, type: str, message: str, *args: Any) -> None: ...

        self.port = free_port()
        self.away = False
        self.refused = 0
        self._answer = DomainDispatcherApplication(create_backend_app, "s3")
        self._server = make_server(
            "127.0.0.1", self.port, self._serve, threaded=True, request_handler=Silent
        )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point a process at it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "harvest",
            "AWS_SECRET_ACCESS_KEY": PASSWORD,
        }

    def make_bucket(self, name: str) -> None:
        """Make a bucket."""
        import boto3

        boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id="harvest",
            aws_secret_access_key=PASSWORD,
        ).create_bucket(Bucket=name)

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()

    def _serve(self, environ: Any, start: Callable[..., Any]) -> Iterable[bytes]:
        if not self.away:
            return self._answer(environ, start)
        self.refused += 1
        body = b"<Error><Code>SlowDown</Code><Message>Later.</Message></Error>"
        headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
        start("503 Slow Down", headers)
        return [body]
