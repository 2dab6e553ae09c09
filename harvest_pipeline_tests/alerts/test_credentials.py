"""Credentials: tried once a day, and told of while there is still time to connect anew."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harvest_pipeline.alerts import sensors
from harvest_pipeline.harvest.oauth import TokenSet
from harvest_pipeline.harvest.token_store import TokenStore
from harvest_pipeline.sandbox.faults import AnswerWith
from harvest_pipeline_tests.alerts.conftest import Alerts, Hook
from harvest_pipeline_tests.conftest import Project
from harvest_pipeline_tests.dagster_project.test_stored_accounts import application, connected

DAY = timedelta(days=1)
NOW = datetime.now(UTC)


@pytest.fixture
def watching(alerts: Alerts) -> Alerts:
    alerts.say("alerts: {on: [credential], webhook: {}}\n")
    return alerts


@pytest.fixture
def store(project: Project, tmp_path: Path) -> TokenStore:
    """No credentials in the environment: what `connect` stored is used."""
    folder = tmp_path / "accounts"
    project.set(HARVEST_TOKEN_STORE=str(folder), HARVEST_ACCESS_TOKEN="", HARVEST_ACCOUNT_ID="")
    return TokenStore(folder, "file")


def ending(project: Project, after: timedelta, refresh_token: str | None = None) -> TokenSet:
    """Tokens of which the access token ends so long from now."""
    ends_at = (NOW + after).timestamp()
    return replace(
        application(project),
        access_token=next(iter(project.sandbox.tokens.values())),
        expires_at=ends_at,
        refresh_token=refresh_token or project.sandbox.refresh_token,
    )


def later(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    monkeypatch.setattr(sensors, "now", lambda: NOW + days * DAY)


def test_a_token_that_was_revoked_is_told_before_the_next_night_and_once(
    watching: Alerts, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = watching.project.sandbox.environment()["HARVEST_ACCESS_TOKEN"]
    watching.tick()
    assert not hook.texts
    watching.project.set(HARVEST_ACCESS_TOKEN="revoked-canary-4711")
    watching.tick()
    assert not hook.texts  # it is tried once a day
    for days in (1.1, 2.2):
        later(monkeypatch, days)
        watching.tick()
        (text,) = hook.texts
    assert text.startswith("*harvest: a credential needs you*\nAccount: harvest\n")
    assert "Harvest does not accept the token of HARVEST_ACCESS_TOKEN (401)" in text
    assert "canary" not in text
    watching.project.set(HARVEST_ACCESS_TOKEN=good)
    later(monkeypatch, 3.3)
    watching.tick()
    watching.project.set(HARVEST_ACCESS_TOKEN="revoked-canary-4711")
    later(monkeypatch, 4.4)
    watching.tick()
    assert len(hook.texts) == 2  # it had worked in between


def test_an_outage_says_nothing_of_the_credential(watching: Alerts, hook: Hook) -> None:
    watching.project.sandbox.account.faults.add(AnswerWith(path="/", status=503, times=None))
    watching.tick()
    assert not hook.texts
    assert '"told":{}' in (watching.cursors["alerts_by_webhook"] or "")


def test_no_credentials_at_all_are_told(watching: Alerts, hook: Hook, store: TokenStore) -> None:
    watching.tick()
    (text,) = hook.texts
    assert "No Harvest credentials for harvest: run `harvest-pipeline connect`" in text


def test_an_access_token_that_ends_within_two_days_is_renewed_and_nobody_is_told(
    watching: Alerts, hook: Hook, store: TokenStore
) -> None:
    project = watching.project
    store.save(replace(connected(project), tokens=ending(project, 1.5 * DAY)))
    watching.tick()
    assert not hook.texts
    tokens = store.tokens("harvest")
    assert tokens and tokens.expires_at and tokens.expires_at > (NOW + 10 * DAY).timestamp()


def test_a_refresh_token_that_works_no_more_is_told_while_the_access_token_still_works(
    watching: Alerts, hook: Hook, store: TokenStore
) -> None:
    project = watching.project
    tokens = ending(project, 1.5 * DAY, "refresh-canary-4711")
    store.save(replace(connected(project), tokens=tokens))
    watching.tick()
    (text,) = hook.texts
    end = f"{NOW + 1.5 * DAY:%Y-%m-%d %H:%M} UTC"
    assert f"the access will end on {end} and could not be renewed. Harvest does not accept" in text
    assert "run `harvest-pipeline connect --name harvest` again" in text
    assert f"runs fail from {end} on" in text
    assert "canary" not in text
    assert project.materialize("clients").success


def test_a_token_that_lasts_is_not_renewed(watching: Alerts, hook: Hook, store: TokenStore) -> None:
    project = watching.project
    store.save(replace(connected(project), tokens=(tokens := ending(project, 5 * DAY))))
    watching.tick()
    assert store.tokens("harvest") == tokens
    assert not hook.texts


def test_accounts_are_tried_one_a_tick_and_told_by_their_names(
    watching: Alerts, hook: Hook, store: TokenStore
) -> None:
    watching.say(
        "accounts: [{name: acme}, {name: blue_sky}]\nalerts: {on: [credential], webhook: {}}\n"
    )
    project = watching.project
    store.save(replace(connected(project), name="acme"))
    for told in (0, 1, 1):
        watching.tick()
        assert len(hook.texts) == told
    assert hook.texts[0].startswith("*blue_sky: a credential needs you*")
