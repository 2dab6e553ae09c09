"""Failures of Harvest and of the way to it: it refuses, fails, or answers what is no answer.

Belongs here: what goes wrong at the other end of a request. Does not belong here: what a person
has set wrong (mistakes.py).
"""

import json
from collections.abc import Iterator
from typing import Any

from harvest_pipeline_tests.harvest.fault_server import FaultServer
from harvest_pipeline_tests.sandbox.faults import AnswerWith, ExpireToken, Fault, Reset, Truncate
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.security.failure import Failure
from harvest_pipeline_tests.security.planted import (
    CHANGED,
    CLIENT_ID,
    CLIENT_SECRET,
    ME,
    OAUTH,
    OF_ANSWER,
    PASSWORD,
    REFRESH_TOKEN,
    TOKEN,
    echo,
)
from harvest_pipeline_tests.security.stage import Stage


def of_answers() -> Iterator[Failure]:
    """Harvest refuses, and repeats the token that it was sent."""
    sentences = {
        400: "does not accept the request",
        401: "does not accept the token of HARVEST_ACCESS_TOKEN",
        403: "It is open to",
        404: "does not reach the account",
        422: "does not accept the request",
        500: "could not be read",
    }
    token = {"HARVEST_ACCESS_TOKEN": TOKEN}
    yield Failure("wrong token", "does not accept the token", token)
    for status, told in sentences.items():
        repeat = AnswerWith(path="/users/me", status=status, body=echo(TOKEN), times=None)
        yield Failure(f"{status} that repeats the token", told, token, (repeat,))
    # An account of its own: the pause holds for all runs on the same one.
    throttled = AnswerWith(
        path="/users/me", status=429, body=echo(TOKEN), headers={"Retry-After": "86400"}
    )
    alone = {**token, "HARVEST_ACCOUNT_ID": "17"}
    yield Failure("429 for a day", "asks to wait 86400 seconds", alone, (throttled,))
    html = {"Content-Type": "text/html"}
    answers = {
        "a web page": ("a web page came", AnswerWith(status=200, body=f"<p>{TOKEN}", headers=html)),
        "half an answer": ("broke off", Truncate()),
        "an answer in another form": (
            "another form than documented",
            AnswerWith(status=200, body=json.dumps({"clients": TOKEN, TOKEN: {"id": TOKEN}})),
        ),
        "a redirect": (
            "never redirects",
            AnswerWith(status=302, headers={"Location": f"https://evil.test/?token={TOKEN}"}),
        ),
        "a reset connection": ("the connection broke", Reset()),
    }
    for name, (told, answer) in answers.items():
        answer.path, answer.times = "/clients", None
        yield Failure(name, told, token, (ME, answer))


def of_links(stage: Stage) -> Iterator[Failure]:
    """The address of the next page has the token in it, and leads on or elsewhere."""
    here = f"{stage.sandbox.api_url}/clients?access_token={OF_ANSWER}"
    elsewhere = f"https://{OF_ANSWER.split(CHANGED)[0]}@evil.test/{OF_ANSWER}?token={OF_ANSWER}"
    for name, link, second, told in (
        ("next page that fails", here, AnswerWith(status=500), "could not be read"),
        ("next page that breaks off", here, Reset(), "could not be read"),
        ("next page elsewhere", elsewhere, None, "max_retries"),
    ):
        page = {"clients": [{"id": 1}], "links": {"next": link}}
        first = AnswerWith(path="/clients", status=200, body=json.dumps(page))
        if second:
            second.path, second.times = "/clients", None
        else:
            first.times = None
        faults = (ME, first, *([second] if second else []))
        yield Failure(name, told, {"HARVEST_ACCESS_TOKEN": TOKEN}, faults)


def of_tokens() -> Iterator[Failure]:
    """No access token is had for a refresh token, or it does not last."""

    def at_token(status: int, body: str, **more: Any) -> tuple[Fault, ...]:
        return (AnswerWith(path="/oauth2/token", status=status, body=body, times=None, **more),)

    grant = {"error": "invalid_grant", "error_description": f"{REFRESH_TOKEN} is revoked"}
    client = {"error": "invalid_client", "error_description": f"no {CLIENT_SECRET}, {CLIENT_ID}"}
    nonsense = {"access_token": f"{OF_ANSWER}\n{REFRESH_TOKEN}", "refresh_token": [CLIENT_SECRET]}
    yield Failure("unknown application", "does not know HARVEST_CLIENT_ID", OAUTH)
    for name, told, faults in (
        ("refused grant", "does not accept the refresh token", at_token(400, json.dumps(grant))),
        ("refused by a proxy", "not accept the refresh token", at_token(403, echo(REFRESH_TOKEN))),
        ("refused application", "know HARVEST_CLIENT_ID", at_token(401, json.dumps(client))),
        ("nonsense for a token", "is none", at_token(200, json.dumps(nonsense))),
        ("no JSON for a token", "is none", at_token(200, f"{REFRESH_TOKEN} {OF_ANSWER}")),
        ("too many tokens", "too many were asked for", at_token(429, echo(REFRESH_TOKEN))),
        ("no token today", "gives no access token now", at_token(500, echo(REFRESH_TOKEN))),
        ("token endpoint that hangs up", "the connection broke",
         (Reset(path="/oauth2/token", times=None),)),
    ):  # fmt: skip
        yield Failure(name, told, OAUTH, faults)
    # A token that is accepted at first, and then never again.
    tokens = {"access_token": OF_ANSWER, "refresh_token": REFRESH_TOKEN, "expires_in": 3600}
    refused = AnswerWith(path="/users/me", status=401, body=echo(OF_ANSWER), times=None)
    yield Failure(
        "token that was only just given",
        "only just given",
        OAUTH,
        (*at_token(200, json.dumps(tokens)), refused),
    )


def of_sandbox_tokens(stage: Stage, rotating: SandboxServer) -> Iterator[Failure]:
    """Tokens that the sandbox itself gives: they end, are renewed, and are refused."""
    for name, server, told in (
        ("tokens of the sandbox", stage.sandbox, ""),
        ("rotating refresh token, the first time", rotating, ""),
        ("rotating refresh token, of which a renewed one is kept", rotating, ""),
    ):
        oauth = {
            **server.environment(),
            "HARVEST_ACCESS_TOKEN": "",
            "HARVEST_CLIENT_ID": server.client_id,
            "HARVEST_CLIENT_SECRET": server.client_secret,
            "HARVEST_REFRESH_TOKEN": server.refresh_token,
        }
        faults = (ExpireToken(path="/clients"),) if server is stage.sandbox else ()
        yield Failure(name, told, oauth, faults)


def of_networks(tls: FaultServer, proxy: FaultServer) -> Iterator[Failure]:
    """No connection that deserves a token."""
    token = {"HARVEST_ACCESS_TOKEN": TOKEN}
    plain = tls.url.replace("https:", "http:")
    yield Failure(
        "unknown certificate", "does not verify", {**token, "HARVEST_API_URL": f"{tls.url}/v2"}
    )
    yield Failure("TLS where HTTP is expected", "connection broke|could not be read",
                  {**token, "HARVEST_API_URL": f"{plain}/v2"})  # fmt: skip
    yield Failure(
        "proxy that refuses",
        "could not be read",
        {
            **token,
            "HARVEST_API_URL": None,
            "HARVEST_ID_URL": None,
            "HTTPS_PROXY": f"http://user:{PASSWORD}@{proxy.host}",
            "NO_PROXY": None,
            "no_proxy": None,
        },
    )
