"""One API call: sent within the limits, and retried until there is an answer or a reason to stop.

The facts about Harvest that it relies on are in docs/harvest-api.md.
"""

from collections.abc import Mapping
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec

from harvest_pipeline.harvest.auth import Bearer, Credentials
from harvest_pipeline.harvest.errors import (
    TRY_LATER,
    AnswerInvalid,
    HarvestError,
    HarvestUnavailable,
    PermissionMissing,
    RateLimited,
    RecordNotFound,
    RequestRefused,
    TokenRejected,
    message_of,
)
from harvest_pipeline.harvest.http import (
    LARGEST_ANSWER,
    Answer,
    TransferFailed,
    Transport,
    Truncated,
)
from harvest_pipeline.harvest.limits import Left, Limiter
from harvest_pipeline.harvest.progress import observer
from harvest_pipeline.safety.text import shows

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Decoder(Protocol[T_co]):
    """A decoder for response bodies: a `msgspec.json.Decoder`, or something like it."""

    def decode(self, buf: bytes, /) -> T_co:
        """The content of `buf`. Raises msgspec.DecodeError, UnicodeDecodeError, RecursionError, and
        HarvestError for what a retry would not fix."""
        ...


class _Unusable(Exception):
    """The body of a 200 response is invalid; the text says why."""


class Caller:
    """Sends requests to Harvest; thread-safe."""

    def __init__(
        self,
        transport: Transport,
        credentials: Credentials,
        limiter: Limiter,
    ) -> None:
        self._transport = transport
        self._credentials = credentials
        self._limiter = limiter

    def get(
        self,
        url: str,
        decoder: Decoder[T],
        *,
        account: str | None = None,
        params: Mapping[str, str] | None = None,
        permission: str = "an administrator",
        largest: int = LARGEST_ANSWER,
    ) -> tuple[T, Answer]:
        """GET `url` and decode the response, which has at most `largest` bytes.

        `account` is the account id of the request, None on the identity host.
        `permission` says who is allowed to send it, for the message of a 403.

        Raises TokenRejected, PermissionMissing, RecordNotFound, RequestRefused, HostNotTrusted,
        RateLimited, HarvestUnavailable, AnswerInvalid, RecordUnusable, StateUnusable.
        """
        path = urlsplit(url).path
        sharing = _sharing(url, account)
        reports = "/reports/" in path
        headers = {"Harvest-Account-Id": account} if account else None
        variable = "HARVEST_API_URL" if account else "HARVEST_ID_URL"
        patience = self._transport.patience
        token = self._credentials.token(self._transport)
        renewed = False
        failures = 0
        throttled: list[float] = []
        while True:
            kind: type[HarvestError] = HarvestUnavailable
            try:
                self._wait_for_limits(sharing, reports)
                answer = self._transport.exchange(
                    "GET",
                    url,
                    auth=Bearer(token),
                    headers=headers,
                    params=params,
                    largest=largest,
                )
                if answer.status == 200:
                    return _decoded(answer, decoder), answer
                problem = f"Harvest fails (status {answer.status})"
            except _Unusable as error:
                kind, problem = AnswerInvalid, str(error)
            except TransferFailed as error:
                kind = AnswerInvalid if isinstance(error, Truncated) else HarvestUnavailable
                problem = str(error)
                self._transport.give_up(error, url, variable, failures + 1)
            else:
                if answer.status == 401 and not renewed:
                    token = self._credentials.renew(self._transport, rejected=token)
                    renewed = True
                    continue
                if _is_throttled(answer):
                    fallback = self._limiter.limits.of(reports=reports).fallback_pause
                    self._pause(answer, sharing, path, fallback, throttled)
                    continue
                if answer.status < 500:
                    raise _refusal(path, answer, permission, token)
            failures += 1
            if failures == patience.attempts:
                raise kind(
                    f"{path} could not be read: {problem} (attempts: {failures}). {TRY_LATER}"
                )
            self._transport.wait(
                patience.pause_after(failures),
                f"{problem}; {path} is asked again, attempt {failures + 1} of {patience.attempts}",
                url,
            )

    def left(self, url: str, account: str) -> Left:
        """What is left of the account's limits at the host of `url`, by our own count."""
        return self._limiter.left(_sharing(url, account))

    def _wait_for_limits(self, sharing: str, reports: bool) -> None:
        """Wait until a request may be sent, and count it.

        Raises RateLimited if the wait would be too long.
        """
        while wait := self._limiter.acquire(sharing, reports=reports):
            if wait.seconds > self._transport.patience.throttle_cap:
                raise RateLimited(
                    f"{wait.reason}: the next request may be sent in {wait.seconds:.0f} seconds; "
                    "run again then.",
                    retry_after=wait.seconds,
                )
            self._transport.wait(wait.seconds, wait.reason)
        observer().requested()

    def _pause(
        self, answer: Answer, sharing: str, path: str, fallback: float, asked: list[float]
    ) -> None:
        """Stop everything that shares the account for as long as this 429 says, and add that to
        what earlier ones of the same request `asked`. Raises RateLimited if it is too much."""
        cap, pause = self._transport.patience.throttle_cap, answer.retry_after
        if pause is None:
            pause = fallback * 2 ** len(asked)
        pause = max(pause, self._transport.patience.first_pause)
        self._limiter.pause(sharing, pause)
        asked.append(pause)
        if sum(asked) > cap:
            raise RateLimited(
                f"Harvest asks to wait {pause:.0f} seconds before {path} is asked again "
                f"(429), and no more than {cap / 60:g} minutes are waited. Run again after "
                "that time; other programs that use the account count too.",
                retry_after=pause,
            )


