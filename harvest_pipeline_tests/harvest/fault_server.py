"""A server of raw sockets that answers as told, wrongly above all."""

import contextlib
import gzip
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from harvest_pipeline_tests.waiting import PATIENCE

#: What is done with a connection after a request; false: the connection is closed.
Action = Callable[[socket.socket], bool]


@dataclass(frozen=True)
class Request:
    """A request as it came; header names in lower case; `at` by the monotonic clock."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))


class FaultServer:
    """Serves on a free loopback port, a thread a connection; `respond` chooses the action."""

    def __init__(
        self, respond: Callable[[Request], Action], tls: ssl.SSLContext | None = None
    ) -> None:
        self._respond = respond
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.requests: list[Request] = []
        self.bytes_received = b""
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            while request := self._receive(connection):
                self.requests.append(request)
                if not self._respond(request)(connection):
                    break
        except OSError:
            pass  # the client has gone, which is what many tests are about
        finally:
            connection.close()

    def _receive(self, connection: socket.socket) -> Request | None:
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                return None
            self.bytes_received += part
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        while len(body) < int(headers.get("content-length", "0")):
            body += connection.recv(65536)
        return Request(method, target, headers, body)


def script(*actions: Action) -> Callable[[Request], Action]:
    """One action after the other, the last one for ever."""
    left = list(actions)

    def respond(request: Request) -> Action:
        return left.pop(0) if len(left) > 1 else left[0]

    return respond


def routes(**actions: Action) -> Callable[[Request], Action]:
    """An action by the last word of the path (`me`, `clients`), 404 for others."""
    return lambda request: actions.get(request.path.rsplit("/", 1)[-1], answer({}, status=404))


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Said So", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def raw(
    body: bytes,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    length: bool = True,
) -> Action:
    """Any bytes, with a right Content-Length or, without, up to the end of the connection."""
    said = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    if length:
        said.setdefault("Content-Length", str(len(body)))

    def act(connection: socket.socket) -> bool:
        connection.sendall(_head(status, said) + body)
        return length

    return act


def answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Action:
    """JSON, as Harvest answers."""
    return raw(json.dumps(content).encode(), status, headers)


def page(name: str, records: list[dict[str, object]], **members: object) -> Action:
    """A list that has one page, with totals."""
    envelope = {
        name: records,
        "total_pages": 1,
        "total_entries": len(records),
        "links": {"next": None},
    }
    return answer({**envelope, **members})


def web_page(status: int = 200) -> Action:
    return raw(b"<html><title>Maintenance</title></html>", status, {"Content-Type": "text/html"})


def reset(connection: socket.socket) -> bool:
    """Break the connection off with RST instead of an answer."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def cut(body: bytes, at: int) -> Action:
    """Promise the whole body and close after `at` bytes of it."""

    def act(connection: socket.socket) -> bool:
        said = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        connection.sendall(_head(200, said) + body[:at])
        return False

    return act


def cut_in_chunk(body: bytes, at: int) -> Action:
    """Promise a chunk and close after `at` bytes of it."""

    def act(connection: socket.socket) -> bool:
        said = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
        connection.sendall(_head(200, said) + f"{len(body):x}\r\n".encode() + body[:at])
        return False

    return act


def _drip(connection: socket.socket, data: bytes) -> None:
    for byte in data:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def drip_body(connection: socket.socket) -> bool:
    """A body that never ends, a byte at a time."""
    connection.sendall(_head(200, {"Content-Length": "10000"}))
    _drip(connection, b" " * 10_000)
    return False


def drip_without_length(connection: socket.socket) -> bool:
    """A body up to the end of the connection, which looks whole wherever it is cut."""
    connection.sendall(_head(200, {"Content-Type": "application/json"}) + b'{"id": 1}')
    _drip(connection, b" " * 10_000)
    return False


def hang(connection: socket.socket) -> bool:
    """Say nothing."""
    time.sleep(PATIENCE)
    return False


def stop_in_the_middle(connection: socket.socket) -> bool:
    """Send half of a body and nothing after it."""
    connection.sendall(_head(200, {"Content-Length": "1000"}) + b" " * 500)
    return hang(connection)


def bomb(mebibytes: int, *, chunked: bool) -> Action:
    """A small gzip body that becomes large, sent whole or as a single chunk."""
    packed = gzip.compress(b" " * 2**20 * mebibytes, compresslevel=9)
    headers = {"Content-Encoding": "gzip"}
    if not chunked:
        return raw(packed, headers=headers)
    body = f"{len(packed):x}\r\n".encode() + packed + b"\r\n0\r\n\r\n"
    return raw(body, headers={**headers, "Transfer-Encoding": "chunked"}, length=False)
