"""Where runs with parameters happen: an account that changed after it had been loaded in full."""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import dagster as dg
import duckdb
import pytest

from harvest_pipeline import build_definitions
from harvest_pipeline import settings as configured
from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.harvest import access
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.orchestration.partitions import range_tags
from harvest_pipeline.scope import Window
from harvest_pipeline.settings.datasets import Dataset
from harvest_pipeline.settings.resolve import REPORT_OPTIONS
from harvest_pipeline_tests.conftest import HASTE, in_memory
from harvest_pipeline_tests.orchestration.parameters.expected import (
    COMPARED,
    Account,
    Rows,
    of_table,
)
from harvest_pipeline_tests.orchestration.parameters.story import START, TODAY, Story
from harvest_pipeline_tests.projects import project
from harvest_pipeline_tests.sandbox.server import SandboxServer

#: What Dagster takes for now, so that the last partition is TODAY.
_NOW = datetime.combine(TODAY, datetime.min.time(), UTC).replace(hour=18, minute=30)
#: Between planting and changing, so that these two are told apart by `updated_at`.
_AN_HOUR = 3600
#: The first instant of all changes, before which everything was planted.
CHANGES_BEGIN = datetime.combine(TODAY, datetime.min.time(), UTC).replace(hour=17, minute=30)

#: The paths by which a run learns who and where it is.
WHO = ("/v2/users/me", "/v2/company", "/api/v2/accounts")

#: A question to Harvest: its path, and its parameters without those of paging.
Question = tuple[str, tuple[tuple[str, str], ...]]


def question(path: str, **parameters: object) -> Question:
    """The question with these parameters, in any order."""
    return f"/v2{path}", tuple(sorted((name, str(value)) for name, value in parameters.items()))


@dataclass(frozen=True)
class Ran:
    """What a run did. `days` and `metadata` are those of the materializations of each dataset,
    `rows` what the reports among them, and the lines of invoices, are afterwards."""

    success: bool
    run_id: str
    refusals: Mapping[str, str]
    days: Mapping[str, list[str | None]]
    metadata: Mapping[str, list[Mapping[str, Any]]]
    questions: list[Question]
    lines: list[str]
    rows: Mapping[str, Rows]


def environment(sandbox: SandboxServer, database: Path) -> dict[str, str]:
    """The variables of a project on the last account of the sandbox, by its instance name."""
    variables = sandbox.environment()
    del variables["HARVEST_ACCOUNT_ID"]
    return {
        **variables,
        "HARVEST_INSTANCE": sandbox.accounts[-1].instance,
        "HARVEST_DUCKDB": str(database),
        "HARVEST_START_DATE": START.isoformat(),
    }


