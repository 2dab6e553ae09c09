"""The sandbox's server: in a thread for tests and the demo, or in the foreground."""

import socket
import threading
import time
from datetime import date
from types import TracebackType
from typing import Any

import uvicorn

from harvest_pipeline.sandbox.app import Middleware, create_app
from harvest_pipeline.sandbox.oauth import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, TOKENS
from harvest_pipeline.sandbox.world import Account, Options, World

_HOST = "127.0.0.1"
#: Seconds between checks whether the thread has begun to serve.
_PAUSE = 0.005


class SandboxServer:
    """A sandbox on a loopback port, for `with`; `serve()` serves in the foreground instead.

    `port` 0 takes a free one; `middleware` sees every request first; the other keyword arguments
    are the fields of `Options`. Building the account takes about a second at scale 1. Raises
    OSError if the port is taken.
    """

    def __init__(
        self, *, port: int = 0, middleware: Middleware | None = None, **options: Any
    ) -> None:
        self.tokens = dict(TOKENS)
        self.client_id = CLIENT_ID
        self.client_secret = CLIENT_SECRET
        self.refresh_token = REFRESH_TOKEN
        self._socket = socket.create_server((_HOST, port))
        # connections inherit it; otherwise the kernel holds an answer's body back until the client
        # confirms the headers (40 ms)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = self._socket.getsockname()[1]
        self.world = World(Options(**options))
        self._server = uvicorn.Server(
            uvicorn.Config(
                create_app(self.world, middleware),
                http="h11",
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_level="critical",
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(target=self.serve, name="sandbox", daemon=True)

    def __enter__(self) -> "SandboxServer":
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the sandbox did not start")
            time.sleep(_PAUSE)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join()

    def serve(self) -> None:
        """Serve until told to stop (in the main thread: until Ctrl-C)."""
        with self._socket:
            self._server.run(sockets=[self._socket])

    @property
    def id_url(self) -> str:
        """The address of the identity host."""
        return f"http://{_HOST}:{self.port}"

    @property
    def api_url(self) -> str:
        """The address of the API."""
        return f"{self.id_url}/v2"

    @property
    def account(self) -> Account:
        """The first account."""
        return self.world.account

    @property
    def account_id(self) -> int:
        """The id of the first account."""
        return self.account.id

    @property
    def instance(self) -> str:
        """The instance name of the first account."""
        return self.account.instance

    @property
    def first_day(self) -> date:
        """The day on which the account's history begins."""
        return self.world.first_day

    def environment(self) -> dict[str, str]:
        """The variables that point a process at the sandbox, with the administrator's token."""
        return {
            "HARVEST_API_URL": self.api_url,
            "HARVEST_ID_URL": self.id_url,
            "HARVEST_ACCESS_TOKEN": self.tokens["administrator"],
            "HARVEST_ACCOUNT_ID": str(self.account_id),
            "HARVEST_CONTACT": "sandbox@fernhill.example",
        }
