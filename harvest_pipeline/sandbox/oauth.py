"""Tokens and grants of the identity host: a token's person, lifetime and renewal."""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from harvest_pipeline.sandbox.answers import refused_grant, unauthorized
from harvest_pipeline.sandbox.clock import Clock

#: Seconds for which an access token is valid.
EXPIRES_IN = 1_209_600
#: Seconds for which the code of the redirect is valid.
_CODE_SECONDS = 600

#: The sandbox's credentials. They open nothing but the sandbox, so they are not secret.
TOKENS = {
    "administrator": "sandbox-administrator-token",
    "manager": "sandbox-manager-token",
    "member": "sandbox-member-token",
}
CLIENT_ID = "sandbox-client-id"
CLIENT_SECRET = "sandbox-client-secret"  # noqa: S105
REFRESH_TOKEN = "sandbox-refresh-token"  # noqa: S105


@dataclass(frozen=True)
class Grant:
    """What a token stands for: a person (by role) and the accounts that they can access."""

    person: str
    accounts: frozenset[int]
    scope: str


@dataclass
class _Refresh:
    """A refresh token. All that come from one sign-in share a `family`."""

    grant: Grant
    family: str
    used: bool = False


@dataclass(frozen=True)
class _Code:
    grant: Grant
    expires: datetime
    redirect_uri: str
    challenge: str | None
    method: str


class Tokens:
    """All tokens of one sandbox.

    By default a refresh returns the same refresh token, as Harvest seems to do.
    With `rotate` each refresh returns a new one, and the use of an old one revokes the family.
    """

    def __init__(self, clock: Clock, accounts: frozenset[int], rotate: bool = False) -> None:
        self._clock = clock
        self._rotate = rotate
        self._personal = {token: Grant(person, accounts, "all") for person, token in TOKENS.items()}
        self._access: dict[str, tuple[Grant, datetime, str]] = {}
        everything = Grant("administrator", accounts, "harvest:all")
        self._refresh = {REFRESH_TOKEN: _Refresh(everything, REFRESH_TOKEN)}
        self._codes: dict[str, _Code] = {}

    def grant(self, token: str) -> Grant:
        """What an access token or personal token stands for. Raises ApiError 401."""
        if token in self._personal:
            return self._personal[token]
        grant, expires, _ = self._access.get(token, (None, self._clock.now(), ""))
        if grant is None or expires <= self._clock.now():
            raise unauthorized()
        return grant

    def expire(self, token: str) -> None:
        """Make a token invalid; a personal token is revoked."""
        self._personal.pop(token, None)
        self._access.pop(token, None)

    def authorize(self, grant: Grant, redirect_uri: str, challenge: str | None, method: str) -> str:
        """A code that can be exchanged once, within ten minutes."""
        code = secrets.token_urlsafe(16)
        expires = self._clock.now() + timedelta(seconds=_CODE_SECONDS)
        self._codes[code] = _Code(grant, expires, redirect_uri, challenge, method)
        return code

    def exchange(self, fields: dict[str, str]) -> dict[str, str | int]:
        """Process a token request. Raises ApiError 400 or 401, as the OAuth standard says."""
        known = fields.get("client_id") == CLIENT_ID
        if not known or fields.get("client_secret") != CLIENT_SECRET:
            raise refused_grant("invalid_client", "Client authentication failed.", 401)
        match fields.get("grant_type"):
            case "authorization_code":
                return self._from_code(fields)
            case "refresh_token":
                return self._from_refresh(fields.get("refresh_token", ""))
            case _:
                raise refused_grant("unsupported_grant_type", "The grant type is not supported.")

    def _from_code(self, fields: dict[str, str]) -> dict[str, str | int]:
        code = self._codes.pop(fields.get("code", ""), None)
        if code is None or code.expires <= self._clock.now():
            raise _invalid_grant()
        if fields.get("redirect_uri", code.redirect_uri) != code.redirect_uri:
            raise _invalid_grant()
        if code.challenge is not None and not _verifies(code, fields.get("code_verifier", "")):
            raise _invalid_grant()
        refresh = secrets.token_urlsafe(24)
        self._refresh[refresh] = _Refresh(code.grant, family=refresh)
        return self._answer(code.grant, refresh, refresh)

    def _from_refresh(self, token: str) -> dict[str, str | int]:
        held = self._refresh.get(token)
        if held is None:
            raise _invalid_grant()
        if not self._rotate:
            return self._answer(held.grant, token, held.family)
        if held.used:
            self._revoke(held.family)
            raise _invalid_grant()
        held.used = True
        fresh = secrets.token_urlsafe(24)
        self._refresh[fresh] = _Refresh(held.grant, held.family)
        return self._answer(held.grant, fresh, held.family)

    def _revoke(self, family: str) -> None:
        self._refresh = {t: held for t, held in self._refresh.items() if held.family != family}
        self._access = {t: held for t, held in self._access.items() if held[2] != family}

    def _answer(self, grant: Grant, refresh: str, family: str) -> dict[str, str | int]:
        access = secrets.token_urlsafe(24)
        expires = self._clock.now() + timedelta(seconds=EXPIRES_IN)
        self._access[access] = (grant, expires, family)
        return {
            "access_token": access,
            "refresh_token": refresh,
            "token_type": "bearer",
            "expires_in": EXPIRES_IN,
        }


def _verifies(code: _Code, verifier: str) -> bool:
    """Whether a PKCE verifier belongs to the challenge that was sent (RFC 7636)."""
    answer = verifier
    if code.method == "S256":
        digest = hashlib.sha256(verifier.encode()).digest()
        answer = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return hmac.compare_digest(answer.encode(), (code.challenge or "").encode())


def _invalid_grant() -> Exception:
    return refused_grant(
        "invalid_grant",
        "The provided access grant is invalid, expired, or revoked (e.g. invalid assertion, "
        "expired authorization token, bad end-user password credentials, or mismatching "
        "authorization code and redirection URI).",
    )
