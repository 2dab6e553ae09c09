"""The rate limits (REFERENCE 5)."""

from collections.abc import Iterator

import pytest

from harvest_pipeline.sandbox.clock import RateLimit, RateLimits
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
    visitor = Visitor(limited)
    clock = limited.account.clock
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
    found = statuses(visitor, "/users/me", 61)
    assert found == [200] * 60 + [429]


def test_reports_have_a_limit_of_their_own(limited: SandboxServer) -> None:
    visitor = Visitor(limited)
    path = "/reports/time/team?from=20261101&to=20261120"
    assert statuses(visitor, path, 101) == [200] * 100 + [429]
    assert visitor.get("/users/me").status_code == 200
    refused = visitor.get(path)
    assert 800 < int(refused.headers["Retry-After"]) <= 900
    limited.account.clock.advance(15 * 60)
    assert visitor.get(path).status_code == 200


def test_the_limit_is_the_account_s_not_the_token_s(limited: SandboxServer) -> None:
    assert statuses(Visitor(limited), "/users/me", 100) == [200] * 100
    assert Visitor(limited, "member").get("/users/me").status_code == 429
    other = {"Harvest-Account-Id": str(limited.accounts[1].id)}
    assert Visitor(limited).get("/users/me", headers=other).status_code == 200


def test_the_identity_host_and_refusals_do_not_count(limited: SandboxServer) -> None:
    visitor = Visitor(limited)
    for _ in range(20):
        assert visitor.get("/clients", headers={"Authorization": "Bearer x"}).status_code == 401
        assert visitor.get(f"{limited.id_url}/api/v2/accounts").status_code == 200
    assert statuses(visitor, "/users/me", 101) == [200] * 100 + [429]


def test_limits_can_be_scaled_and_lifted() -> None:
    limits = RateLimits(general=RateLimit(3, 60), reports=RateLimit(1, 60))
    with SandboxServer(today=TODAY, years=0.1, rate_limit=limits) as sandbox:
        assert statuses(Visitor(sandbox), "/users/me", 4) == [200] * 3 + [429]
    with SandboxServer(today=TODAY, years=0.1, rate_limit=None) as sandbox:
        assert statuses(Visitor(sandbox), "/users/me", 120) == [200] * 120
