"""OAuth 2 as Harvest ID speaks it (REFERENCE 2.2, 2.3): a person's consent, and tokens for it.

Belongs here: the address for the browser, what comes back from it, and the two kinds of grant.
Does not belong here: asking for tokens (token_endpoint.py), when one is renewed (auth.py), the
browser itself, storing tokens.
"""

import base64
import hashlib
import hmac
import secrets
import threading
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

from harvest_pipeline.harvest.errors import (
    AuthorizationInvalid,
    AuthorizationRefused,
    one_line,
)
from harvest_pipeline.harvest.http import Transport
from harvest_pipeline.harvest.secrecy import Secretive, is_sendable
from harvest_pipeline.harvest.token_endpoint import (
    ENVIRONMENT,
    Application,
    GrantRefused,
    Source,
    Tokens,
    ask_for_tokens,
)


class Authorization(Secretive):
    """One question to a person: may this application read your account?

    `url` is the address to open in a browser. The answer comes to `redirect_uri`.
    """

    def __init__(self, application: Application, id_url: str, redirect_uri: str) -> None:
        """A new question, with a `state` and a PKCE verifier of its own (256 bits each)."""
        self.redirect_uri = redirect_uri
        self.code_verifier = secrets.token_urlsafe(32)
        self._state = secrets.token_urlsafe(32)
        self._lock = threading.Lock()
        self._answered = False
        digest = hashlib.sha256(self.code_verifier.encode()).digest()
        question = {
            "client_id": application.client_id,
            "response_type": "code",
            "state": self._state,
            "redirect_uri": redirect_uri,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        self.url = f"{id_url.rstrip('/')}/oauth2/authorize?{urlencode(question)}"

    def code_from(self, answer: Mapping[str, str] | str) -> str:
        """The code in what came back: a redirect's parameters, its target or whole address.

        To be asked once, whatever comes of it. Raises AuthorizationRefused if the person refused,
        and AuthorizationInvalid if the answer is not to this question, or holds no code.
        """
        with self._lock:
            repeated, self._answered = self._answered, True
        if repeated:
            raise AuthorizationInvalid(
                "The answer of the browser has been taken already; run the command again."
            )
        query = _query(answer)
        state, error = query.get("state", ""), query.get("error", "")
        # Whether Harvest repeats the state when it refuses is not documented; a refusal does no
        # harm.
        if not (error and not state) and not hmac.compare_digest(
            state.encode(), self._state.encode()
        ):
            raise AuthorizationInvalid(
                "The answer of the browser does not belong to this request (its state is missing "
                "or another one), so it was not used; run the command again."
            )
        if error:
            raise _not_authorized(error, query.get("error_description", ""))
        code = query.get("code", "")
        if not is_sendable(code):
            raise AuthorizationInvalid(
                "The answer of the browser holds no code; run the command again, and paste the "
                "whole address if you paste it."
            )
        return code


def exchange_code(
    transport: Transport,
    id_url: str,
    application: Application,
    code: str,
    authorization: Authorization,
) -> Tokens:
    """The first tokens, for a code that `authorization` has led to.

    Raises AuthorizationInvalid for a code that is expired or used, TokenRejected for a wrong
    client secret, HarvestUnavailable, RateLimited, AnswerInvalid, HostNotTrusted.
    """
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": authorization.redirect_uri,
        "code_verifier": authorization.code_verifier,
    }
    try:
        return ask_for_tokens(transport, id_url, application, form, ENVIRONMENT)
    except GrantRefused as error:
        raise AuthorizationInvalid(
            "Harvest does not accept the code from the browser: it has expired or has been used "
            "already; run the command again."
        ) from error


def refresh(
    transport: Transport,
    id_url: str,
    application: Application,
    refresh_token: str,
    source: Source = ENVIRONMENT,
) -> Tokens:
    """New tokens for a refresh token; `source` is who is named if they are not given.

    Raises GrantRefused for a refresh token that is not good, TokenRejected for a wrong client
    secret, HarvestUnavailable, RateLimited, AnswerInvalid, HostNotTrusted.
    """
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return ask_for_tokens(transport, id_url, application, form, source)


def _query(answer: Mapping[str, str] | str) -> Mapping[str, str]:
    """The parameters of a redirect; of one that comes twice none is believed."""
    if not isinstance(answer, str):
        return answer
    try:
        pairs = parse_qsl(urlsplit(answer.strip()).query, keep_blank_values=True)
    except ValueError:
        return {}
    names = [name for name, _ in pairs]
    return {name: value for name, value in pairs if names.count(name) == 1}


def _not_authorized(error: str, description: str) -> AuthorizationRefused:
    if error == "access_denied":
        return AuthorizationRefused(
            "Access was refused on Harvest's page, so nothing is connected; run the command again "
            "to be asked again."
        )
    said = one_line(f"{error}: {description}" if description else error)
    return AuthorizationRefused(
        f"Harvest's page ended without giving access ({said}); look at the application at "
        "https://id.getharvest.com/developers, and run the command again."
    )
