"""One exception per thing that a person can do something about.

`str(error)` is a sentence or two for a person and never holds a secret.
"""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from harvest_pipeline.safety import one_line as one_line

TRY_LATER = "Try again later; https://www.harveststatus.com tells of outages."
#: Bytes of an error answer; Harvest's are a line. Of megabytes, millions of objects would be made.
_LARGEST_MESSAGE = 64 * 2**10


class HarvestError(Exception):
    """Harvest could not be read.

    `retryable`: whether the same request may succeed later. `retry_after`: how many seconds later,
    where Harvest said so.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CredentialsMissing(HarvestError):
    """There is neither a token nor what is needed to fetch one."""


class CredentialsMalformed(HarvestError):
    """A credential holds characters that no credential has, such as a line break."""


class StoreUnusable(HarvestError):
    """A stored account, or the place where accounts are stored, cannot be read or written."""


class StoreBusy(StoreUnusable):
    """Another process holds the stored account for longer than renewing its token takes."""

    retryable = True


class AuthorizationRefused(HarvestError):
    """The person, or Harvest, did not allow the access that was asked for in the browser."""


class AuthorizationInvalid(HarvestError):
    """What came back from the browser does not belong to what was asked for, or came too late."""


class TokenRejected(HarvestError):
    """Harvest does not accept the token (401), or does not give a new one."""


class AccountNotFound(HarvestError):
    """The token does not reach the account that was asked for."""


class AccountAmbiguous(HarvestError):
    """The token reaches several accounts, or none, and none was named."""


class PermissionMissing(HarvestError):
    """The person behind the token may not see this (403)."""


class RecordNotFound(HarvestError):
    """Harvest does not have, or does not show, what was asked for (404)."""


class RequestRefused(HarvestError):
    """Harvest does not accept the parameters of the request (400, 422)."""


class HostNotTrusted(HarvestError):
    """The certificate of the host does not verify; nothing was sent to it."""


class StateUnusable(HarvestError):
    """The file in which requests are counted cannot be read or written."""


class RateLimited(HarvestError):
    """Harvest asks to wait for longer than a request may wait; `retry_after` says how long."""

    retryable = True


class HarvestUnavailable(HarvestError):
    """Harvest cannot be reached or fails (5xx), after several attempts."""

    retryable = True


class AnswerInvalid(HarvestError):
    """What came is not an answer of the Harvest API, after several attempts."""

    retryable = True


class RecordUnusable(AnswerInvalid):
    """A record came that cannot be read, and cannot be set aside either."""

    retryable = False


class ReadNotProven(HarvestError):
    """The records that came are not provably all of them: they changed while being read."""

    retryable = True


def message_of(body: bytes) -> str:
    """What the body of an error answer says, or ""."""
    if len(body) > _LARGEST_MESSAGE:
        return ""
    try:
        answer = msgspec.json.decode(body, type=Mapping[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    for key in ("message", "error_description", "error"):
        if isinstance(text := answer.get(key), str) and text:
            return one_line(text)
    return ""
