"""A wall-clock deadline that holds for a whole exchange, whatever the server does.

Belongs here: the watchdog that ends a connection, and the `requests` adapter that shows it the
sockets. `requests` bounds single reads only: a server that sends a byte now and then keeps
`timeout=(3, 2)` alive for ever, in the headers as in the body (RELIABILITY 0.9).
Does not belong here: what the exchange is about.
"""

import contextlib
import socket
import threading
from collections.abc import Generator
from contextvars import ContextVar
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection


class Watchdog:
    """Shuts the sockets of one session down when its exchange outlives the deadline.

    It holds duplicates of the sockets: those stay valid through the TLS handshake, and can never
    be a descriptor that something else has been given meanwhile.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: dict[object, socket.socket] = {}
        self._exchange = 0
        self._expired = False

    @contextlib.contextmanager
    def watching(self, seconds: float) -> Generator[None]:
        """End what the block does on the network after `seconds`; see `expired`."""
        with self._lock:
            self._exchange += 1
            self._expired = False
            timer = threading.Timer(seconds, self._expire, args=(self._exchange,))
        timer.daemon = True
        timer.start()
        token = _watchdog.set(self)
        try:
            yield
        finally:
            _watchdog.reset(token)
            timer.cancel()

    @property
    def expired(self) -> bool:
        """Whether the latest exchange was ended by the watchdog."""
        return self._expired

    def interrupt(self) -> None:
        """End the exchange in progress now."""
        self._expire(self._exchange)

    def adopt(self, peer: object, connected: socket.socket) -> None:
        """Watch a new connection, which takes the place of an older one to the same `peer`."""
        with self._lock:
            if older := self._sockets.pop(peer, None):
                older.close()
            self._sockets[peer] = connected.dup()
            if self._expired:
                _shut_down(connected)

    def close(self) -> None:
        """Let go of all sockets."""
        with self._lock:
            for watched in self._sockets.values():
                watched.close()
            self._sockets.clear()

    def _expire(self, exchange: int) -> None:
        with self._lock:
            if exchange != self._exchange:
                return
            self._expired = True
            for watched in self._sockets.values():
                _shut_down(watched)


#: The watchdog of the exchange that the current thread is in.
_watchdog: ContextVar[Watchdog] = ContextVar("watchdog")


def _shut_down(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the server may have been quicker
        connected.shutdown(socket.SHUT_RDWR)


class _HTTPConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        _watchdog.get().adopt((self.host, self.port), connected)
        return connected


class _HTTPSConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        _watchdog.get().adopt((self.host, self.port), connected)
        return connected


class _HTTPConnectionPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection  # pyright: ignore[reportAssignmentType] - as in urllib3


class _HTTPSConnectionPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection  # pyright: ignore[reportAssignmentType] - as in urllib3


_POOLS: dict[str, type[HTTPConnectionPool]] = {
    "http": _HTTPConnectionPool,
    "https": _HTTPSConnectionPool,
}


class WatchedAdapter(HTTPAdapter):
    """Sends requests over connections that the watchdog of the current exchange can end."""

    poolmanager: PoolManager

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> ProxyManager:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager
