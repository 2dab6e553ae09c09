"""The log of requests that a sandbox has answered.

Belongs here: what was asked and answered, without anything secret. Does not belong here: acting on
it (faults.py).
"""

from datetime import datetime

from msgspec import Struct


class LoggedRequest(Struct, frozen=True):
    """One request. `path` is as asked; `query` is without access tokens; `seconds` is its duration.

    `status` is None if the connection was cut instead of answered.
    """

    method: str
    path: str
    query: str
    status: int | None
    time: datetime
    seconds: float
    user_agent: str


class RequestLog:
    """The requests in the order in which they were answered."""

    def __init__(self) -> None:
        self.requests: list[LoggedRequest] = []

    def clear(self) -> None:
        """Forget all requests."""
        self.requests.clear()

    def paths(self) -> list[str]:
        """Only the paths, for tests that count requests."""
        return [request.path for request in self.requests]
