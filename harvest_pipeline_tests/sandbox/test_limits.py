"""The rate limits: 100 requests in 15 seconds, reports 100 in 15 minutes, by account."""

from collections.abc import Iterator

import pytest

from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.visitor import TODAY, Visitor


@pytest.fixture
def limited() -> Iterator[SandboxServer]:
    """A sandbox with Harvest's own limits."""
    with SandboxServer(today=TODAY, years=0.1, accounts=2) as server:
        yield server


def statuses(visitor: Visitor, path: str, count: int) -> list[int]:
    return [visitor.get(path).status_code for _ in range(count)]


def test_the_101st_request_waits(limited: SandboxServer) -> None:
    visitor, clock = Visitor(limited), limited.account.clock
    assert statuses(visitor, "/users/me", 60) == [200] * 60
    clock.advance(10)
    assert statuses(visitor, "/users/me", 40) == [200] * 40
    refused = visitor.get("/users/me")
    assert refused.status_code == 429
    wait = int(refused.headers["Retry-After"])
    assert 1 <= wait <= 5
    assert refused.json()["retry_after"] == wait
    # sliding: when the first 60 are out of the window, 60 more may come, not 100
    clock.advance(wait)
    assert statuses(visitor, "/users/me", 61) == [200] * 60 + [429]


def test_reports_have_a_limit_of_their_own(limited: SandboxServer) -> None:
    visitor = Visitor(limited)
    path = "/reports/time/team?from=20261101&to=20261120"
    assert statuses(visitor, path, 101) == [200] * 100 + [429]
    assert visitor.get("/users/me").status_code == 200
    assert 800 < int(visitor.get(path).headers["Retry-After"]) <= 900
    limited.account.clock.advance(15 * 60)
    assert visitor.get(path).status_code == 200


def test_the_limit_is_the_account_s_and_counts_only_what_is_let_in(limited: SandboxServer) -> None:
    visitor = Visitor(limited)
    for _ in range(20):
        assert visitor.get("/clients", headers={"Authorization": "Bearer x"}).status_code == 401
        assert visitor.get(f"{limited.id_url}/api/v2/accounts").status_code == 200
    assert statuses(visitor, "/users/me", 101) == [200] * 100 + [429]
    assert Visitor(limited, "member").get("/users/me").status_code == 429
    other = {"Harvest-Account-Id": str(limited.accounts[1].id)}
    assert visitor.get("/users/me", headers=other).status_code == 200
