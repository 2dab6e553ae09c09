"""The database that machines share (HARVEST_STATE) is started again, or stays away, while a run
loads."""

import pytest

from harvest_pipeline import state
from harvest_pipeline.orchestration import steps
from harvest_pipeline_tests.conftest import Project
from harvest_pipeline_tests.harvest.connected import KEY
from harvest_pipeline_tests.postgres import PASSWORD, Postgres
from harvest_pipeline_tests.sandbox.faults import ChangeAfter

REPORTS = ("clients", "projects", "tasks")


@pytest.fixture
def shared(project: Project, postgres: Postgres) -> str:
    """The address of the database, with which the project is set up."""
    address = postgres.database()
    project.set(HARVEST_STATE=address, HARVEST_STATE_KEY=KEY)
    return address


def test_a_run_goes_on_when_it_is_started_again(
    project: Project, postgres: Postgres, shared: str
) -> None:
    restarts = [ChangeAfter(path=f"/{report}", change=postgres.restart) for report in REPORTS]
    for each in restarts:
        project.sandbox.account.faults.add(each)
    assert project.materialize(*REPORTS).success
    for report in REPORTS:
        project.assert_equal(report)
        assert project.paths().count(f"/v2/{report}") == 1
    turns = "SELECT number FROM harvest_state.turns WHERE name = 'account harvest'"
    assert postgres.execute(turns, shared) == [(6,)]  # each step took it again


def test_a_run_without_it_fails_with_the_sentence_and_leaves_what_was_there(
    project: Project, postgres: Postgres, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert project.materialize("clients").success
    before = project.query("FROM clients ORDER BY ALL")
    for name in ("_PATIENCE", "_AT_FIRST"):
        monkeypatch.setattr(state, name, 0.2)
    monkeypatch.setattr(steps, "_PAUSE_SECONDS", 0.01)
    project.sandbox.account.faults.add(ChangeAfter(path="/clients", change=postgres.stop))
    try:
        result = project.materialize("clients")
    finally:
        postgres.start()
    told = str([event.event_specific_data for event in result.all_events if event.is_failure])
    assert f"{shared} (HARVEST_STATE), " in told
    assert "Start that server, or correct the address, PGPASSWORD or ~/.pgpass." in told
    assert not [secret for secret in (PASSWORD, KEY) if secret in told]
    assert project.query("FROM clients ORDER BY ALL") == before
    assert project.materialize("clients").success
