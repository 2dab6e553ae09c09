"""The token endpoint of Harvest ID (REFERENCE 2.2, 2.3): one request, and what its answer means.

Belongs here: the application, tokens, and the sentence for every refusal.
Does not belong here: what is asked with (oauth.py), and when (auth.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from time import time

import msgspec

from harvest_pipeline.harvest.errors import (
    TRY_LATER,
    AnswerInvalid,
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
from harvest_pipeline.harvest.secrecy import Secretive, checked, is_sendable

#: An access token is renewed this many seconds before it ends (a very short one at half its life).
_MARGIN_SECONDS = 120.0


class GrantRefused(TokenRejected):
    """The token endpoint does not accept the refresh token, or the code, that it was given."""


@dataclass(frozen=True, slots=True, repr=False)
class Application(Secretive):
    """An OAuth 2 application, made by a person at https://id.getharvest.com/developers.

    Raises CredentialsMalformed, which names the variable.
    """

    client_id: str
    client_secret: str

    def __post_init__(self) -> None:
        checked(self.client_id, "HARVEST_CLIENT_ID")
        checked(self.client_secret, "HARVEST_CLIENT_SECRET")


@dataclass(frozen=True, slots=True, repr=False)
class Tokens(Secretive):
    """What the token endpoint gives. Times are Unix times in seconds, None where nothing is said.

    `expires_at` is when the access token ends, `renew_at` is when another one should be fetched.
    """

    access_token: str
    refresh_token: str | None
    expires_at: float | None
    renew_at: float | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Where the credentials of a request for tokens come from, for the sentence of a refusal."""

    refresh_token: str
    application: str
    remedy: str


def environment(prefix: str, *, replaced: bool = False) -> Source:
    """The variables whose names begin with `prefix`; `replaced`: the token that was renewed from
    the one in the variable."""
    return Source(
        refresh_token="the refresh token that "
        f"{'replaced the one' if replaced else 'is'} in {prefix}REFRESH_TOKEN",
        application=f"{prefix}CLIENT_ID with this {prefix}CLIENT_SECRET",
        remedy="set a new one, or remove the variable and run `harvest-pipeline connect`",
    )


ENVIRONMENT = environment("HARVEST_")


def ask_for_tokens(
    transport: Transport,
    id_url: str,
    application: Application,
    form: Mapping[str, str],
    source: Source,
) -> Tokens:
    """The tokens for a grant, whose fields are `form`; `source` is who is named if there are none.

    Raises GrantRefused for a grant that is not good, TokenRejected for a wrong client secret,
    HarvestUnavailable, RateLimited, AnswerInvalid, HostNotTrusted.
    """
    asked_at = time()
    answer = _post(
        transport,
        f"{id_url.rstrip('/')}/api/v2/oauth2/token",
        {
            "client_id": application.client_id,
            "client_secret": application.client_secret,
            **form,
        },
    )
    if answer.status != 200:
        raise _refusal(answer, source)
    return _tokens(answer, asked_at)


def _post(transport: Transport, url: str, form: Mapping[str, str]) -> Answer:
    """Ask for tokens, once: an answer that got lost may have changed the refresh token.

    Only when there was no connection is it known that Harvest saw nothing.
    """
    patience = transport.patience
    failures = 0
    while True:
        try:
            return transport.exchange("POST", url, auth=NoAuthorization(), data=form)
        except TransferFailed as error:
            failures += 1
            if failures == patience.attempts or not isinstance(error, NeverSent):
                raise HarvestUnavailable(
                    f"Harvest gave no access token: {error} (attempts: {failures}). {TRY_LATER}"
                ) from error
        transport.pause(patience.pause_after(failures))


class _Given(msgspec.Struct):
    access_token: str
    refresh_token: str | None = None
    expires_in: float | None = None


def _tokens(answer: Answer, asked_at: float) -> Tokens:
    try:
        given = msgspec.json.decode(answer.body, type=_Given)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _unreadable() from None
    if not all(map(is_sendable, (given.access_token, given.refresh_token or "-"))):
        raise _unreadable()
    lasting = given.expires_in
    return Tokens(
        given.access_token,
        given.refresh_token or None,
        None if lasting is None else asked_at + lasting,
        None if lasting is None else asked_at + max(lasting - _MARGIN_SECONDS, lasting / 2),
    )


def _unreadable() -> AnswerInvalid:
    return AnswerInvalid(f"Harvest's answer to a request for an access token is none. {TRY_LATER}")


def _refusal(answer: Answer, source: Source) -> HarvestError:
    """What an answer of the token endpoint other than 200 means (REFERENCE 2.3)."""
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
        return TokenRejected(
            f"Harvest does not know {source.application}; copy both again from "
            "https://id.getharvest.com/developers."
        )
    # A refusal by something else, a proxy say, must not make anybody try an older refresh token.
    kind = GrantRefused if answer.status in (400, 401) else TokenRejected
    # What the answer says is left out: it may repeat the token.
    return kind(
        f"Harvest does not accept {source.refresh_token} (status {answer.status}): {source.remedy}."
    )
