"""Credentials: which token is sent, when it is renewed, and that nobody renews it twice."""

import contextlib
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from time import time
from typing import Protocol

import requests
from requests.auth import AuthBase

from harvest_pipeline.harvest.errors import TokenRejected
from harvest_pipeline.harvest.http import Transport
from harvest_pipeline.harvest.oauth import refresh
from harvest_pipeline.harvest.secrecy import Secretive, checked
from harvest_pipeline.harvest.token_endpoint import (
    Application,
    GrantRefused,
    Source,
    Tokens,
)

_NEW_TOKEN = "make a new one at https://id.getharvest.com/developers"  # noqa: S105 - no secret


class Credentials(Protocol):
    """What a client needs of any kind of credentials; safe for use by several threads."""

    def token(self, transport: Transport) -> str:
        """A token to send. Raises TokenRejected, HarvestUnavailable, RateLimited, StoreUnusable."""
        ...

    def renew(self, transport: Transport, rejected: str) -> str:
        """Another token than `rejected`, which got a 401. Raises as `token` does."""
        ...


class Bearer(AuthBase, Secretive):
    """Sends a token in the Authorization header, and nowhere else."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        r.headers["Authorization"] = f"Bearer {self._token}"
        return r


class PersonalAccessToken(Secretive):
    """A token that a person made (REFERENCE 2.1); it ends only when that person revokes it.

    `origin` says where it was set, and `remedy` what to do when it is refused.

    Raises CredentialsMalformed.
    """

    def __init__(
        self, token: str, origin: str = "HARVEST_ACCESS_TOKEN", remedy: str = _NEW_TOKEN
    ) -> None:
        self._token = checked(token, origin)
        self._refusal = (
            f"Harvest does not accept the token of {origin} (401): it is wrong or has been "
            f"revoked; {remedy}."
        )

    def token(self, transport: Transport) -> str:
        """The token."""
        return self._token

    def renew(self, transport: Transport, rejected: str) -> str:
        """Raises TokenRejected: there is no other token."""
        raise TokenRejected(self._refusal)


@dataclass(frozen=True, slots=True, repr=False)
class Kept(Secretive):
    """The tokens of one sign-in, as they are kept from one renewal to the next.

    Times are Unix times in seconds. `refresh_tokens` holds the newest first, then the one that
    worked before it: Harvest may or may not give a new one, and may or may not end the old one.
    """

    access_token: str | None
    expires_at: float | None
    renew_at: float | None
    refresh_tokens: tuple[str, ...]

    def usable(self, rejected: str | None) -> str | None:
        """The access token, unless it is about to end or is the `rejected` one.

        By the wall clock, the only one that processes share. Where that is wrong, a token is
        renewed early, or when it gets a 401.
        """
        if self.renew_at is not None and time() >= self.renew_at:
            return None
        return None if self.access_token == rejected else self.access_token

    def renewed(self, used: str, tokens: Tokens) -> "Kept":
        """These tokens after the refresh token `used` has led to `tokens`."""
        return replace(
            self,
            access_token=tokens.access_token,
            expires_at=tokens.expires_at,
            renew_at=tokens.renew_at,
            refresh_tokens=tuple(dict.fromkeys((tokens.refresh_token or used, used))),
        )


class Keep(Protocol):
    """Where tokens are kept; `source` is who is named when they are refused."""

    @property
    def source(self) -> Source: ...

    def read(self) -> Kept:
        """The tokens, as whoever renewed them last has left them. Raises StoreUnusable."""
        ...

    def write(self, kept: Kept) -> None:
        """Keep these from now on; they are kept when this returns. Raises StoreUnusable."""
        ...

    def alone(self) -> AbstractContextManager[None]:
        """Keep every other process from renewing them. Raises StoreUnusable."""
        ...


class RefreshedTokens(Secretive):
    """Access tokens that are renewed with a refresh token (REFERENCE 2.3)."""

    def __init__(self, application: Application, id_url: str, keep: Keep) -> None:
        self._application = application
        self._id_url = id_url
        self._keep = keep
        self._lock = threading.Lock()
        self._known: Kept | None = None
        self._refused: TokenRejected | None = None

    def token(self, transport: Transport) -> str:
        """The access token; renewed when there is none or it is about to end."""
        return self._usable(transport, rejected=None)

    def renew(self, transport: Transport, rejected: str) -> str:
        """A token that is not `rejected`; all threads and processes with the same 401 renew it
        once."""
        return self._usable(transport, rejected)

    @property
    def expires_at(self) -> float | None:
        """When the access token that is kept ends; None where there is none, or no end is known.

        Raises StoreUnusable.
        """
        return self._keep.read().expires_at

    def renew_early(self, transport: Transport) -> None:
        """Renew the access token that is kept, though it has not ended. Raises as `token` does."""
        self.renew(transport, self._keep.read().access_token or "")

    def _usable(self, transport: Transport, rejected: str | None) -> str:
        with self._lock:
            # Reading costs up to 40 ms where a keyring keeps them, which is much for each request.
            if self._known and (token := self._known.usable(rejected)):
                return token
            self._known = self._keep.read()
            if token := self._known.usable(rejected):
                return token
            with self._keep.alone():
                # Another process may have renewed them meanwhile.
                self._known = self._keep.read()
                return self._known.usable(rejected) or self._renewed(transport, self._known)

    def _renewed(self, transport: Transport, kept: Kept) -> str:
        """Another access token, kept before it is used: a refresh token may be good only once."""
        if self._refused:  # it would be again, and Harvest counts the tries
            raise self._refused
        # A place that cannot be written to says so now, and not when it is to take the only copy.
        self._keep.write(kept)
        try:
            used, tokens = self._redeemed(transport, kept.refresh_tokens)
        except TokenRejected as refusal:
            self._refused = refusal
            raise
        renewed = kept.renewed(used, tokens)
        self._keep.write(renewed)
        self._known = renewed
        return tokens.access_token

    def _redeemed(self, transport: Transport, refresh_tokens: Sequence[str]) -> tuple[str, Tokens]:
        """The refresh token that was accepted, and what it gave."""
        *newer, oldest = refresh_tokens
        for token in newer:
            with contextlib.suppress(GrantRefused):
                return token, self._redeem(transport, token)
        return oldest, self._redeem(transport, oldest)

    def _redeem(self, transport: Transport, refresh_token: str) -> Tokens:
        return refresh(transport, self._id_url, self._application, refresh_token, self._keep.source)
