"""Credentials: tried once a day, and told of while there is still time to connect anew."""

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harvest_pipeline.accounts.store import AccountStore
from harvest_pipeline.accounts.stored import Secrets
from harvest_pipeline.alerts import sensors
from harvest_pipeline_tests.alerts.conftest import Alerts, Hook
from harvest_pipeline_tests.conftest import Project
from harvest_pipeline_tests.dagster_project.test_stored_accounts import application, connected
from harvest_pipeline_tests.sandbox.faults import AnswerWith

DAY = timedelta(days=1)
NOW = datetime.now(UTC)


@pytest.fixture
def watching(alerts: Alerts) -> Alerts:
    alerts.say("alerts: {on: [credential], webhook: {}}\n")
    return alerts


@pytest.fixture
def store(project: Project, tmp_path: Path) -> AccountStore:
    """No credentials in the environment: what `connect` stored is used."""
    folder = tmp_path / "accounts"
    project.set(HARVEST_TOKEN_STORE=str(folder), HARVEST_ACCESS_TOKEN="", HARVEST_ACCOUNT_ID="")
    return AccountStore(folder, "file")


def ending(project: Project, after: timedelta, refresh_token: str | None = None) -> Secrets:
    """Tokens of which the access token ends so long from now."""
    ends_at = (NOW + after).timestamp()
    return Secrets(
        **{
            **asdict(application(project)),
            "access_token": next(iter(project.sandbox.tokens.values())),
            "expires_at": ends_at,
            "renew_at": ends_at - 120,
            **({"refresh_token": refresh_token} if refresh_token else {}),
        }
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


def test_no_credentials_at_all_are_told(watching: Alerts, hook: Hook, store: AccountStore) -> None:
    watching.tick()
    (text,) = hook.texts
    assert "No Harvest credentials for harvest: run `harvest-pipeline connect`" in text


def test_an_access_token_that_ends_within_two_days_is_renewed_and_nobody_is_told(
    watching: Alerts, hook: Hook, store: AccountStore
) -> None:
    project = watching.project
    store.save(account := connected(project), ending(project, 1.5 * DAY))
    watching.tick()
    assert not hook.texts
    ends_at = store.secrets(account).expires_at
    assert ends_at and ends_at > (NOW + 10 * DAY).timestamp()


def test_a_refresh_token_that_works_no_more_is_told_while_the_access_token_still_works(
    watching: Alerts, hook: Hook, store: AccountStore
) -> None:
    project = watching.project
    store.save(connected(project), ending(project, 1.5 * DAY, "refresh-canary-4711"))
    watching.tick()
    (text,) = hook.texts
    end = f"{NOW + 1.5 * DAY:%Y-%m-%d %H:%M} UTC"
    assert f"the access will end on {end} and could not be renewed. Harvest does not accept" in text
    assert "run `harvest-pipeline connect --name harvest` again" in text
    assert f"runs fail from {end} on" in text
    assert "canary" not in text
    assert project.materialize("clients").success


def test_a_token_that_lasts_is_not_renewed(
    watching: Alerts, hook: Hook, store: AccountStore
) -> None:
    project = watching.project
    store.save(account := connected(project), secrets := ending(project, 5 * DAY))
    watching.tick()
    assert store.secrets(account) == secrets
    assert not hook.texts


def test_accounts_are_tried_one_a_tick_and_told_by_their_names(
    watching: Alerts, hook: Hook, store: AccountStore
) -> None:
    watching.say(
        "accounts: [{name: acme}, {name: blue_sky}]\nalerts: {on: [credential], webhook: {}}\n"
    )
    project = watching.project
    store.save(replace(connected(project), name="acme"), application(project))
    for told in (0, 1, 1):
        watching.tick()
        assert len(hook.texts) == told
    assert hook.texts[0].startswith("*blue_sky: a credential needs you*")
