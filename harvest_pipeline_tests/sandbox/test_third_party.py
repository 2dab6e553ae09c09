"""Clients of other people, unmodified, with only the address changed."""

from collections.abc import Iterator

import pytest
from harvest import Harvest
from requests import Response

from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.visitor import TODAY


def client_of(sandbox: SandboxServer) -> Harvest:
    return Harvest(
        sandbox.api_url,
        personal_token=sandbox.tokens["administrator"],
        account_id=str(sandbox.account_id),
    )


@pytest.fixture(scope="module")
def lenient() -> Iterator[SandboxServer]:
    """python-harvest 4.0.0 sends the body `null` with every GET, as Harvest once allowed."""
    with SandboxServer(today=TODAY, years=0.2) as server:
        yield server


def test_python_harvest_reads_the_lists(lenient: SandboxServer) -> None:
    client, records = client_of(lenient), lenient.account.records
    for name, answer in (
        ("clients", client.clients()),
        ("contacts", client.contacts()),
        ("projects", client.projects()),
        ("tasks", client.tasks()),
        ("expense_categories", client.expense_categories),
        ("invoices", client.invoices()),
    ):
        assert {row["id"] for row in answer[name]} == {row.id for row in records.table(name)}


def test_python_harvest_reads_single_records_and_filters(lenient: SandboxServer) -> None:
    client, records = client_of(lenient), lenient.account.records
    first = records.clients.ascending()[0]
    assert client.get_client(first.id)["name"] == first.name
    project = records.projects.ascending()[0]
    tasks = client.get_all_tasks_from_project(project.id)["task_assignments"]
    own = {a.id for a in records.task_assignments if a.project.id == project.id}
    assert {row["id"] for row in tasks} == own
    assert client.contacts(updated_since="2099-01-01")["contacts"] == []


def test_python_harvest_is_refused_as_harvest_itself_refuses_it(sandbox: SandboxServer) -> None:
    answer = client_of(sandbox).clients()
    assert isinstance(answer, Response)
    assert answer.status_code == 400
    assert answer.text == "HTTP GET requests with a body are not accepted."
