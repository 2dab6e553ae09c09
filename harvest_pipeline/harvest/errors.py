"""The exceptions of reading Harvest: one for each thing that a person can fix.

`str(error)` is a sentence or two for a person and never holds a secret. Docstrings are sections of
docs/troubleshooting.md: what the error means, and what to do.
"""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from harvest_pipeline.safety.text import one_line

TRY_LATER = "Try again later; https://www.harveststatus.com shows outages."
#: Bytes of an error response; Harvest's are a line. Parsing megabytes would create millions of
#: objects.
_LARGEST_MESSAGE = 64 * 2**10


class HarvestError(Exception):
    """Harvest could not be read."""

    #: Whether the same request may succeed later; after how many seconds, if Harvest said so, is in
    #: `retry_after`.
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CredentialsMissing(HarvestError):
    """There is neither a token nor what is needed to get one.

    Run `harvest-pipeline connect`, or set the variables that the message names, in the environment
    or in `.env`. `harvest-pipeline accounts` lists what is connected.
    """


class CredentialsMalformed(HarvestError):
    """A credential contains characters that no credential has, such as a line break.

    Copy it again, without quotation marks and blanks around it.
    """


class StoreUnusable(HarvestError):
    """A stored account, or the place where accounts are stored, cannot be read or written.

    Unlock the system keyring, or name a folder of your own in `HARVEST_TOKEN_STORE` and connect
    again. A scheduler such as cron has no keyring: use a folder there.
    """


class StoreKeyWrong(StoreUnusable):
    """A stored account cannot be decrypted with `HARVEST_STATE_KEY`.

    Set the same key on all machines. To change it, put the new one before the old one, with a comma
    between; `harvest-pipeline doctor` says when the old one is not needed any more.
    """


class StoreBusy(StoreUnusable):
    """Another process holds the stored account for longer than renewing its token takes.

    Run again. If it stays so, look for a process of this project that hangs, and end it.
    """

    retryable = True


class AuthorizationRefused(HarvestError):
    """The person, or Harvest, did not allow the access requested in the browser.

    Run `connect` again and click *Allow*. If Harvest's page shows an error, compare the client id
    and the redirect URL with the application at https://id.getharvest.com/developers.
    """


class AuthorizationInvalid(HarvestError):
    """The redirect from the browser does not match the request, or came too late.

    Run `connect` again, and answer in the browser within five minutes. With `--no-browser`, paste
    the whole address that the browser ends on.
    """


class TokenRejected(HarvestError):
    """Harvest rejects the token (401), or does not issue a new one.

    It is wrong, was revoked, or belongs to somebody who has left. Connect the account again, or set
    a new token in the variable that the message names.
    """


class AccountNotFound(HarvestError):
    """The token has no access to the requested account.

    Compare the number or name in the message with those that it lists, and correct the variable, or
    `account_id:` and `instance:` in `harvest.yaml`.
    """


class AccountAmbiguous(HarvestError):
    """The token has access to several accounts, or none, and none was named.

    Name one: `HARVEST_ACCOUNT_ID`, or `account_id:` of the account in `harvest.yaml`.
    """


class PermissionMissing(HarvestError):
    """The token's owner is not allowed to see this (403).

    Use an administrator's token, or leave the report out with `disabled_reports:` in
    `harvest.yaml`. Its table stays as it was, and the other reports of the run are loaded.
    """


class RecordNotFound(HarvestError):
    """Harvest does not have, or does not show, the requested record (404).

    It may have been deleted while it was asked for: run again. If it stays so, look at the id that
    you gave.
    """


class RequestRefused(HarvestError):
    """Harvest rejects the parameters of the request (400, 422).

    Look at the ids and days of the run. If they are right, this project asks in a way that Harvest
    does not know: report it, with the message.
    """


class HostNotTrusted(HarvestError):
    """The certificate of the host is not valid; nothing was sent to it.

    Behind a company's proxy that opens https, name the file of its certificates in
    `REQUESTS_CA_BUNDLE` (docs/deploy.md, Proxies and certificates).
    """


class StateUnusable(HarvestError):
    """The file that counts requests, or the folder of what is being read, cannot be written; or the
    database that machines share (`HARVEST_STATE`) refuses to be used.

    Make room on the disk, or the folder writable for the user who runs this; or correct what the
    database says is wrong.
    """


class StateUnreachable(StateUnusable):
    """The database that machines share (`HARVEST_STATE`) does not answer.

    Start it, or correct the address. One that is merely started again is waited for, a minute at
    most, so nothing is lost by that.
    """

    retryable = True


class RateLimited(HarvestError):
    """Harvest asks for a longer wait than a request may take.

    Wait as long as the message says, and look for other programs that use the same account: all of
    them share Harvest's limit of 100 requests in 15 seconds.
    """

    retryable = True


class HarvestUnavailable(HarvestError):
    """Harvest cannot be reached or fails (5xx), after several attempts.

    Look at your network and at https://www.harveststatus.com, and run again. Behind a company's
    proxy, set `HTTPS_PROXY`.
    """

    retryable = True


class HostUnreachable(HarvestUnavailable):
    """A host has never answered while a person was waiting, who may mend its address.

    Look at your network, and at the variable that the message names. Behind a company's proxy, set
    `HTTPS_PROXY` (docs/deploy.md, Proxies and certificates).
    """

    retryable = False


class AnswerInvalid(HarvestError):
    """The response is not one of the Harvest API, after several attempts.

    Something else has answered: look at `HARVEST_API_URL`, and for a proxy or a login page in
    between. If only one record is concerned, report it with the message.
    """

    retryable = True


class RecordUnusable(AnswerInvalid):
    """A record cannot be read, and cannot be set aside either.

    Harvest sends no such thing: look at `HARVEST_API_URL`, and for a proxy in between.
    """

    retryable = False


class ReadNotProven(HarvestError):
    """The records read are not provably complete: they changed while being read.

    Nothing was written. Run again when fewer people enter data, or for fewer days at a time.
    """

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
