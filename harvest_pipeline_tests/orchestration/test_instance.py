"""What a run over many days leaves in Dagster's instance: what Dagster's own leaves, sooner."""

import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)
from dagster._core.instance.runs.run_domain import RunDomain
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._daemon import controller
from sqlalchemy import text

from harvest_pipeline.orchestration.event_log import EventLog
from harvest_pipeline.orchestration.instance import Instance
from harvest_pipeline.orchestration.partitions import range_tags
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.conftest import TODAY, Project
from harvest_pipeline_tests.waiting import PATIENCE

WEEK = Window(TODAY - timedelta(days=6), TODAY)
RUN = "4b5ac1a6-1a1b-4dd3-8ee4-2a9b4b8d3b5{}"
#: Instants, durations, process ids and names of log files, which differ from run to run.
_MEASURED = re.compile(
    r"\d{10}\.\d+|\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.\d]*|[\d.]+m?s\b|\"duration_ms\": [\d.]+"
    r"|\(pid: \d+\)|\"pid\": \"?\d+|\"log_key\": \"\w+"
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder for Dagster, with this project's dagster.yaml."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "dagster.yaml").symlink_to(project_folder() / "dagster.yaml")
    return folder


def statuses(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey
) -> list[AssetCheckExecutionRecordStatus]:
    """What is written down of a check, the latest first."""
    history = instance.event_log_storage.get_asset_check_execution_history(check, limit=100)
    return [record.status for record in history]


def test_each_check_of_a_run_over_a_week_is_written_down_once(project: Project, home: Path) -> None:
    project.instance.dispose()
    project.instance = dg.DagsterInstance.from_config(str(home))
    assert isinstance(project.instance, Instance)
    for report in ("daily", "clients"):
        result = project.materialize(report, window=WEEK)
        found = {each.asset_check_key for each in result.get_asset_check_evaluations()}
        assert found
        for check in found:
            there = statuses(project.instance, check)
            assert there == [AssetCheckExecutionRecordStatus.SUCCEEDED], check


@dg.asset_check(asset="clients_of_ours", blocking=False)
def whole() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset
def clients_of_ours() -> None: ...


@dg.asset(
    partitions_def=dg.DailyPartitionsDefinition("2026-11-01"),
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[dg.AssetCheckSpec("mine", asset="entries")],
)
def entries(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    for day in context.partition_keys:
        context.add_asset_metadata({"day": day}, partition_key=day)
    check = dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)
    return dg.MaterializeResult(check_results=[check], data_version=dg.DataVersion("7"))


@dg.asset(
    partitions_def=dg.DailyPartitionsDefinition("2026-11-01"),
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[entries],
)
def broken() -> None:
    raise dg.Failure("no", allow_retries=False)


@dg.op(out=dg.Out(dg.Nothing))
def reporting() -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.Output[None]]:
    for key in (entries.key, clients_of_ours.key):
        for day in (WEEK.first + timedelta(days=n) for n in range(7)):
            yield dg.AssetMaterialization(key, partition=f"{day}", metadata={"day": f"{day}"})
        yield dg.AssetCheckEvaluation(passed=True, asset_key=key, check_name="mine")
    yield dg.AssetMaterialization(clients_of_ours.key)
    yield dg.Output(None)


@dg.job
def reporting_job() -> None:
    reporting()


