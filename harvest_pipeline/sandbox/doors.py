"""The doors for tests, under `/sandbox`: faults, changes, clock, log, truth. Closed by default.

Belongs here: the same over HTTP that `Account` offers in the process. Does not belong here: what
Harvest itself offers.
"""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from harvest_pipeline.sandbox.account import Account
from harvest_pipeline.sandbox.changes import Change
from harvest_pipeline.sandbox.errors import JSON, no_such_page, unprocessable
from harvest_pipeline.sandbox.faults import Fault
from harvest_pipeline.sandbox.truth import totals, truth
from harvest_pipeline.sandbox.wire import encode
from harvest_pipeline.sandbox.world import World


class _Advance(msgspec.Struct):
    seconds: float


class Doors:
    """Answers the requests to the doors of one sandbox.

    `?account=ID` names the account; the first one without.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """All routes."""
        return [
            Route("/sandbox/faults", self._faults, methods=["GET", "POST", "DELETE"]),
            Route("/sandbox/changes", self._change, methods=["POST"]),
            Route("/sandbox/clock", self._clock, methods=["GET", "POST"]),
            Route("/sandbox/log", self._log, methods=["GET", "DELETE"]),
            Route("/sandbox/truth", self._totals),
            Route("/sandbox/truth/{kind}", self._truth),
        ]

    async def _faults(self, request: Request) -> Response:
        """POST adds the fault of the body, DELETE forgets all; the answer is those that wait."""
        faults = self._world.faults
        if request.method == "POST":
            faults.add(await _read(request, Fault))
        elif request.method == "DELETE":
            faults.clear()
        return _answer(faults.waiting)

    async def _change(self, request: Request) -> Response:
        """POST makes the changes of the list in the body; the answer is the ids of what is new."""
        account = self._account(request)
        try:
            found = [account.apply(change) for change in await _read(request, list[Change])]
        except (KeyError, ValueError) as error:
            raise unprocessable(str(error.args[0])) from error
        return _answer(found)

    async def _clock(self, request: Request) -> Response:
        """POST puts the clock forward by `seconds`; the answer is what time it is."""
        if request.method == "POST":
            try:
                self._world.clock.advance((await _read(request, _Advance)).seconds)
            except ValueError as error:
                raise unprocessable(str(error)) from error
        return _answer({"now": self._world.clock.now()})

    async def _log(self, request: Request) -> Response:
        """The requests that were answered; DELETE forgets them."""
        if request.method == "DELETE":
            self._world.request_log.clear()
        return _answer(self._world.request_log.requests)

    async def _totals(self, request: Request) -> Response:
        account = self._account(request)
        with account.lock:
            return _answer(totals(account.records))

    async def _truth(self, request: Request) -> Response:
        account = self._account(request)
        try:
            with account.lock:
                return _answer(truth(account.records, request.path_params["kind"]))
        except KeyError as error:
            raise no_such_page() from error

    def _account(self, request: Request) -> Account:
        named = request.query_params.get("account", str(self._world.account.id))
        account = self._world.accounts.get(int(named)) if named.isdigit() else None
        if account is None:
            raise unprocessable(f"the sandbox has no account {named}")
        return account


def _answer(value: Any) -> Response:
    return Response(encode(value), media_type=JSON)


async def _read(request: Request, shape: Any) -> Any:
    """The body as that type. Raises ApiError 422 if it is none."""
    try:
        return msgspec.json.decode(await request.body(), type=shape)
    except msgspec.MsgspecError as error:
        raise unprocessable(str(error)) from error
