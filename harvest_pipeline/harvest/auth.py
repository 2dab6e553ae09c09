"""Credentials: which token is sent, and when it is renewed, once for all processes.

The facts about Harvest that it relies on are in docs/harvest-api.md.
"""

import threading
from dataclasses import replace
from time import time
from typing import Protocol

import requests
from requests.auth import AuthBase

from harvest_pipeline.harvest.errors import CredentialsMissing, TokenRejected
from harvest_pipeline.harvest.http import Transport
from harvest_pipeline.harvest.oauth import DEVELOPERS, Refused, Secret, TokenSet, checked, renewed
from harvest_pipeline.harvest.token_store import TokenStore

#: An access token is renewed this many seconds before it expires.
_MARGIN_SECONDS = 120.0


class Credentials(Protocol):
    """What a client needs from credentials of any kind; thread-safe."""

    def token(self, transport: Transport) -> str:
        """A token to send. Raises TokenRejected, HarvestUnavailable, RateLimited, StoreUnusable."""
        ...

    def renew(self, transport: Transport, rejected: str) -> str:
        """A token other than `rejected`, which got a 401. Raises the same exceptions as `token`."""
        ...


class Bearer(AuthBase, Secret):
    """Sends a token in the Authorization header only."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        r.headers["Authorization"] = f"Bearer {self._token}"
        return r


class PersonalAccessToken(Secret):
    """A token that a person created; it is valid until that person revokes it.

    `origin` says where it was set, and `remedy` what to do if it is rejected.

    Raises CredentialsMalformed.
    """

    def __init__(
        self,
        token: str,
        origin: str = "HARVEST_ACCESS_TOKEN",
        remedy: str = f"make a new one at {DEVELOPERS}",
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


class RefreshedTokens(Secret):
    """Access tokens that are renewed with a refresh token, once for all processes of the store.

    `key` is its key in the store. `given` are the tokens from variables: they are used until the
    store has newer ones, but their client id and secret always. `origin`, `application` and
    `remedy` are the words for a rejection: which refresh token, which client id and secret, and
    what to do.
    """

    def __init__(
        self,
        store: TokenStore,
        key: str,
        id_url: str,
        *,
        given: TokenSet | None,
        origin: str,
        application: str,
        remedy: str,
    ) -> None:
        self._store = store
        self._key = key
        self._id_url = id_url
        self._given = given
        self._origin = origin
        self._application = application
        self._remedy = remedy
        self._lock = threading.Lock()
        self._known: TokenSet | None = None
        self._refusal: str | None = None

    def token(self, transport: Transport) -> str:
        """The access token, renewed if there is none or it is about to expire."""
        return self._usable(transport, rejected="")

    def renew(self, transport: Transport, rejected: str) -> str:
        """A token that is not `rejected`; all threads and processes with the same 401 renew it
        once."""
        return self._usable(transport, rejected)

    def _usable(self, transport: Transport, rejected: str) -> str:
        with self._lock:
            # Reading a keyring takes up to 40 ms, which is much for each request.
            if self._known and (token := _unended(self._known, rejected)):
                return token
            self._known = self._read()
            if token := _unended(self._known, rejected):
                return token
            with self._store.lock(self._key):
                # Another process may have renewed them in the meantime.
                self._known = self._read()
                return _unended(self._known, rejected) or self._renewed(transport, self._known)

    def _read(self) -> TokenSet:
        kept = self._store.tokens(self._key) or self._given
        if kept is None:
            raise CredentialsMissing(
                f"{self._origin.capitalize()} has been removed from {self._store.reach}: "
                f"{self._remedy}."
            )
        if self._given:
            application = {
                "client_id": self._given.client_id,
                "client_secret": self._given.client_secret,
            }
            return replace(kept, **application)
        return kept

    def _renewed(self, transport: Transport, kept: TokenSet) -> str:
        """A new access token, stored before it is used: a refresh token may be valid only once."""
        if self._refusal:  # it would be rejected again, and Harvest counts the attempts
            raise TokenRejected(self._refusal)
        # A store that is not writable must fail now, not when it has to take the only copy.
        self._store.keep(self._key, kept)
        try:
            tokens = self._redeemed(transport, kept)
        except Refused as refusal:
            self._refusal = self._sentence(refusal)
            raise TokenRejected(self._refusal) from None
        self._store.keep(self._key, tokens)
        self._known = tokens
        return tokens.access_token

    def _redeemed(self, transport: Transport, kept: TokenSet) -> TokenSet:
        try:
            return renewed(transport, self._id_url, kept)
        except Refused as refusal:
            if refusal.of != "grant" or not kept.previous_refresh_token:
                raise
        former = replace(kept, refresh_token=kept.previous_refresh_token, previous_refresh_token="")
        return renewed(transport, self._id_url, former)

    def _sentence(self, refusal: Refused) -> str:
        if refusal.of == "application":
            return f"Harvest does not know {self._application}; copy both again from {DEVELOPERS}."
        return f"Harvest does not accept {self._origin} (status {refusal.status}): {self._remedy}."


def _unended(tokens: TokenSet, rejected: str) -> str:
    """The access token; empty if it is about to expire or is the `rejected` one.

    By the wall clock, the only one that processes share. If that is wrong, a token is renewed
    early, or when it gets a 401.
    """
    ending = tokens.expires_at is not None and time() >= tokens.expires_at - _MARGIN_SECONDS
    return "" if ending or tokens.access_token == rejected else tokens.access_token
