"""Many accounts in one project: what Dagster loads of them, and what a person sees first."""

import cProfile
from collections.abc import Iterable
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget

from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.settings import project_folder


class Accounts:
    """A `harvest.yaml` with a number of accounts that need no Harvest."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._file = folder / "harvest.yaml"
        monkeypatch.setenv("HARVEST_CONFIG", str(self._file))

    def name(self, number: int, *, without: Iterable[str] = ()) -> list[str]:
        names = [f"account_{each:04}" for each in range(number)]
        file = {"accounts": [{"name": name} for name in names], "disabled_reports": [*without]}
        self._file.write_text(yaml.safe_dump(file))
        return names

    def definitions(self, number: int) -> dg.Definitions:
        self.name(number)
        return build_definitions()


@pytest.fixture
def accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Accounts:
    return Accounts(tmp_path, monkeypatch)


def calls_of_a_code_server(accounts: Accounts, number: int) -> int:
    """How many functions are called until the code server can show these accounts."""
    profile = cProfile.Profile()
    accounts.name(number, without=REPORTS.keys() - {"clients", "projects", "tasks"})
    with profile:
        repository = build_definitions().get_repository_def()
        repository.load_all_definitions()
        RepositorySnap.from_def(repository, defer_snapshots=True)
    return sum(each.callcount for each in profile.getstats())


def test_what_an_account_costs_does_not_depend_on_how_many_there_are(accounts: Accounts) -> None:
    calls_of_a_code_server(accounts, 2)  # what is made once
    few, more, many = (calls_of_a_code_server(accounts, number) for number in (2, 10, 18))
    assert many - more < 1.02 * (more - few)


def test_each_account_is_a_group_of_its_own(accounts: Accounts) -> None:
    for spec in accounts.definitions(3).resolve_all_asset_specs():
        assert spec.group_name == spec.key.path[0]


def test_one_account_is_grouped_by_kind(accounts: Accounts) -> None:
    groups = {spec.group_name for spec in accounts.definitions(1).resolve_all_asset_specs()}
    assert {"time", "expenses", "invoices", "answers", "reconciliation"} <= groups


@pytest.mark.parametrize("kind", ["all_reports", "changes", "reconcile"])
def test_a_launch_of_an_accounts_job_shows_the_settings_of_no_other(
    accounts: Accounts, kind: str
) -> None:
    job = accounts.definitions(3).resolve_job_def(f"account_0001_{kind}")
    assert {each for each in job.resource_defs if each.startswith("account")} == {"account_0001"}


def test_a_new_account_is_there_after_a_reload_of_the_code_location(accounts: Accounts) -> None:
    target = ModuleTarget(
        module_name="harvest_pipeline.definitions",
        attribute=None,
        working_directory=str(project_folder()),
        location_name="harvest",
    )
    accounts.name(1)

    def shown(workspace: WorkspaceProcessContext) -> set[str]:
        location = workspace.create_request_context().get_code_location("harvest")
        (repository,) = location.get_repositories().values()
        return {key.path[0] for key in repository.asset_graph.get_all_asset_keys()}

    with dg.instance_for_test() as instance, WorkspaceProcessContext(instance, target) as workspace:
        assert shown(workspace) == {"account_0000"}
        names = accounts.name(3)
        workspace.reload_code_location("harvest")
        assert shown(workspace) == {*names}
