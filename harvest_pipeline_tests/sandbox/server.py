"""The sandbox of tests: the one that users have, with faults, and accounts that can be changed."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from harvest_pipeline.sandbox import server
from harvest_pipeline.sandbox.app import Answer
from harvest_pipeline_tests.sandbox.account import Account
from harvest_pipeline_tests.sandbox.faults import Faults


class SandboxServer(server.SandboxServer):
    """A sandbox on a loopback port, for `with`. `faults` may be replaced by a test's own."""

    def __init__(self, *, port: int = 0, **options: Any) -> None:
        self.faults = Faults()
        super().__init__(port=port, middleware=self._meet, **options)
        self._accounts = [Account(each, self) for each in self.world.accounts.values()]

    @property
    def account(self) -> Account:
        """The first account, live: its records, changes, clock, faults and request log."""
        return self._accounts[0]

    @property
    def accounts(self) -> list[Account]:
        """All accounts."""
        return self._accounts

    async def _meet(self, request: Request, answer: Answer) -> Response:
        path = request.url.path.removeprefix("/api").removeprefix("/v2")
        fault = self.faults.meet(path, request.headers.get("harvest-account-id", ""))
        if fault is None:
            return await answer(request)
        return await fault.play(request, answer, self.world)
