"""A project that the doctor looks at: a sandbox account, a database, a Dagster home."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harvest_pipeline.doctor.command import examined
from harvest_pipeline.doctor.findings import Finding, Section

from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.waiting import PATIENCE

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Examined:
    """What the doctor found."""

    sections: list[Section]

    @property
    def findings(self) -> list[Finding]:
        return [finding for section in self.sections for finding in section.findings]

    def of(self, title: str, account: str | None = None) -> list[Finding]:
        """The findings of a section; none if there is no such section."""
        return [
            finding
            for section in self.sections
            if section.title == title and account in (None, section.account)
            for finding in section.findings
        ]

    def about(self, subject: str, account: str | None = None) -> Finding:
        """The only finding about a subject."""
        (found,) = [
            finding
            for section in self.sections
            if account in (None, section.account)
            for finding in section.findings
            if finding.subject == subject
        ]
        return found

    def wrong(self) -> list[str]:
        return [finding.subject for finding in self.findings if finding.state == "wrong"]

    def warnings(self) -> list[str]:
        return [finding.subject for finding in self.findings if finding.state == "warning"]


class Patient:
    """A project in a folder of its own, whose settings are the variables of the process."""

    def __init__(self, folder: Path, sandbox: SandboxServer, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.database = folder / "data" / "warehouse.duckdb"
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / "dagster.yaml").symlink_to(PROJECT / "dagster.yaml")
        self._patch = patch
        self.set(
            HARVEST_DUCKDB=str(self.database),
            HARVEST_TOKEN_STORE=str(folder / "accounts"),
            DAGSTER_HOME=str(self.home),
            **sandbox.environment(),
        )

    def set(self, **variables: str | None) -> None:
        """Set variables, or remove those that are None."""
        for name, value in variables.items():
            if value is None:
                self._patch.delenv(name, raising=False)
            else:
                self._patch.setenv(name, value)

    def name_accounts(self, text: str) -> None:
        """Write harvest.yaml."""
        path = self.folder / "harvest.yaml"
        path.write_text(text)
        self.set(HARVEST_CONFIG=str(path), HARVEST_ACCOUNT_ID=None)

    def warehouse(self, schema: str = "harvest") -> Warehouse:
        return Warehouse(self.database, schema)

    def examined(self, *, offline: bool = False) -> Examined:
        """What the doctor finds."""
        return Examined(list(examined(offline=offline)))

    def paths(self) -> list[str]:
        """What has been asked of Harvest."""
        return self.sandbox.account.request_log.paths()

    def installed(self) -> Path:
        """The project as a person has it, in a folder of its own, so with an `.env` of its own."""
        place = self.folder / "project"
        shutil.copytree(PROJECT / "harvest_pipeline", place / "harvest_pipeline")
        for name in ("workspace.yaml", "dagster.yaml"):
            shutil.copy(PROJECT / name, place)
        self.set(PYTHON_DOTENV_DISABLED=None)
        return place

    def command(self, *arguments: str, place: Path = PROJECT) -> "subprocess.CompletedProcess[str]":
        """`harvest-pipeline doctor` as a process of its own, in a project's folder."""
        return subprocess.run(
            [sys.executable, "-m", "harvest_pipeline.cli", "doctor", *arguments],
            cwd=place,
            env={**os.environ, "PYTHONPATH": str(place)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


def document(completed: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """What `--json` has printed."""
    assert completed.stderr == ""
    return json.loads(completed.stdout)


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """A small account whose clock is right."""
    with SandboxServer(years=0.1, scale=0.3, rate_limit=None, refuse_get_bodies=True) as server:
        yield server


@pytest.fixture
def patient(sandbox: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Patient:
    return Patient(tmp_path, sandbox, monkeypatch)
