"""`harvest-pipeline dev`, really started: no attack gets through, and nothing is missing."""

import socket
import stat
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests

from harvest_pipeline_tests.ui.attacks import (
    ATTACKS,
    CROSS_SITE,
    LAUNCH,
    WEBSOCKET_ATTACKS,
    Request,
    traces,
)
from harvest_pipeline_tests.ui.conftest import (
    DagsterUI,
    Dev,
    by_sigterm,
    ignore_sigint,
    noting_egress,
    started_dev,
)
from harvest_pipeline_tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.slow

RUN = "query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
LOCATION = """
{ workspaceOrError { ... on Workspace { locationEntries { name
  locationOrLoadError { __typename ... on PythonError { errorChain { error { message } } } } } } } }
"""
RELOAD = """
mutation { reloadRepositoryLocation(repositoryLocationName: "harvest") { __typename } }
"""
DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { daemonType healthy } } } }"


@pytest.fixture(scope="module")
def run(ui: DagsterUI) -> Iterator[str]:
    """The id of a run that is just being launched, as the UI's own pages launch one."""
    yield ui.ask(LAUNCH)["launchRun"]["run"]["runId"]


def finished(ui: DagsterUI, run: str) -> str:
    """The status of a run when it has ended."""

    def status() -> str:
        return ui.ask(RUN, id=run)["runOrError"]["status"]

    wait_for(lambda: status() in ("SUCCESS", "FAILURE"), status)
    return status()


def healthy_daemons(url: str) -> set[str]:
    """The kinds of daemons, when all of them are healthy."""

    def statuses() -> list[dict[str, Any]]:
        answer = requests.post(f"{url}/graphql", json={"query": DAEMONS}, timeout=PATIENCE).json()
        return answer["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]

    wait_for(lambda: (every := statuses()) and all(each["healthy"] for each in every), statuses)
    return {each["daemonType"] for each in statuses()}


class TestAttacks:
    def test_none_of_them_changes_anything(self, ui: DagsterUI) -> None:
        launches = (
            Request("GET", f"/graphql?query={quote(LAUNCH)}", CROSS_SITE),
            Request("GET", f"/graphql?query={quote(LAUNCH)}"),
            Request("POST", f"/graphql?query={quote(LAUNCH)}", {"Content-Type": "text/plain"}),
        )
        before = traces(ui.url)
        for attack in (*ATTACKS.values(), *launches, *WEBSOCKET_ATTACKS.values()):
            assert attack.sent(ui.port)[0] == 403, attack
        assert traces(ui.url) == before

    def test_the_launch_that_they_try_is_one_that_works(self, ui: DagsterUI, run: str) -> None:
        assert finished(ui, run) == "SUCCESS"

    def test_the_port_is_open_on_the_loopback_address_only(self, ui: DagsterUI) -> None:
        # Every address that begins with 127 is this machine; a port on 0.0.0.0 is open on all.
        with pytest.raises(OSError, match=r"refused|assign"):
            socket.create_connection(("127.0.0.2", ui.port), timeout=5)


class TestNothingIsMissing:
    def test_an_error_of_the_definitions_is_shown_and_reloading_mends_it(
        self, ui: DagsterUI
    ) -> None:
        whole = ui.config.read_text()
        ui.config.write_text("accounts:\n  - nane: acme\n")
        try:
            ui.ask(RELOAD)
            (entry,) = ui.ask(LOCATION)["workspaceOrError"]["locationEntries"]
            assert entry["locationOrLoadError"]["__typename"] == "PythonError"
            assert "harvest.yaml, line 2: " in str(entry["locationOrLoadError"]["errorChain"])
        finally:
            ui.config.write_text(whole)
        ui.ask(RELOAD)
        (entry,) = ui.ask(LOCATION)["workspaceOrError"]["locationEntries"]
        assert entry == {
            "name": "harvest",
            "locationOrLoadError": {"__typename": "RepositoryLocation"},
        }

    def test_the_daemon_is_healthy(self, ui: DagsterUI) -> None:
        kinds = healthy_daemons(ui.url)
        assert {"SCHEDULER", "SENSOR", "BACKFILL", "QUEUED_RUN_COORDINATOR"} <= kinds


class TestPrivacy:
    def test_everything_in_the_home_is_the_owners_alone(self, ui: DagsterUI, run: str) -> None:
        finished(ui, run)
        modes = {
            path: stat.S_IMODE(path.lstat().st_mode)
            for path in ui.home.rglob("*")
            if not path.is_symlink()
        }
        assert any(run in path.name for path in modes), "the run has left nothing"
        assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}

    def test_its_processes_connect_to_this_machine_only(self, ui: DagsterUI, run: str) -> None:
        finished(ui, run)
        # The run has read the sandbox, so the list is not empty.
        assert set(ui.egress.read_text().split()) == {"127.0.0.1"}


@pytest.fixture(scope="module")
def read_only(ui: DagsterUI, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """A second UI, to look only; in a home without a dagster.yaml, put into the background."""
    folder = tmp_path_factory.mktemp("read only")
    home = folder / "home"
    # Without a dagster.yaml Dagster sends telemetry: what it finds here when it starts.
    (home / "logs").mkdir(parents=True)
    (home / "logs" / "event.log").write_text("{}\n")
    environment = {
        **ui.sandbox.environment(),
        **noting_egress(folder),
        "DAGSTER_HOME": str(home),
    }
    output = folder / "output.txt"
    with started_dev(environment, output, "--read-only", before=ignore_sigint) as started:
        yield started


class TestReadOnly:
    def test_nothing_is_launched_reported_or_sent(self, read_only: Dev) -> None:
        url = read_only.url
        answer = requests.post(f"{url}/graphql", json={"query": LAUNCH}, timeout=PATIENCE).json()
        assert answer["data"]["launchRun"]["__typename"] == "UnauthorizedError"
        report = requests.post(f"{url}/report_asset_materialization/x", json={}, timeout=PATIENCE)
        assert report.status_code == 401
        found = traces(url)
        assert found["runsOrError"]["results"] == []
        assert found["assetRecordsOrError"]["assets"] == []
        assert not read_only.egress.exists(), read_only.egress.read_text()

    def test_sigterm_ends_it_with_everything_that_it_started_also_in_the_background(
        self, read_only: Dev
    ) -> None:
        read_only.assert_ends(by_sigterm)
        assert "Traceback" not in read_only.output.read_text()
        assert not read_only.egress.exists(), read_only.egress.read_text()
