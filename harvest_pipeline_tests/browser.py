"""A page of headless Chromium, for tests of what a person looks at."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harvest_pipeline_tests.waiting import PATIENCE

#: Without these a browser on this network waits for hosts that it cannot reach. Names that end in
#: `.test` lead to this machine.
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    "--host-resolver-rules=MAP *.test 127.0.0.1",
]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    """A page of headless Chromium, 1600 by 1000."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(PATIENCE * 1000)
        yield page
        page.screenshot(path=tmp_path / "last.png")
        browser.close()
