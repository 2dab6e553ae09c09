"""OAuth 2 at Harvest's id server: a person's consent with PKCE, and the tokens that follow.

https://help.getharvest.com/api-v2/authentication-api/authentication/authentication/
oauthlib makes PKCE and parses the redirect; the requests use this project's own transport, with
its limits on time and size (docs/decisions.md).
"""

from dataclasses import dataclass, replace
from time import time
from typing import Literal, NoReturn
from urllib.parse import parse_qs, urlsplit

import msgspec
from oauthlib.common import add_params_to_uri, generate_token
from oauthlib.oauth2 import OAuth2Error, WebApplicationClient
from oauthlib.oauth2.rfc6749.errors import AccessDeniedError

from harvest_pipeline.harvest.errors import (
    TRY_LATER,
    AnswerInvalid,
    AuthorizationInvalid,
    AuthorizationRefused,
    CredentialsMalformed,
    HarvestError,
    HarvestUnavailable,
    RateLimited,
    TokenRejected,
)
from harvest_pipeline.harvest.http import (
    Answer,
    NeverSent,
    NoAuthorization,
    TransferFailed,
    Transport,
)

DEVELOPERS = "https://id.getharvest.com/developers"


class Secret:
    """Base of values that hold secrets: never logged and never pickled."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds secrets, so it is not pickled or copied")


def checked(secret: str, origin: str) -> str:
    """`secret` if it is valid in a header, else CredentialsMalformed, which names `origin`."""
    if _is_sendable(secret):
        return secret
    raise CredentialsMalformed(
        f"{origin} is empty or holds a blank, a line break or a letter that no credential has; "
        "copy it again."
    )


def _is_sendable(secret: str) -> bool:
    return bool(secret) and all("!" <= character <= "~" for character in secret)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TokenSet(Secret):
    """The tokens of one sign-in, and the client id and secret that renew them; empty if missing.

    A personal access token is an `access_token` and nothing else. `expires_at` is a Unix time in
    seconds, None if it is not known. `previous_refresh_token` worked before `refresh_token`:
    Harvest may or may not issue a new one, and may or may not revoke the old one.
    """

    access_token: str = ""
    expires_at: float | None = None
    refresh_token: str = ""
    previous_refresh_token: str = ""
    client_id: str = ""
    client_secret: str = ""


class Refused(TokenRejected):
    """Harvest issues no tokens.

    Connect the account again, or copy client id and secret of the application again.
    """

    def __init__(self, of: Literal["grant", "application", "other"], status: int) -> None:
        """Because of the `grant` (a code or a refresh token), the `application`, or anything
        else."""
        super().__init__(f"Harvest gives no access token (status {status}).")
        self.of = of
        self.status = status


class Consent(Secret):
    """One authorization request: may this application read the person's account?

    `url` is the address to open in a browser; the browser is then sent to `redirect_uri`.
    """

    def __init__(self, client_id: str, client_secret: str, id_url: str, redirect_uri: str) -> None:
        """A new request, with its own `state` and PKCE verifier."""
        self.redirect_uri = redirect_uri
        self._id_url = id_url
        self._application = TokenSet(client_id=client_id, client_secret=client_secret)
        self._client = WebApplicationClient(client_id)
        self._state = generate_token(43)
        self._verifier: str = self._client.create_code_verifier(64)
        challenge: str = self._client.create_code_challenge(self._verifier, "S256")
        question = {
            "client_id": client_id,
            "response_type": "code",
            "state": self._state,
            "redirect_uri": redirect_uri,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        address = f"{id_url.rstrip('/')}/oauth2/authorize"
        self.url: str = add_params_to_uri(address, list(question.items()))

    def is_answered_by(self, answer: str) -> bool:
        """Whether `answer`, the target of a redirect or its whole address, has the `state` of this
        request, which no other web page knows."""
        try:
            return parse_qs(urlsplit(answer.strip()).query).get("state") == [self._state]
        except ValueError:
            return False

    def code(self, answer: str) -> str:
        """The code in the response: the target of the redirect, or its whole address.

        Raises AuthorizationRefused if the person refused, and AuthorizationInvalid if the response
        is not for this request, or has no code. Their texts repeat nothing of the response.
        """
        if not self.is_answered_by(answer):
            raise AuthorizationInvalid(
                "The answer of the browser does not belong to this request (its state is missing "
                "or another one), so it was not used; run the command again, and paste the whole "
                "address if you paste it."
            )
        try:
            # oauthlib accepts https only; this address never leaves the machine.
            address = f"https://127.0.0.1/?{urlsplit(answer.strip()).query}"
            found = self._client.parse_request_uri_response(address, self._state)
            return checked(found["code"], "The code")
        except AccessDeniedError:
            raise AuthorizationRefused(
                "Access was refused on Harvest's page, so nothing is connected; run the command "
                "again to be asked again."
            ) from None
        except (OAuth2Error, CredentialsMalformed) as error:
            # oauthlib's name of the error: another one is words of whoever made the answer.
            said = type(error).error if isinstance(error, OAuth2Error) else "malformed_code"
            raise AuthorizationRefused(
                f"Harvest's page ended without giving access ({said or 'an unknown error'}); look "
                f"at the application at {DEVELOPERS}, and run the command again."
            ) from None

    def tokens(self, transport: Transport, code: str) -> TokenSet:
        """The first tokens, for a code. Raises AuthorizationInvalid for a code that is expired or
        used, TokenRejected for a wrong client secret, and what `Transport.exchange` raises."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self._verifier,
        }
        try:
            tokens = _request(transport, self._id_url, form, self._application)
        except Refused as refusal:
            if refusal.of == "grant":
                raise AuthorizationInvalid(
                    "Harvest does not accept the code from the browser: it has expired or has been "
                    "used already; run the command again."
                ) from None
            if refusal.of == "application":
                raise TokenRejected(
                    "Harvest does not know HARVEST_CLIENT_ID with this HARVEST_CLIENT_SECRET; copy "
                    f"both again from {DEVELOPERS}."
                ) from None
            raise
        if not tokens.refresh_token:
            raise AnswerInvalid(
                "Harvest gave a token that ends and nothing to renew it with, so nothing was "
                "stored; use a personal access token instead (--token -)."
            )
        return tokens


