"""Credentials: a personal access token, or OAuth 2 with a refresh token.

Belongs here: where a token comes from, when it is renewed, and who is to blame if it is refused.
Does not belong here: storing tokens, or connecting interactively.
"""

import contextlib
import math
import threading
from time import monotonic
from typing import Protocol

import msgspec
import requests
from requests.auth import AuthBase

from harvest_pipeline.harvest.errors import (
    TRY_LATER,
    AnswerInvalid,
    CredentialsMalformed,
    HarvestError,
    HarvestUnavailable,
    RateLimited,
    TokenRejected,
    message_of,
)
from harvest_pipeline.harvest.limits import retry_after_seconds
from harvest_pipeline.harvest.transport import (
    Answer,
    NeverSent,
    NoAuthorization,
    TransferFailed,
    Transport,
)

#: An access token is renewed this many seconds before it ends (a very short one at half its life).
_MARGIN_SECONDS = 120.0
_NEW_TOKEN = "make a new one at https://id.getharvest.com/developers"  # noqa: S105 - no secret


class Credentials(Protocol):
    """What a client needs of any kind of credentials; safe for use by several threads."""

    def token(self, transport: Transport) -> str:
        """A token to send. Raises TokenRejected, HarvestUnavailable, RateLimited."""
        ...

    def renew(self, transport: Transport, rejected: str) -> str:
        """Another token than `rejected`, which got a 401. Raises as `token` does."""
        ...


class Bearer(AuthBase):
    """Sends a token in the Authorization header, and nowhere else."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        r.headers["Authorization"] = f"Bearer {self._token}"
        return r


class PersonalAccessToken:
    """A token that a person made (REFERENCE 2.1); it ends only when that person revokes it.

    Raises CredentialsMalformed.
    """

    def __init__(self, token: str) -> None:
        self._token = _checked(token, "HARVEST_ACCESS_TOKEN")

    def token(self, transport: Transport) -> str:
        """The token."""
        return self._token

    def renew(self, transport: Transport, rejected: str) -> str:
        """Raises TokenRejected: there is no other token."""
        raise TokenRejected(
            "Harvest does not accept the token in HARVEST_ACCESS_TOKEN (401): it is wrong or has "
            f"been revoked; {_NEW_TOKEN}."
        )


class _Tokens(msgspec.Struct):
    access_token: str
    refresh_token: str | None = None
    expires_in: float | None = None


class OAuthRefresh:
    """Access tokens fetched with a refresh token (REFERENCE 2.3).

    Raises CredentialsMalformed.
    """

    def __init__(self, client_id: str, client_secret: str, refresh_token: str, id_url: str) -> None:
        self._client = {
            "client_id": _checked(client_id, "HARVEST_CLIENT_ID"),
            "client_secret": _checked(client_secret, "HARVEST_CLIENT_SECRET"),
        }
        # The newest first, then the one that worked before it: Harvest may or may not change it.
        self._refresh_tokens = [_checked(refresh_token, "HARVEST_REFRESH_TOKEN")]
        self._url = f"{id_url.rstrip('/')}/api/v2/oauth2/token"
        self._lock = threading.Lock()
        self._access_token: str | None = None
        self._renew_at = 0.0
        self._refused: TokenRejected | None = None

    def token(self, transport: Transport) -> str:
        """The access token; fetched when there is none or it is about to end."""
        with self._lock:
            if self._access_token is None or monotonic() >= self._renew_at:
                return self._fetch(transport)
            return self._access_token

    def renew(self, transport: Transport, rejected: str) -> str:
        """A token that is not `rejected`; several threads with the same 401 cost one fetch."""
        with self._lock:
            if self._access_token is None or self._access_token == rejected:
                return self._fetch(transport)
            return self._access_token

    def _fetch(self, transport: Transport) -> str:
        if self._refused:  # it would be again, and Harvest counts the tries
            raise self._refused
        *newer, oldest = self._refresh_tokens
        for refresh_token in newer:
            with contextlib.suppress(TokenRejected):
                return self._redeem(transport, refresh_token)
        try:
            return self._redeem(transport, oldest)
        except TokenRejected as refusal:
            self._refused = refusal
            raise

    def _redeem(self, transport: Transport, refresh_token: str) -> str:
        asked = monotonic()
        answer = self._post(transport, refresh_token)
        if answer.status != 200:
            raise _refusal(answer)
        tokens = _tokens(answer)
        newest = tokens.refresh_token or refresh_token
        self._refresh_tokens = list(dict.fromkeys((newest, refresh_token)))
        self._access_token = tokens.access_token
        self._renew_at = asked + _lasting(tokens.expires_in)
        return tokens.access_token

    def _post(self, transport: Transport, refresh_token: str) -> Answer:
        """Ask for tokens, once: an answer that got lost may have changed the refresh token.

        Only when there was no connection is it known that Harvest saw nothing.
        """
        form = {
            **self._client,
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
        }
        patience = transport.patience
        failures = 0
        while True:
            try:
                return transport.exchange("POST", self._url, auth=NoAuthorization(), data=form)
            except TransferFailed as error:
                failures += 1
                if failures == patience.attempts or not isinstance(error, NeverSent):
                    raise HarvestUnavailable(
                        f"Harvest gave no access token: {error} (attempts: {failures}). {TRY_LATER}"
                    ) from error
            transport.pause(patience.pause_after(failures))


def _lasting(expires_in: float | None) -> float:
    """How long a token is used, in seconds; without a known end until it gets a 401."""
    if expires_in is None:
        return math.inf
    return max(expires_in - _MARGIN_SECONDS, expires_in / 2)


def _checked(secret: str, variable: str) -> str:
    """`secret` if it can stand in a header; the message never shows it."""
    if _is_sendable(secret):
        return secret
    raise CredentialsMalformed(
        f"{variable} is empty or holds a blank, a line break or a letter that no credential has; "
        "copy it again."
    )


def _is_sendable(secret: str) -> bool:
    return bool(secret) and all("!" <= character <= "~" for character in secret)


def _tokens(answer: Answer) -> _Tokens:
    try:
        tokens = msgspec.json.decode(answer.body, type=_Tokens)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _unreadable() from None
    if not all(map(_is_sendable, (tokens.access_token, tokens.refresh_token or "-"))):
        raise _unreadable()
    return tokens


def _unreadable() -> AnswerInvalid:
    return AnswerInvalid(f"Harvest's answer to a request for an access token is none. {TRY_LATER}")


def _refusal(answer: Answer) -> HarvestError:
    """What an answer of the token endpoint other than 200 means (REFERENCE 2.3)."""
    said = message_of(answer.body)
    if answer.status == 429:
        seconds = retry_after_seconds(answer.headers, answer.date)
        return RateLimited(
            "Harvest gives no access token now: too many were asked for (429).",
            retry_after=seconds,
        )
    if answer.status >= 500:
        return HarvestUnavailable(
            f"Harvest gives no access token now (status {answer.status}). {TRY_LATER}"
        )
    if b"invalid_client" in answer.body:
        return TokenRejected(
            "Harvest does not know HARVEST_CLIENT_ID with this HARVEST_CLIENT_SECRET; copy both "
            "again from https://id.getharvest.com/developers."
        )
    return TokenRejected(
        "Harvest does not accept the refresh token in HARVEST_REFRESH_TOKEN (status "
        f"{answer.status}{': ' + said if said else ''}): connect the account again to get one."
    )
