"""Faults of the connection: reset, cut short, dripping, silent.

Belongs here: writing to the socket past the web server, which would not do such things. Does not
belong here: choosing the fault (faults.py).
"""

import asyncio
import socket
import struct

from starlette.responses import Response
from starlette.types import Receive, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from harvest_pipeline.sandbox.errors import status_line


class OpenProtocol(H11Protocol):
    """HTTP as uvicorn speaks it, with the connection in reach of the application.

    The transport of a request is `scope["state"]["transport"]`.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # otherwise the kernel holds the body back until the client confirms the headers (40 ms)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, "transport": transport}


async def wait(receive: Receive, seconds: float) -> None:
    """Do nothing for so many seconds, or until the client has gone."""
    try:
        await asyncio.wait_for(_disconnected(receive), seconds)
    except TimeoutError:
        return


async def reset(scope: Scope, receive: Receive) -> None:
    """Reset the connection (RST)."""
    transport = _transport(scope)
    connection = transport.get_extra_info("socket")
    # lingering for zero seconds makes closing a reset
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await _disconnected(receive)


async def truncate(scope: Scope, receive: Receive, response: Response, share: float) -> None:
    """Send the headers and that share of the body, then close the connection."""
    transport = _transport(scope)
    body = bytes(response.body)
    transport.write(_head(response) + body[: int(len(body) * share)])
    transport.close()
    await _disconnected(receive)


async def drip(
    scope: Scope, receive: Receive, response: Response, seconds: float, *, with_headers: bool
) -> None:
    """Send byte by byte with pauses, until all is sent or the client has gone."""
    transport = _transport(scope)
    head, slowly = _head(response), bytes(response.body)
    if with_headers:
        slowly = head + slowly
    else:
        transport.write(head)
    for byte in slowly:
        if transport.is_closing():
            break
        transport.write(bytes((byte,)))
        await asyncio.sleep(seconds)
    transport.close()
    await _disconnected(receive)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _transport(scope: Scope) -> asyncio.Transport:
    return scope["state"]["transport"]


def _head(response: Response) -> bytes:
    """Status line and headers."""
    lines = [f"HTTP/1.1 {status_line(response.status_code)}".encode()]
    lines += [name + b": " + text for name, text in response.raw_headers]
    return b"\r\n".join([*lines, b"Connection: close", b"", b""])
