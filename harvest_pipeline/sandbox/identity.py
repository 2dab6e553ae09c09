"""The identity host: the accounts of a token, the consent page, the token endpoint."""

from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from harvest_pipeline.sandbox.answers import JSON, bad_request, encode, refused_grant
from harvest_pipeline.sandbox.oauth import CLIENT_ID, Grant
from harvest_pipeline.sandbox.world import World

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Authorize application</title>
<style>body{{font:1rem/1.5 sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem}}
label{{display:block}}button{{font:inherit;padding:.4rem 1rem;margin:1rem .5rem 0 0}}</style></head>
<body><h1>Authorize application</h1>
<p>The application <strong>{application}</strong> asks to read and change your data
in the sandbox. It returns you to <code>{host}</code>.</p>
<form method="post" action="/oauth2/authorize">{hidden}
<fieldset><legend>Account</legend>{accounts}</fieldset>
<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Deny</button></form></body></html>
"""
_CARRIED = (
    "client_id",
    "response_type",
    "state",
    "redirect_uri",
    "code_challenge",
    "code_challenge_method",
)


class Identity:
    """Answers the requests to the identity host of one sandbox."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """All routes."""
        return [
            Route("/api/v2/accounts", self._accounts),
            Route("/oauth2/authorize", self._consent),
            Route("/oauth2/authorize", self._decide, methods=["POST"]),
            Route("/api/v2/oauth2/token", self._token, methods=["POST"]),
        ]

    async def _accounts(self, request: Request) -> Response:
        grant = self._world.grant(request)
        user = self._world.account.viewer(grant.person).user
        person = {
            "id": user.id,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "email": user.email,
        }
        answer = {"user": person, "accounts": self._world.reachable(grant)}
        return Response(encode(answer), media_type=JSON)

    async def _consent(self, request: Request) -> Response:
        """The page on which a person allows or denies, and chooses the account."""
        asked = dict(request.query_params)
        _check(asked)
        choices = [(f"{a.id}", f"{a.name} ({a.instance})") for a in self._world.accounts.values()]
        if len(choices) > 1:
            choices.append(("all", "All accounts"))
        accounts = "".join(
            f'<label><input type="radio" name="account" value="{key}"'
            f"{' checked' if not number else ''}> {escape(name)}</label>"
            for number, (key, name) in enumerate(choices)
        )
        hidden = "".join(
            f'<input type="hidden" name="{name}" value="{escape(asked[name])}">'
            for name in _CARRIED
            if name in asked
        )
        host = escape(urlsplit(asked["redirect_uri"]).netloc)
        page = _PAGE.format(application=CLIENT_ID, host=host, hidden=hidden, accounts=accounts)
        return HTMLResponse(page)

    async def _decide(self, request: Request) -> Response:
        """Back to the application, with a code or with an error."""
        asked = await _fields(request)
        _check(asked)
        answer = {"state": asked["state"]} if "state" in asked else {}
        if asked.get("decision") != "allow":
            answer["error"] = "access_denied"
        elif asked.get("response_type") != "code":
            answer["error"] = "unsupported_response_type"
        else:
            grant = self._grant(asked.get("account", "all"))
            answer["scope"] = grant.scope
            answer["code"] = self._world.tokens.authorize(
                grant,
                asked["redirect_uri"],
                asked.get("code_challenge"),
                asked.get("code_challenge_method", "plain"),
            )
        joint = "&" if urlsplit(asked["redirect_uri"]).query else "?"
        address = f"{asked['redirect_uri']}{joint}{urlencode(sorted(answer.items()))}"
        return RedirectResponse(address, status_code=302)

    def _grant(self, choice: str) -> Grant:
        """The grant for a choice of account; the sandbox's person is its administrator."""
        everything = frozenset(self._world.accounts)
        if choice == "all":
            return Grant("administrator", everything, "harvest:all")
        if not choice.isdigit() or int(choice) not in everything:
            raise bad_request("There is no such account.")
        return Grant("administrator", frozenset({int(choice)}), f"harvest:{choice}")

    async def _token(self, request: Request) -> Response:
        if not request.headers.get("user-agent"):
            raise bad_request("The User-Agent header is missing.")
        answer = self._world.tokens.exchange(await _fields(request))
        return Response(encode(answer), media_type=JSON)


def _check(asked: dict[str, str]) -> None:
    """Raises ApiError 400 for another application or a redirect that leaves this machine.

    The sandbox's application is registered for every loopback address.
    """
    if asked.get("client_id") != CLIENT_ID:
        raise bad_request(f"Unknown client_id; the sandbox's is {CLIENT_ID}.")
    redirect = urlsplit(asked.get("redirect_uri", ""))
    loopback = redirect.hostname in ("127.0.0.1", "localhost", "::1")
    if redirect.scheme not in ("http", "https") or not loopback:
        raise bad_request("redirect_uri must be an address of this machine (127.0.0.1).")


async def _fields(request: Request) -> dict[str, str]:
    """The fields of a posted form or JSON object. Raises ApiError 400 if it is neither."""
    body = await request.body()
    try:
        if request.headers.get("content-type", "").startswith("application/json"):
            return msgspec.json.decode(body, type=dict[str, str])
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise refused_grant("invalid_request", "The body is neither a form nor JSON.") from error
