"""A project with a copy for readers, and what is read of it."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.models import models
from harvest_pipeline.orchestration import alerts
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.conftest import TODAY, Project
from harvest_pipeline_tests.sandbox.server import SandboxServer

DAYS = Window(date(2026, 11, 1), TODAY)


def a_month() -> SandboxServer:
    """A month of an account."""
    return SandboxServer(today=TODAY, years=0.1, rate_limit=None)


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """A month of an account."""
    with a_month() as server:
        yield server


class Published(Project):
    """A project with a copy for readers."""

    copy: Path

    def at(self, copy: Path) -> None:
        self.copy = copy
        self.set(HARVEST_PUBLISH=str(copy))

    def night(self) -> dg.ExecuteInProcessResult:
        job = build_definitions().resolve_job_def("harvest_reconcile")
        return job.execute_in_process(instance=self.instance, raise_on_error=False)

    def read(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query on the copy."""
        with duckdb.connect(self.copy, read_only=True) as connection:
            connection.execute("USE harvest")
            return connection.execute(sql).fetchall()

    def version(self) -> tuple[int, int]:
        found = self.copy.stat()
        return found.st_ino, found.st_mtime_ns


@pytest.fixture
def published(sandbox: SandboxServer, tmp_path: Path, monkeypatch: Any) -> Iterator[Published]:
    made = Published(sandbox, tmp_path, monkeypatch)
    made.at(tmp_path / "shared" / "analytics.duckdb")
    yield made
    made.instance.dispose()


def everything(published: Published) -> dg.ExecuteInProcessResult:
    every = (*REPORTS, *models(), "exchange_rates")
    return published.materialize(*every, window=published.everything())


def problem_of(result: dg.ExecuteInProcessResult) -> str:
    """Why a run failed whose steps had all succeeded, as alerts say it."""
    assert not result.success
    assert not any(event.is_step_failure for event in result.all_events)
    (event,) = (e for e in result.all_events if e.event_type is dg.DagsterEventType.RUN_FAILURE)
    error = event.job_failure_data.error
    return alerts._own_sentence(error) or f"{error}"