def everything(home: Path) -> dict[tuple[str, str], list[tuple[object, ...]]]:
    """Every row of every table of every file of Dagster's event log, without times and sizes."""
    rows: dict[tuple[str, str], list[tuple[object, ...]]] = {}
    for file in sorted((home / "history" / "runs").glob("*.db")):
        with closing(sqlite3.connect(file)) as database:
            for (table,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'"):
                found = database.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
                rows[file.name, table] = [
                    tuple(_MEASURED.sub("…", str(value)) for value in row) for row in found
                ]
    return rows


def test_the_event_log_holds_the_same_rows_as_dagsters_own(home: Path, tmp_path: Path) -> None:
    (stock := tmp_path / "stock").mkdir()
    settings = (home / "dagster.yaml").read_text()
    (stock / "dagster.yaml").write_text(f"{settings}\nstorage:\n  sqlite:\n    base_dir: {stock}\n")
    definitions = dg.Definitions([entries, broken, clients_of_ours], asset_checks=[whole])
    job = definitions.resolve_implicit_global_asset_job_def()
    logs: list[type] = []
    read: list[object] = []
    for folder in (stock, home):
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            logs.append(type(instance.event_log_storage))
            for number in (1, 2):
                job.execute_in_process(
                    instance=instance, tags=range_tags(WEEK), run_id=RUN.format(number),
                    raise_on_error=False,
                )  # fmt: skip
            reporting_job.execute_in_process(instance=instance, run_id=RUN.format(3))
            # Of no run, as the button "Report materialization" makes one.
            instance.report_runless_asset_event(dg.AssetMaterialization("seen"))
            keys = [asset.key for asset in (entries, broken, clients_of_ours)]
            records = instance.get_asset_records(keys)
            read.append(
                [
                    sorted((each.asset_entry.asset_key, each.storage_id) for each in records),
                    [instance.get_materialized_partitions(key) for key in keys],
                    statuses(instance, dg.AssetCheckKey(entries.key, "mine")),
                    [instance.get_latest_planned_materialization_info(key) for key in keys],
                ]
            )
    assert logs == [SqliteEventLogStorage, EventLog]
    assert read[0] == read[1]
    theirs, ours = everything(stock), everything(home)
    assert len(theirs["index.db", "event_logs"]) > 50
    assert ours == theirs


#: What orchestration/instance.py, event_log.py and narrow.py override.
OVERRIDDEN = {
    SqliteEventLogStorage: ("_connect", "_store_asset_event", "has_table", "store_event_batch"),
    DagsterSqliteStorage: ("from_local", "from_config_value"),
    RunDomain: ("_log_asset_planned_events",),
    dg.AssetsDefinition: ("with_resources", "get_attributes_dict", "required_resource_keys"),
    dg.Out: ("to_definition",),
    UnresolvedAssetJobDefinition: ("resolve",),
    dg.DagsterInstance: (
        "_get_event_batch_size", "run_domain", "create_run_for_job", "handle_new_event",
        "add_daemon_heartbeat", "get_backfill_settings",
    ),
}  # fmt: skip


def test_what_is_overridden_of_dagster_is_there() -> None:
    moved = [
        f"{of.__name__}.{name}"
        for of, names in OVERRIDDEN.items()
        for name in names
        if not hasattr(of, name)
    ]
    assert not moved, (
        f"Dagster {dg.__version__} has no {', '.join(moved)}: adapt orchestration/event_log.py, "
        "instance.py or narrow.py. For the first two, instance_class can be taken out of "
        "dagster.yaml, which is slower and as right."
    )
    # Where narrow.py puts the resources of an asset.
    assert vars(entries)["_resource_defs"] == {}


def test_the_daemon_looks_for_launched_backfills_every_three_seconds(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controller, "DEFAULT_DAEMON_INTERVAL_SECONDS", 30)
    waits: list[float] = []

    class Once(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            waits.append(timeout)
            return True

    with dg.DagsterInstance.from_config(str(home)) as instance:
        daemon = controller.create_daemon_of_type("BACKFILL", instance)
        with WorkspaceProcessContext(instance, None) as workspace:
            loop = daemon.core_loop(workspace, Once())
            while not waits:
                next(loop)
    assert 2 < waits[0] <= 3


def test_a_batch_that_cannot_be_stored_is_stored_one_by_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: EventLog, events: object) -> None:
        with self._connect("index") as connection:
            connection.execute(text("INSERT INTO no_such_table VALUES (1)"))

    monkeypatch.setattr(SqliteEventLogStorage, "store_event_batch", full)
    job = dg.Definitions([entries]).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert job.execute_in_process(instance=instance, tags=range_tags(WEEK)).success
        assert len(instance.get_materialized_partitions(entries.key)) == 7


def test_the_days_that_an_op_reports_are_stored_together(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    store = EventLog.store_event_batch

    def counting(self: EventLog, events: Sequence[dg.EventLogEntry]) -> None:
        batches.append(len(events))
        store(self, events)

    monkeypatch.setattr(EventLog, "store_event_batch", counting)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert reporting_job.execute_in_process(instance=instance).success
        assert len(instance.get_materialized_partitions(clients_of_ours.key)) == 7
    assert batches == [7, 7]


def test_days_are_planned_for_what_has_days_only(home: Path) -> None:
    definitions = dg.Definitions([entries, clients_of_ours], asset_checks=[whole])
    job = definitions.resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        result = job.execute_in_process(instance=instance, tags=range_tags(WEEK))
        planned = [
            (entry.dagster_event.asset_key.to_user_string(), entry.dagster_event.partition)
            for entry in instance.all_logs(
                result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
            )
            if entry.dagster_event and entry.dagster_event.asset_key
        ]
        assert len(statuses(instance, dg.AssetCheckKey(entries.key, "mine"))) == 1
        assert len(statuses(instance, dg.AssetCheckKey(clients_of_ours.key, "whole"))) == 1
    days = [f"{day}" for day in WEEK.days()]
    assert planned == [("clients_of_ours", None), *[("entries", day) for day in days]]


def test_the_command_line_takes_it_where_there_is_no_dagster_home(
    project: Project, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `dagster` does in the folder of the project: its temporary home has the dagster.yaml of
    the folder that it is started in."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    words = ("asset", "materialize", "-m", "harvest_pipeline.definitions", "--select")
    done = subprocess.run(
        [sys.executable, "-m", "dagster", *words, "harvest/clients"],
        cwd=home, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert project.query("SELECT count(*) FROM clients") == [(len(project.truth("clients")),)]
