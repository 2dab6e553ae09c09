"""A run with the credentials that `harvest-pipeline connect` has stored."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harvest_pipeline.harvest.oauth import TokenSet
from harvest_pipeline.harvest.token_store import StoredAccount, TokenStore
from harvest_pipeline.harvest.vaults import FileVault
from harvest_pipeline_tests.conftest import Project, failure_of


@pytest.fixture
def store(project: Project, tmp_path: Path) -> TokenStore:
    """A store of the test's own, and no credentials in the environment."""
    project.set(
        HARVEST_TOKEN_STORE=str(tmp_path / "accounts"),
        HARVEST_ACCESS_TOKEN="",
        HARVEST_ACCOUNT_ID="",
    )
    return TokenStore(FileVault(tmp_path / "accounts"), "file")


def connected(project: Project) -> StoredAccount:
    sandbox = project.sandbox
    return StoredAccount(
        name="harvest",
        api_url=sandbox.api_url,
        id_url=sandbox.id_url,
        account_id=str(sandbox.account_id),
        account_name=sandbox.account.name,
        instance=sandbox.instance,
        user_name="Ada Okafor",
        role="administrator",
        connected_at=datetime(2026, 11, 20, 9, tzinfo=UTC),
        tokens=application(project),
    )


def application(project: Project) -> TokenSet:
    sandbox = project.sandbox
    return TokenSet(
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret,
        refresh_token=sandbox.refresh_token,
    )


def test_a_stored_account_loads_without_any_variable(project: Project, store: TokenStore) -> None:
    store.save(connected(project))
    assert project.materialize("clients").success
    project.assert_equal("clients")


def test_the_next_run_uses_the_access_token_of_the_one_before(
    project: Project, store: TokenStore
) -> None:
    store.save(connected(project))
    assert project.materialize("clients").success
    assert project.materialize("tasks").success
    assert project.paths().count("/api/v2/oauth2/token") == 1


def test_variables_win_over_the_store(project: Project, store: TokenStore) -> None:
    store.save(connected(project))
    project.set(HARVEST_ACCESS_TOKEN="wrong")
    assert "HARVEST_ACCESS_TOKEN" in failure_of(project.materialize("clients"))


def test_an_application_in_the_environment_which_connect_needs_leaves_the_store_its_say(
    project: Project, store: TokenStore
) -> None:
    store.save(connected(project))
    project.set(HARVEST_CLIENT_ID="of-connect", HARVEST_CLIENT_SECRET="of-connect")
    assert project.materialize("clients").success


def test_the_account_of_the_environment_must_be_the_stored_one(
    project: Project, store: TokenStore
) -> None:
    store.save(connected(project))
    project.set(HARVEST_ACCOUNT_ID="17")
    sentence = failure_of(project.materialize("clients"))
    assert "HARVEST_ACCOUNT_ID, or account_id in harvest.yaml, asks for another" in sentence
    assert str(project.sandbox.account_id) in sentence
    assert "harvest-pipeline connect" in sentence
    assert project.paths() == []


@pytest.mark.parametrize("instance", ["{0}", "{0}.harvestapp.com", "https://{0}.harvestapp.com/"])
def test_the_same_instance_in_any_form_is_the_stored_one(
    instance: str, project: Project, store: TokenStore
) -> None:
    store.save(connected(project))
    project.set(HARVEST_INSTANCE=instance.format(project.sandbox.instance.upper()))
    assert project.materialize("clients").success


def test_a_stored_token_is_not_sent_to_another_host(project: Project, store: TokenStore) -> None:
    elsewhere = replace(connected(project), api_url="https://api.harvestapp.com/v2")
    store.save(elsewhere)
    assert "was connected at" in failure_of(project.materialize("clients"))
    assert project.paths() == []


def test_a_revoked_stored_token_names_the_command_that_mends_it(
    project: Project, store: TokenStore
) -> None:
    revoked = replace(application(project), refresh_token="revoked")
    store.save(replace(connected(project), tokens=revoked))
    sentence = failure_of(project.materialize("clients"))
    assert "harvest-pipeline connect --name harvest" in sentence
    assert project.paths() == ["/api/v2/oauth2/token"]


def test_a_schema_that_no_stored_account_can_have_is_told_what_is_missing(
    project: Project, store: TokenStore
) -> None:
    project.set(HARVEST_SCHEMA="Acme")
    assert "HARVEST_ACCESS_TOKEN" in failure_of(project.materialize("clients"))
