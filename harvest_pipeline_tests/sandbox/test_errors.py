"""Headers, their absence, and every error answer."""

import gzip
import http.client
from email.utils import parsedate_to_datetime

import pytest

from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.visitor import Visitor
from harvest_pipeline_tests.waiting import PATIENCE


def ask(sandbox: SandboxServer, path: str, headers: dict[str, str], method: str = "GET"):
    """One request with these headers and no others."""
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=PATIENCE)
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


@pytest.fixture
def headers(sandbox: SandboxServer) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {sandbox.tokens['administrator']}",
        "Harvest-Account-Id": str(sandbox.account_id),
        "User-Agent": "tests (tests@fernhill.example)",
    }


@pytest.mark.parametrize("path", ["/v2/clients", "/v2/reports/uninvoiced", "/api/v2/accounts"])
def test_a_request_without_user_agent_is_bad(
    path: str, sandbox: SandboxServer, headers: dict[str, str]
) -> None:
    del headers["User-Agent"]
    answer, body = ask(sandbox, path, headers)
    assert answer.status == 400
    assert b"User-Agent" in body


@pytest.mark.parametrize(
    "change",
    [
        {"Authorization": None},
        {"Authorization": "Bearer of-nothing"},
        {"Authorization": "Basic c2FuZGJveDo="},
        {"Harvest-Account-Id": None},
    ],
)
def test_a_request_without_token_or_account_is_unauthorized(
    change: dict[str, str | None], sandbox: SandboxServer, headers: dict[str, str]
) -> None:
    sent = {name: text for name, text in {**headers, **change}.items() if text is not None}
    answer, body = ask(sandbox, "/v2/clients", sent)
    reason = (
        "The access token provided is expired, revoked, malformed or invalid for other reasons."
    )
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == (
        'Bearer realm="Rack::OAuth2 Protected Resources", error="invalid_token", '
        f'error_description="{reason}"'
    )
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert body.decode() == f'{{"error":"invalid_token","error_description":"{reason}"}}'


@pytest.mark.parametrize("account_id", ["1", "fernhill", "1308720"])
def test_an_account_that_the_token_cannot_see_is_not_found(
    account_id: str, sandbox: SandboxServer, headers: dict[str, str]
) -> None:
    answer, body = ask(sandbox, "/v2/clients", {**headers, "Harvest-Account-Id": account_id})
    assert (answer.status, body) == (404, b'{"status":404,"error":"Not Found"}')


def test_token_and_account_may_stand_in_the_query(
    sandbox: SandboxServer, headers: dict[str, str]
) -> None:
    token = headers.pop("Authorization").split()[1]
    account_id = headers.pop("Harvest-Account-Id")
    path = f"/v2/users/me?access_token={token}&account_id={account_id}"
    assert ask(sandbox, path, headers)[0].status == 200
    assert ask(sandbox, path, {})[0].status == 400
    assert all(token not in request.query for request in sandbox.account.request_log.requests)


@pytest.mark.parametrize(
    "path",
    ["/v2/nothing", "/v2/clients/", "/v2/clients/abc", "/clients", "/", "/v2"],
)
def test_an_unknown_path_is_a_page_of_html(path: str, sandbox: SandboxServer) -> None:
    answer, body = ask(sandbox, path, {})
    assert answer.status == 404
    assert answer.headers["Content-Type"] == "text/html; charset=UTF-8"
    assert "<title>HARVEST: Canʼt find page</title>" in body.decode()
    # nothing can be written either
    assert ask(sandbox, "/v2/clients", {"Content-Length": "0"}, "POST")[0].status == 404


@pytest.mark.parametrize(
    "path",
    ["clients/1", "time_entries/1", "invoices/1/messages", "invoices/1/payments",
     "projects/1/task_assignments/1", "users/1"],
)  # fmt: skip
def test_an_unknown_record_is_not_found_as_json(path: str, administrator: Visitor) -> None:
    answer = administrator.get(f"/{path}")
    assert answer.status_code == 404
    assert answer.json() == {"status": 404, "error": "Not Found"}


def test_answers_carry_the_headers_of_real_ones(
    sandbox: SandboxServer, administrator: Visitor
) -> None:
    answer = administrator.get("/clients")
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache, no-store"
    assert answer.headers["Status"] == "200 OK"
    date = parsedate_to_datetime(answer.headers["Date"])
    assert abs((date - sandbox.account.clock.now()).total_seconds()) <= 1
    again = administrator.get("/clients")
    assert answer.headers["X-Request-Id"] != again.headers["X-Request-Id"]
    assert float(answer.headers["X-Runtime"]) < 1


def test_answers_are_compressed_only_when_asked(
    sandbox: SandboxServer, headers: dict[str, str]
) -> None:
    answer, plain = ask(sandbox, "/v2/time_entries", headers)
    assert answer.headers["Content-Encoding"] is None
    answer, packed = ask(sandbox, "/v2/time_entries", {**headers, "Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(packed) < len(plain) / 5
    assert gzip.decompress(packed) == plain


def test_both_spellings_of_the_address_answer(
    sandbox: SandboxServer, administrator: Visitor
) -> None:
    for path in ("/time_entries", "/clients"):
        short = administrator.read(path, per_page=3)
        assert administrator.read(f"{sandbox.id_url}/api/v2{path}", per_page=3) == short
        assert short["links"]["next"].startswith(f"{sandbox.api_url}{path}?")