class Stage:
    """Runs in process, on a database that is put back before each where it is to be."""

    def __init__(self, folder: Path, settings: configured.Account, sandbox: SandboxServer) -> None:
        self.settings = settings
        self.sandbox = sandbox
        #: The second account: the one that HARVEST_INSTANCE names.
        self.account = sandbox.accounts[-1]
        self.instance = in_memory()
        self._before = folder / "before.duckdb"

    @cached_property
    def job(self) -> dg.JobDefinition:
        """The job over all assets; making it is slow."""
        return build_definitions(self.settings.project).resolve_implicit_global_asset_job_def()

    def declare(self, *datasets: Dataset, **variables: str) -> None:
        """Let there be these datasets too, and these variables (`timezone="UTC"`)."""
        own = (*self.settings.project.file.datasets, *datasets)
        self.settings = project(*own, environment=os.environ, **variables).accounts[0]
        self.__dict__.pop("job", None)

    def keep(self) -> None:
        """Let the database be put back as it is now."""
        shutil.copy(self.settings.project.duckdb, self._before)

    def put_back(self) -> None:
        """The database as it was kept."""
        shutil.copy(self._before, self.settings.project.duckdb)

    def run(
        self,
        *datasets: str,
        days: tuple[date, date] | None = (TODAY, TODAY),
        tags: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Ran:
        """One run over these datasets and partitions, with these parameters."""
        self.account.request_log.clear()
        resource = {"resources": {REPORT_OPTIONS: {"config": options}}}
        with dg.partition_loading_context(effective_dt=_NOW):
            result = self.job.execute_in_process(
                instance=self.instance,
                asset_selection=[dg.AssetKey([self.settings.name, each]) for each in datasets],
                tags={**(range_tags(Window(*days)) if days else {}), **(tags or {})},
                run_config=resource if options else None,
                raise_on_error=False,
            )
        return self._ran(result, datasets)

    def rows(self, name: str) -> Rows:
        """The rows of a table or view; none if it is not there."""
        return self.all_rows([name])[name]

    def all_rows(self, names: Any) -> dict[str, Rows]:
        """The same of several."""
        if not self.settings.project.duckdb.exists():
            return {name: {} for name in names}
        with duckdb.connect(self.settings.project.duckdb, read_only=True) as connection:
            connection.execute(f"USE {self.settings.name}")
            found: dict[str, Rows] = {}
            for name in names:
                try:
                    cursor = connection.execute(f"SELECT * FROM {name}")
                except duckdb.CatalogException:
                    found[name] = {}
                    continue
                columns = [each[0] for each in cursor.description or ()]
                found[name] = of_table(name, columns, cursor.fetchall())
            return found

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with duckdb.connect(self.settings.project.duckdb, read_only=True) as connection:
            connection.execute(f"USE {self.settings.name}")
            return connection.execute(sql).fetchall()

    def truth(self) -> Account:
        """What the account holds now."""
        return Account.of_sandbox(self.account.records)

    def _ran(self, result: dg.ExecuteInProcessResult, datasets: tuple[str, ...]) -> Ran:
        events = [event for event in result.all_events if event.is_step_materialization]
        by_name: dict[str, list[Any]] = {name: [] for name in datasets}
        for event in events:
            by_name[event.asset_key.path[-1]].append(event.step_materialization_data)
        refusals: dict[str, str] = {}
        for event in result.all_events:
            if event.is_step_failure:
                failure = event.step_failure_data
                said = failure.user_failure_data
                refusals[str(event.node_name).split("__", 1)[1]] = (
                    said.description if said else str(failure.error)
                ) or ""
        return Ran(
            success=result.success,
            run_id=result.run_id,
            refusals=refusals,
            days={
                name: sorted(each.materialization.partition or "" for each in found)
                for name, found in by_name.items()
            },
            metadata={
                name: [each.materialization.metadata for each in found]
                for name, found in by_name.items()
            },
            questions=[
                (each.path, _without_paging(each.query))
                for each in self.account.request_log.requests
            ],
            lines=[
                entry.user_message
                for entry in self.instance.all_logs(result.run_id)
                if entry.dagster_event is None
            ],
            rows=self.all_rows({*(REPORTS.keys() & set(datasets)), "invoice_line_items"}),
        )


@dataclass(frozen=True)
class Changed:
    """A stage whose account has changed since it was loaded in full.

    `planted` is the truth that was loaded, `before` what the warehouse had then, `now` the truth
    now. `ids` are those of projects and people of the story. `another` is the other account.
    """

    stage: Stage
    ids: Mapping[str, int]
    planted: Account
    before: Account
    now: Account
    another: Account

    @property
    def loaded_at(self) -> datetime:
        """When the last row of `before` was loaded."""
        return max(row["_loaded_at"] for rows in self.before.rows.values() for row in rows.values())


def _without_paging(query: str) -> tuple[tuple[str, str], ...]:
    left = [pair for pair in parse_qsl(query) if pair[0] not in ("page", "per_page", "cursor")]
    return tuple(sorted(left))


@contextmanager
def changed_account(folder: Path) -> Iterator[Changed]:
    """A stage on which the account was loaded in full and has changed everywhere since."""
    with new_account(folder, years=0.4, accounts=2) as stage:
        story = Story(stage.account)
        story.plant()
        planted = stage.truth()
        reports = [each.name for each in stage.settings.datasets]
        assert stage.run(*reports, days=(START, TODAY)).success
        stage.keep()
        before = Account(stage.all_rows(COMPARED))
        stage.account.clock.advance(_AN_HOUR)
        story.change_everything()
        another = Account.of_sandbox(stage.sandbox.account.records)
        yield Changed(stage, story.ids, planted, before, stage.truth(), another)


@contextmanager
def new_account(folder: Path, datasets: Iterable[Dataset] = (), **options: Any) -> Iterator[Stage]:
    """A stage on an account of which nothing was loaded; `datasets` are there beside the reports.

    `options` are those of the sandbox.
    """
    with (
        pytest.MonkeyPatch.context() as patch,
        SandboxServer(
            today=TODAY, rate_limit=None, refuse_get_bodies=True, **{"years": 0.1, **options}
        ) as sandbox,
    ):
        hasten(patch)
        for name, value in environment(sandbox, folder / "warehouse.duckdb").items():
            patch.setenv(name, value)
        stage = Stage(folder, project(*datasets, environment=os.environ).accounts[0], sandbox)
        yield stage
        stage.instance.dispose()


def hasten(patch: pytest.MonkeyPatch) -> None:
    """Let the client meet faults again after a blink."""
    patch.setattr(
        access, "HarvestClient", lambda **given: HarvestClient(**{**given, "patience": HASTE})
    )
