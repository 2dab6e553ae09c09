"""Addresses that lead to this machine, and the ticks of the sensors that send to them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from harvest_pipeline.orchestration.alerts import alert_sensors
from harvest_pipeline.settings import load_project
from harvest_pipeline_tests.conftest import TODAY, Project
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.fault_server import FaultServer
from harvest_pipeline_tests.orchestration.alerts.mail_server import MailServer
from harvest_pipeline_tests.sandbox.server import SandboxServer

#: The part of a webhook's address, and the password, that nobody may see.
PATH = "T0C4N4RY/B00C4N4RY/hookCanary4711xyz"
PASSWORD = "smtpCanary0815password"


@pytest.fixture(scope="package")
def shared_sandbox() -> Iterator[SandboxServer]:
    """One account for all tests here: none of them changes its records."""
    with SandboxServer(today=TODAY, years=0.2, rate_limit=None, refuse_get_bodies=True) as server:
        yield server


@pytest.fixture
def sandbox(shared_sandbox: SandboxServer) -> Iterator[SandboxServer]:
    yield shared_sandbox
    shared_sandbox.account.faults.clear()


class Hook(FaultServer):
    """A webhook that takes everything but what `then` answers first."""

    def __init__(self) -> None:
        self.then: list[fault.Action] = []
        self.titles: list[str] = []
        self.texts: list[str] = []
        super().__init__(self._answer)
        self.address = f"json://{self.host}/services/{PATH}"

    def _answer(self, request: fault.Request) -> fault.Action:
        if self.then:
            return self.then.pop(0)
        message = json.loads(request.body)
        self.titles.append(message["title"])
        self.texts.append(message["message"])
        return fault.raw(b"ok")


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    with Hook() as server:
        monkeypatch.setenv("HARVEST_ALERTS", server.address)
        yield server


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer(("harvest", PASSWORD)) as server:
        yield server


def mail_to(server: MailServer, password: str = PASSWORD) -> str:
    return (
        f"mailto://harvest:{password}@127.0.0.1:{server.port}"
        "?to=finance@example.com&from=harvest@example.com"
    )


def fail(instance: dg.DagsterInstance, **tags: str) -> dg.ExecuteInProcessResult:
    """A run over an asset of the account that fails at once."""

    @dg.asset(key=["harvest", "daily"])
    def daily() -> None:
        raise ValueError("Ada Okafor, ada@example.com")

    return dg.materialize([daily], instance=instance, raise_on_error=False, tags=tags)


class Alerts:
    """The sensors of a project's harvest.yaml, ticked as the daemon does: a tick that fails leaves
    the cursor as it was."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project = project
        self.file = folder / "harvest.yaml"
        self.cursors: dict[int, str | None] = {}
        project.set(HARVEST_CONFIG=str(self.file))
        self.say("alerts: [$HARVEST_ALERTS]\n")

    def say(self, text: str) -> None:
        """What harvest.yaml says from now on."""
        self.file.write_text(text)

    def tick(self, number: int = 1) -> Any:
        """One tick of the sensor of an address; what came of it. Raises what the tick raises."""
        sensor = alert_sensors(load_project())[number - 1]
        with dg.build_sensor_context(
            instance=self.project.instance, cursor=self.cursors.get(number)
        ) as context:
            data = sensor.evaluate_tick(context)
        self.cursors[number] = data.cursor
        return data


@pytest.fixture
def alerts(project: Project, tmp_path: Path) -> Alerts:
    """A project that sends alerts to the address in HARVEST_ALERTS."""
    return Alerts(project, tmp_path)
