"""What a person does in the Dagster UI: materialize, backfill a range, use the schedule."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb

from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline_tests.surroundings import utc_today
from harvest_pipeline_tests.ui.attacks import LAUNCH
from harvest_pipeline_tests.ui.conftest import IN_BROWSER, DagsterUI
from harvest_pipeline_tests.waiting import wait_for

pytestmark = IN_BROWSER

RUNS = """
query Runs { runsOrError(limit: 20) { ... on Runs { results {
  runId status pipelineName assetSelection { path } tags { key value } } } } }
"""
ASSETS = """
query Assets { assetNodes { assetKey { path } isPartitioned
  assetMaterializations(limit: 1) { runId }
  partitionStats { numMaterialized } } }
"""


def finished_runs(ui: DagsterUI, count: int) -> list[dict[str, Any]]:
    """Wait until there are so many runs and all have ended; newest first."""

    def runs() -> list[dict[str, Any]]:
        return ui.ask(RUNS)["runsOrError"]["results"]

    def over() -> bool:
        ended = [run["status"] in ("SUCCESS", "FAILURE", "CANCELED") for run in runs()]
        return len(ended) >= count and all(ended)

    wait_for(over, runs)
    return runs()


def rows(ui: DagsterUI, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(ui.database, read_only=True) as connection:
        connection.execute("USE harvest")
        return connection.execute(sql).fetchall()


def test_materialize_backfill_and_schedule(ui: DagsterUI, page: Any, tmp_path: Path) -> None:
    earlier = len(ui.ask(RUNS)["runsOrError"]["results"])

    # Materialize a report without days.
    page.goto(f"{ui.url}/assets/harvest/people")
    page.get_by_role("button", name="Materialize").first.click()
    assert finished_runs(ui, earlier + 1)[0]["status"] == "SUCCESS"
    assert rows(ui, "SELECT count(*) FROM people") == [(len(ui.sandbox.account.records.users),)]
    page.reload()
    page.get_by_text("View", exact=True).first.wait_for()
    page.screenshot(path=tmp_path / "materialized.png")

    # Backfill a range of days: one run.
    last = utc_today()
    first = last - timedelta(days=9)
    page.goto(f"{ui.url}/assets/harvest/daily")
    page.get_by_role("button", name="Materialize").first.click()
    partitions = page.get_by_placeholder("No matching partitions")
    partitions.click()
    partitions.fill(f"[{first}...{last}]")
    partitions.press("Enter")
    page.get_by_text("10 partitions").first.wait_for()
    page.screenshot(path=tmp_path / "backfill.png")
    page.get_by_role("button", name="Launch backfill").click()
    run = finished_runs(ui, earlier + 2)[0]
    assert run["status"] == "SUCCESS"
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert tags["dagster/asset_partition_range_start"] == first.isoformat()
    assert tags["dagster/asset_partition_range_end"] == last.isoformat()
    days = rows(ui, "SELECT min(window_first), max(window_last) FROM _loads WHERE report = 'daily'")
    assert days == [(first, last)]

    # Launch what the schedule would launch tonight, then switch it on.
    schedule = f"{ui.url}/locations/harvest/schedules/harvest_reconcile"
    page.goto(schedule)
    page.get_by_role("button", name="Preview tick result").click()
    # It ticks every hour, and the night's work is still to be done.
    page.get_by_role("button", name="Continue").and_(page.locator(":enabled")).wait_for()
    page.screenshot(path=tmp_path / "preview.png")
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Launch all").wait_for()
    page.screenshot(path=tmp_path / "result.png")
    page.get_by_role("button", name="Launch all").click()
    run = finished_runs(ui, earlier + 3)[0]
    assert (run["status"], run["pipelineName"]) == ("SUCCESS", "harvest_reconcile")
    page.goto(schedule)
    page.locator("input[type=checkbox]").first.press(" ")
    page.get_by_text("Next tick").first.wait_for()
    page.screenshot(path=tmp_path / "schedule.png")

    # Every report has been materialized.
    for asset in ui.ask(ASSETS)["assetNodes"]:
        if asset["assetKey"]["path"][-1] not in REPORTS:
            continue
        if asset["isPartitioned"]:
            assert asset["partitionStats"]["numMaterialized"] > 0, asset
        else:
            assert asset["assetMaterializations"], asset
    page.goto(f"{ui.url}/assets/harvest/invoices?view=partitions")
    page.get_by_text("invoices").first.wait_for()
    page.screenshot(path=tmp_path / "invoices.png")


def test_the_launchpad_takes_the_parameters_of_a_run(
    ui: DagsterUI, page: Any, tmp_path: Path
) -> None:
    day = utc_today() - timedelta(days=1)
    earlier = len(ui.ask(RUNS)["runsOrError"]["results"])
    page.goto(f"{ui.url}/locations/harvest/jobs/harvest_all_reports/playground")
    # What can be given stands there from the start, in one block.
    page.get_by_text("report_options").first.wait_for()
    page.get_by_text("invoice_status").first.wait_for()
    page.get_by_placeholder("Partition").click()
    page.keyboard.type(day.isoformat())
    page.keyboard.press("Enter")
    page.get_by_text(f"partition: {day}").wait_for()
    page.evaluate(
        "config => document.querySelector('.CodeMirror').CodeMirror.setValue(config)",
        "resources:\n  report_options:\n    config:\n"
        f"      project_ids: {ui.sandbox.account.records.projects.ascending()[0].id}\n",
    )
    page.get_by_text("No errors").wait_for()
    page.screenshot(path=tmp_path / "launchpad.png")
    page.get_by_role("button", name="Launch Run").click()
    run = finished_runs(ui, earlier + 1)[0]
    assert run["status"] == "SUCCESS"
    asked = f"SELECT window_first, window_last, filters FROM _loads WHERE run_id = '{run['runId']}'"
    (of_expenses,) = rows(ui, f"{asked} AND record = 'expenses' AND filters IS NOT NULL")
    assert of_expenses[:2] == (day, day)
    assert "project_ids" in of_expenses[2]


def test_the_page_of_a_run_is_updated_while_it_runs(ui: DagsterUI, page: Any) -> None:
    sockets: list[str] = []
    page.on("websocket", lambda opened: sockets.append(opened.url))
    run = ui.ask(LAUNCH)["launchRun"]["run"]["runId"]
    page.goto(f"{ui.url}/runs/{run}")
    page.get_by_text("RUN_SUCCESS", exact=True).first.wait_for()
    assert sockets == [f"ws://127.0.0.1:{ui.port}/graphql"]


def test_pages_come_whole_and_from_the_ui_alone(ui: DagsterUI, page: Any) -> None:
    asked: set[str] = set()
    refused: list[str] = []
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    page.on("response", lambda answer: answer.status >= 400 and refused.append(answer.url))
    for path, text in {
        "/overview/timeline": "Timeline",
        "/locations/harvest/resources/harvest": "HARVEST_ACCESS_TOKEN",
        "/locations/harvest/jobs/harvest_all_reports/playground": "Launch run",
        "/deployment/daemons": "Scheduler",
        "/assets/harvest/people": "Materialize",
        "/graphql": "Prettify",
    }.items():
        page.goto(ui.url + path)
        page.get_by_text(text).locator("visible=true").first.wait_for()
        page.wait_for_load_state("networkidle")
    # "" is the host of blob: and data: addresses.
    assert asked - {""} == {f"127.0.0.1:{ui.port}"}
    assert refused == []
