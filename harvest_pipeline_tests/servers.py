"""redis and S3, as Debian and PyPI have them, each on a free port; Postgres is in postgres.py."""

import secrets
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from harvest_pipeline_tests.waiting import PATIENCE, wait_for

#: Of every server here; no other process knows it.
PASSWORD = secrets.token_hex(12)


def free_port() -> int:
    """A port on which nothing listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return listener.getsockname()[1]


def listens(port: int) -> bool:
    """Whether something on this machine takes connections there."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


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
    """moto's S3, in a thread, with the bucket `harvest`. While `away` it answers nothing but 503,
    as S3 does when it is not well."""

    bucket = "s3://harvest"

    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Silent(WSGIRequestHandler):
            protocol_version = "HTTP/1.1"

            def log(self, type: str, message: str, *args: Any) -> None: ...

        self.port = free_port()
        self.away = False
        self.refused = 0
        self._answer = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            "127.0.0.1", self.port, self._serve, threaded=True, request_handler=Silent
        )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        requests.put(f"http://127.0.0.1:{self.port}/harvest", timeout=PATIENCE).raise_for_status()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point a process at it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "harvest",
            "AWS_SECRET_ACCESS_KEY": PASSWORD,
        }

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
