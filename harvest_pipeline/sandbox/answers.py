"""Responses as Harvest writes them: JSON with exact decimals, and all errors."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

JSON = "application/json; charset=utf-8"
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_REASON = "The access token provided is expired, revoked, malformed or invalid for other reasons."
_PAGE = (
    '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    "<title>HARVEST: Canʼt find page</title></head>"
    "<body><h1>Canʼt find that page</h1></body></html>\n"
)


def encode(value: Any) -> bytes:
    """JSON in the key order of the structs; decimals as numbers, digit for digit."""
    return _ENCODER.encode(value)


class ApiError(Exception):
    """A response that is not 200: its status, body and headers."""

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(f"{status} {body.decode()}")
        self.status = status
        self.body = body
        self.headers = {"Content-Type": JSON, **headers}


def _refusal(status: int, body: dict[str, Any], **headers: str) -> ApiError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ApiError(status, msgspec.json.encode(body), named)


def status_line(status: int) -> str:
    """Status and its phrase, as in the `Status` header; some statuses have no phrase."""
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    return f"{status} {phrase}".rstrip()


def bad_request(message: str) -> ApiError:
    """400."""
    return _refusal(400, {"message": message})


def unwanted_body() -> ApiError:
    """400: a GET request with a body, in Harvest's words (quoted in python-harvest's issue 52)."""
    text = b"HTTP GET requests with a body are not accepted."
    return ApiError(400, text, {"Content-Type": "text/plain; charset=utf-8"})


def unauthorized() -> ApiError:
    """401: token missing, wrong, expired or revoked, or no account named."""
    realm = (
        'Bearer realm="Rack::OAuth2 Protected Resources", error="invalid_token", '
        f'error_description="{_REASON}"'
    )
    body = {"error": "invalid_token", "error_description": _REASON}
    return _refusal(
        401,
        body,
        WWW_Authenticate=realm,
        Content_Type="application/json",
        Cache_Control="no-cache",
    )


def forbidden() -> ApiError:
    """403: permission too low, or the module switched off."""
    return _refusal(403, {"message": "Not authorized!"}, Hint="Not authorized!")


def not_found() -> ApiError:
    """404: unknown or invisible record or account."""
    return _refusal(404, {"status": 404, "error": "Not Found"})


def no_such_page() -> ApiError:
    """404: unknown path, an HTML page."""
    return ApiError(404, _PAGE.encode(), {"Content-Type": "text/html; charset=UTF-8"})


def unprocessable(message: str) -> ApiError:
    """422: invalid parameters."""
    return _refusal(422, {"message": message})


def too_many_requests(retry_after: int) -> ApiError:
    """429: retry after `retry_after` seconds."""
    body = {"message": "This request has been throttled.", "retry_after": retry_after}
    return _refusal(429, body, Retry_After=str(retry_after))


def refused_grant(error: str, description: str, status: int = 400) -> ApiError:
    """The token endpoint's response to a grant that it rejects."""
    return _refusal(status, {"error": error, "error_description": description})
