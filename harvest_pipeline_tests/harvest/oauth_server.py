"""Harvest's identity host and API in a few lines, for tests of what tokens are fetched when."""

import threading
from collections.abc import Callable
from urllib.parse import parse_qsl

from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.fault_server import Action, Request

INVALID_GRANT = fault.answer({"error": "invalid_grant", "error_description": "revoked"}, 400)


class OAuthServer:
    """Harvest's identity host and API, as far as tokens go; every refresh ends older tokens.

    `before_token` may answer instead; `before_answer` is called when new tokens are good already.
    """

    def __init__(self, *, rotating: bool = False, expires_in: float = 1209600) -> None:
        self.rotating = rotating
        self.expires_in = expires_in
        self.refresh_tokens = {"refresh-0"}
        self.access_token = "none yet"
        self.fetched = 0
        self.before_token: Callable[[], Action | None] = lambda: None
        self.before_answer: Callable[[], object] = lambda: None
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Action:
        with self._lock:
            if request.method == "POST":
                return self.before_token() or self._token(dict(parse_qsl(request.body.decode())))
            accepted = request.headers["authorization"] == f"Bearer {self.access_token}"
            return fault.answer({"id": 1}) if accepted else fault.answer({}, 401)

    def _token(self, form: dict[str, str]) -> Action:
        assert form["grant_type"] == "refresh_token"
        if (form["client_id"], form["client_secret"]) != ("id", "secret"):
            return fault.answer({"error": "invalid_client"}, 401)
        if form["refresh_token"] not in self.refresh_tokens:
            return INVALID_GRANT
        self.fetched += 1
        self.access_token = f"access-{self.fetched}"
        refresh_token = form["refresh_token"]
        if self.rotating:
            refresh_token = f"refresh-{self.fetched}"
            self.refresh_tokens = {refresh_token}
        self.before_answer()
        return fault.answer(
            {
                "access_token": self.access_token,
                "refresh_token": refresh_token,
                "token_type": "bearer",
                "expires_in": self.expires_in,
            }
        )