def renewed(transport: Transport, id_url: str, tokens: TokenSet) -> TokenSet:
    """New tokens, for the refresh token of `tokens`.

    Raises Refused, HarvestUnavailable, RateLimited, AnswerInvalid and HostNotTrusted.
    """
    form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
    return _request(transport, id_url, form, tokens)


class _Given(msgspec.Struct):
    access_token: str
    refresh_token: str | None = None
    expires_in: float | None = None


def _request(transport: Transport, id_url: str, grant: dict[str, str], sent: TokenSet) -> TokenSet:
    """`sent`, updated with what the token endpoint returns for a grant."""
    asked_at = time()
    form = {"client_id": sent.client_id, "client_secret": sent.client_secret, **grant}
    answer = _post(transport, f"{id_url.rstrip('/')}/api/v2/oauth2/token", form)
    if answer.status != 200:
        raise _refusal(answer)
    try:
        given = msgspec.json.decode(answer.body, type=_Given)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _unreadable() from None
    newest = given.refresh_token or sent.refresh_token
    if not _is_sendable(given.access_token) or not _is_sendable(newest or "-"):
        raise _unreadable()
    return replace(
        sent,
        access_token=given.access_token,
        expires_at=None if given.expires_in is None else asked_at + given.expires_in,
        refresh_token=newest,
        previous_refresh_token="" if newest == sent.refresh_token else sent.refresh_token,
    )


def _post(transport: Transport, url: str, form: dict[str, str]) -> Answer:
    """Request tokens, once: a response that got lost may have changed the refresh token.

    Only if there was no connection is it known that Harvest got nothing.
    """
    patience = transport.patience
    failures = 0
    while True:
        try:
            return transport.exchange("POST", url, auth=NoAuthorization(), data=form)
        except TransferFailed as error:
            failures += 1
            sent = not isinstance(error, NeverSent)
            transport.give_up(error, url, "HARVEST_ID_URL", failures, last=sent)
            problem = f"{error}; an access token is asked for again"
            if failures == patience.attempts or sent:
                raise HarvestUnavailable(
                    f"Harvest gave no access token: {error} (attempts: {failures}). {TRY_LATER}"
                ) from error
        transport.wait(patience.pause_after(failures), problem, url)


def _refusal(answer: Answer) -> HarvestError:
    """The exception for a status other than 200. The body is left out: it may repeat the token."""
    if answer.status == 429:
        return RateLimited(
            "Harvest gives no access token now: too many were asked for (429).",
            retry_after=answer.retry_after,
        )
    if answer.status >= 500:
        return HarvestUnavailable(
            f"Harvest gives no access token now (status {answer.status}). {TRY_LATER}"
        )
    if answer.status < 400:
        return _unreadable()
    if b"invalid_client" in answer.body:
        return Refused("application", answer.status)
    # A rejection by something else, such as a proxy, must not make anyone try an older token.
    return Refused("grant" if answer.status in (400, 401) else "other", answer.status)


def _unreadable() -> AnswerInvalid:
    return AnswerInvalid(f"Harvest's answer to a request for an access token is none. {TRY_LATER}")