def _sharing(url: str, account: str | None) -> str:
    """The name under which requests are counted: limits apply to an account at a host."""
    return f"{urlsplit(url).netloc} {account}"


def _is_throttled(answer: Answer) -> bool:
    """Whether Harvest asks to wait: 429, or as in API v1 a 503 with Retry-After."""
    return answer.status == 429 or (answer.status == 503 and "Retry-After" in answer.headers)


def _decoded(answer: Answer, decoder: Decoder[T]) -> T:
    try:
        return decoder.decode(answer.body)
    except msgspec.ValidationError as error:
        raise _Unusable(f"the answer has another form than documented ({error})") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        html = answer.headers.get("Content-Type", "").startswith("text/html")
        raise _Unusable("a web page came" if html else "the answer is not JSON") from None
    except RecursionError:
        raise AnswerInvalid("The answer is nested deeper than any record of Harvest.") from None


def _refusal(path: str, answer: Answer, permission: str, token: str) -> HarvestError:
    """The exception for a status that no retry fixes."""
    said = message_of(answer.body)
    saying = f", saying {said!r}" if said and not shows(said, token) else ""
    match answer.status:
        case 401:
            return TokenRejected(
                f"Harvest does not accept a token for {path} that it has only just given (401): "
                "connect the account again (`harvest-pipeline connect`), or set a new "
                "HARVEST_REFRESH_TOKEN."
            )
        case 403:
            return PermissionMissing(
                f"Harvest does not show {path} to the owner of this token (403). It is open to: "
                f"{permission}. Use the token of such a person."
            )
        case 404:
            return RecordNotFound(
                f"Harvest has no {path} (404), or does not show it to the owner of this token."
            )
        case 300 | 301 | 302 | 303 | 307 | 308:
            return AnswerInvalid(
                f"Harvest's API never redirects, but {path} does ({answer.status}); no token is "
                "sent elsewhere. Look at HARVEST_API_URL, and for a proxy in between."
            )
        case _:
            return RequestRefused(
                f"Harvest does not accept the request {path} (status {answer.status}{saying})."
            )
