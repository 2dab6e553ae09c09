"""The pictures of the docs, made again on the sandbox account (`make pictures`): docs/images/."""

import base64
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text

from harvest_pipeline.cli.demo import _sandbox_environment
from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.browser import FLAGS
from harvest_pipeline_tests.cli.ui.conftest import REPOSITORY, Dev, started_dev

IMAGES = project_folder() / "docs" / "images"
COMMAND = Path(sys.executable).with_name("harvest-pipeline")
#: Points of a picture; it has four times as many dots.
WIDTH, HEIGHT = 1440, 900


def main() -> None:
    subprocess.run([COMMAND, "demo", "--once"], check=True)
    with _sandbox_environment() as environment:
        terminal("verify", f"verify --from {date.today():%Y-%m}-01", environment)
        output = project_folder() / "data" / "sandbox" / "dev.txt"
        with started_dev(environment, output) as dev, sync_playwright() as playwright:
            chromium = shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            size = {"width": WIDTH, "height": HEIGHT}
            page = browser.new_page(viewport=size, device_scale_factor=2)
            switch(dev, "start")
            for name, (path, prepare, height) in PICTURES.items():
                page.goto(f"{dev.url}{path}" if path.startswith("/") else path)
                prepare(page)
                picture(page, name, height)
            browser.close()
            switch(dev, "reset")


def picture(page: Any, name: str, height: int) -> None:
    """Keep what the page shows, down to that height."""
    page.wait_for_load_state("networkidle")
    page.wait_for_function("!document.body.innerText.includes('Loading')")
    time.sleep(2)  # movements come to their end
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": height, "scale": 1}
    shown = page.context.new_cdp_session(page).send(
        "Page.captureScreenshot", {"format": "webp", "quality": 80, "clip": clip}
    )
    (IMAGES / f"{name}.webp").write_bytes(base64.b64decode(shown["data"]))


def terminal(name: str, arguments: str, environment: Mapping[str, str]) -> None:
    """Keep what a terminal shows of one of our commands."""
    command = ["script", "-qec", f"'{COMMAND}' {arguments}", os.devnull]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=101, file=nowhere)
        console.print(Text.assemble("$ ", (f"harvest-pipeline {arguments}", "bold")))
        output = told.stdout.rstrip().replace(f"{project_folder()}{os.sep}", "")
        console.print(Text.from_ansi(output))
    # The fonts that rich would fetch are of another host.
    svg = re.sub(r"\s*@font-face \{.*?\}", "", console.export_svg(title=""), flags=re.DOTALL)
    svg = svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace")
    (IMAGES / f"{name}.svg").write_text(svg, "utf-8")


def has(text: str) -> Callable[[Any], None]:
    """Wait until that text can be seen."""
    return lambda page: page.get_by_text(text).locator("visible=true").first.wait_for()


def backfill(page: Any) -> None:
    """Choose a quarter in the dialog of the asset."""
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_text("Show all partitions").click()
    year = date.today().year - (date.today().month < 4)
    field = page.get_by_role("dialog").get_by_role("textbox").first
    field.fill(f"[{year}-01-01...{year}-03-31]")
    field.press("Enter")


def filtered(page: Any) -> None:
    page.locator("#client").select_option("Glühwürmchen Verlag")


def switch(dev: Dev, verb: str) -> None:
    """Start the sensor and the schedule, or reset them to what they are at first: off."""
    dev.ask(
        f"mutation($sensor: SensorSelector!, $schedule: ScheduleSelector!) {{"
        f" {verb}Sensor(sensorSelector: $sensor) {{ __typename }}"
        f" {verb}Schedule(scheduleSelector: $schedule) {{ __typename }} }}",
        sensor={**REPOSITORY, "sensorName": "harvest_changes"},
        schedule={**REPOSITORY, "scheduleName": "harvest_reconcile"},
    )


DASHBOARD = (project_folder() / "data" / "sandbox" / "harvest-dashboard.html").as_uri()
ASSET = "/assets/harvest"
#: By name: the page, what is done there before, and the height that is kept.
PICTURES: dict[str, tuple[str, Callable[[Any], None], int]] = {
    "dashboard": (DASHBOARD, has("What do we work on?"), HEIGHT),
    "dashboard-filtered": (DASHBOARD, filtered, HEIGHT),
    "catalog": ("/assets", has("365 partitions"), HEIGHT),
    "lineage": (f"{ASSET}/receivables?view=lineage", has("receivables_by_client"), HEIGHT),
    "asset": (f"{ASSET}/receivables", has("Latest materialization"), HEIGHT),
    "reconciliation": (f"{ASSET}/reconciliation", has("Latest materialization"), 785),
    "backfill": (f"{ASSET}/invoices", backfill, 720),
    "automation": ("/automation", has("ago"), 320),
}

if __name__ == "__main__":
    main()
