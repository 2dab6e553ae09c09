"""Channels that lead to this machine, and the ticks of the sensors that use them."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import trustme

from harvest_pipeline.alerts import sensors
from harvest_pipeline.sandbox.server import SandboxServer
from harvest_pipeline.settings import load_project
from harvest_pipeline_tests.conftest import TODAY, Project
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.fault_server import FaultServer

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


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """What a server on 127.0.0.1 needs to be trusted by those who trust `authority`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The authority is trusted, as one that is installed on the machine."""
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))


class Hook(FaultServer):
    """A webhook that takes everything, unless it is told otherwise: `then` are its next answers."""

    def __init__(self) -> None:
        self.then: list[fault.Action] = []
        self.texts: list[str] = []
        super().__init__(self._answer)
        self.address = f"{self.url}/services/{PATH}"

    def _answer(self, request: fault.Request) -> fault.Action:
        if self.then:
            return self.then.pop(0)
        self.texts.append(json.loads(request.body)["text"])
        return fault.raw(b"ok")


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    with Hook() as server:
        monkeypatch.setenv("HARVEST_ALERT_WEBHOOK", server.address)
        yield server


def fail(instance: dg.DagsterInstance, **tags: str) -> dg.ExecuteInProcessResult:
    """A run over an asset of the account that fails at once."""

    @dg.asset(key=["harvest", "mart"])
    def mart() -> None:
        raise ValueError("Ada Okafor, ada@example.com")

    return dg.materialize([mart], instance=instance, raise_on_error=False, tags=tags)


class Alerts:
    """The sensors of a project's harvest.yaml, ticked as the daemon does: a tick that fails leaves
    the cursor as it was."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project = project
        self.file = folder / "harvest.yaml"
        self.cursors: dict[str, str | None] = {}
        project.set(HARVEST_CONFIG=str(self.file))

    def say(self, text: str) -> None:
        """What harvest.yaml says from now on."""
        self.file.write_text(text)

    def names(self) -> list[str]:
        return [sensor.name for sensor in self._sensors()]

    def tick(self, name: str = "alerts_by_webhook") -> Any:
        """One tick; what came of it. Raises what the tick raises."""
        (sensor,) = [each for each in self._sensors() if each.name == name]
        with dg.build_sensor_context(
            instance=self.project.instance, cursor=self.cursors.get(name)
        ) as context:
            data = sensor.evaluate_tick(context)
        self.cursors[name] = data.cursor
        return data

    def _sensors(self) -> list[dg.SensorDefinition]:
        return sensors.alert_sensors(load_project().accounts)


@pytest.fixture
def alerts(project: Project, tmp_path: Path) -> Alerts:
    """Alerts of a project, by webhook, of what each test says."""
    return Alerts(project, tmp_path)
