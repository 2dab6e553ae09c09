"""What the doctor says of the machine: disks and clock."""

import shutil
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

import pytest

from harvest_pipeline_tests.doctor.conftest import Patient
from harvest_pipeline_tests.sandbox.server import SandboxServer


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(
    ("free", "state"), [(2**30, "ok"), (2**30 - 1, "warning"), (100 * 2**20 - 1, "wrong")]
)
def test_little_space_is_told_for_each_place_that_is_written_to(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, free: int, state: str
) -> None:
    # A disk of that size would need the rights to mount one.
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**40, 2**40 - free, free))
    found = patient.examined(offline=True)
    disks = [finding for finding in found.findings if finding.subject == "disk"]
    assert {finding.state for finding in disks} == {state}
    for place in ("database", "state", "Dagster home"):
        assert len([finding for finding in disks if f"({place})" in finding.text]) == 1


def test_a_clock_that_agrees_with_harvests_is_in_order(patient: Patient) -> None:
    assert patient.examined().about("clock").state == "ok"


class TestAnotherDay:
    @pytest.fixture
    def sandbox(self) -> Iterator[SandboxServer]:
        with SandboxServer(
            today=date(2026, 11, 1), years=0.1, scale=0.3, rate_limit=None
        ) as server:
            yield server

    def test_a_clock_that_differs_from_harvests_is_told(self, patient: Patient) -> None:
        finding = patient.examined().about("clock")
        assert finding.state == "warning"
        assert "minutes ahead of Harvest" in finding.text
