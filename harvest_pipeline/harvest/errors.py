"""The exceptions of reading Harvest: one for each thing that a person can fix.

`str(error)` is a sentence or two for a person and never holds a secret.
"""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from harvest_pipeline.safety import one_line as one_line

TRY_LATER = "Try again later; https://www.harveststatus.com shows outages."
#: Bytes of an error response; Harvest's are a line. Parsing megabytes would create millions of
#: objects.
_LARGEST_MESSAGE = 64 * 2**10


class HarvestError(Exception):
    """Harvest could not be read.

    `retryable`: whether the same request may succeed later. `retry_after`: after how many seconds,
    if Harvest said so.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CredentialsMissing(HarvestError):
    """There is neither a token nor what is needed to get one."""


class CredentialsMalformed(HarvestError):
    """A credential contains characters that no credential has, such as a line break."""


class StoreUnusable(HarvestError):
    """A stored account, or the place where accounts are stored, cannot be read or written."""


class StoreBusy(StoreUnusable):
    """Another process holds the stored account for longer than renewing its token takes."""

    retryable = True


class AuthorizationRefused(HarvestError):
    """The person, or Harvest, did not allow the access requested in the browser."""


class AuthorizationInvalid(HarvestError):
    """The redirect from the browser does not match the request, or came too late."""


class TokenRejected(HarvestError):
    """Harvest rejects the token (401), or does not issue a new one."""


class AccountNotFound(HarvestError):
    """The token has no access to the requested account."""


class AccountAmbiguous(HarvestError):
    """The token has access to several accounts, or none, and none was named."""


class PermissionMissing(HarvestError):
    """The token's owner is not allowed to see this (403)."""


class RecordNotFound(HarvestError):
    """Harvest does not have, or does not show, the requested record (404)."""


class RequestRefused(HarvestError):
    """Harvest rejects the parameters of the request (400, 422)."""


class HostNotTrusted(HarvestError):
    """The certificate of the host is not valid; nothing was sent to it."""


class StateUnusable(HarvestError):
    """The file in which requests are counted cannot be read or written."""


class RateLimited(HarvestError):
    """Harvest asks for a longer wait than a request may take; `retry_after` says how long."""

    retryable = True


class HarvestUnavailable(HarvestError):
    """Harvest cannot be reached or fails (5xx), after several attempts."""

    retryable = True


class HostUnreachable(HarvestUnavailable):
    """A host has never answered while a person was waiting, who may mend its address."""

    retryable = False


class AnswerInvalid(HarvestError):
    """The response is not one of the Harvest API, after several attempts."""

    retryable = True


class RecordUnusable(AnswerInvalid):
    """A record cannot be read, and cannot be set aside either."""

    retryable = False


class ReadNotProven(HarvestError):
    """The records read are not provably complete: they changed while being read."""

    retryable = True


def message_of(body: bytes) -> str:
    """The message in the body of an error response, or ""."""
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
