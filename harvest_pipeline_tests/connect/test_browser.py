"""Connecting as a person does it: a real browser, the consent page, a click on Allow."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from harvest_pipeline_tests.connect.person import Person
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.surroundings import needs
from harvest_pipeline_tests.ui.conftest import free_port

pytestmark = [pytest.mark.browser, needs("chromium")]


@pytest.fixture
def opened(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """The file into which the system's browser writes the address that it is opened with."""
    seen, browser = tmp_path / "opened", tmp_path / "browser"
    there = shlex.quote(str(seen))
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {there}.new && mv {there}.new {there}\n')
    browser.chmod(0o700)
    return seen, {"BROWSER": f"{shlex.quote(str(browser))} %s"}


def test_a_person_connects_looks_tests_and_removes(
    page: Any, person: Person, sandbox: SandboxServer, opened: tuple[Path, dict[str, str]]
) -> None:
    seen, browser = opened
    first = sandbox.account
    port = str(free_port())
    with person.start("connect", "--sandbox", "--port", port, **browser) as command:
        address = command.address()
        page.goto(address)
        page.get_by_label(first.name).check()
        page.get_by_role("button", name="Allow").click()
        page.get_by_role("heading", name="Connected", exact=True).wait_for()
        assert command.wait() == 0
    assert seen.read_text() == address
    assert page.url.startswith(f"http://127.0.0.1:{port}/callback?")
    styled = page.evaluate("getComputedStyle(document.body).maxWidth")
    assert styled != "none"  # the policy of the page lets its own style through
    listed = person.run("accounts").output
    for fact in ("harvest", first.name, first.instance, str(first.id), "administrator", "OAuth 2"):
        assert fact in listed
    tested = person.run("accounts", "test")
    assert (tested.code, "harvest: ok; " in tested.output) == (0, True)
    removed = person.run("accounts", "remove", "harvest")
    assert (removed.code, person.stored()) == (0, [])
    assert "https://id.getharvest.com" in removed.output
    assert "No account is connected" in person.run("accounts").output


def test_a_person_denies(page: Any, person: Person) -> None:
    with person.start("connect", "--sandbox", "--port", str(free_port())) as command:
        page.goto(command.address())
        page.get_by_role("button", name="Deny").click()
        page.get_by_role("heading", name="Not connected").wait_for()
        assert command.wait() == 1
    assert person.stored() == []


def test_a_person_allows_all_accounts_and_chooses_one_in_the_terminal(
    page: Any, person: Person, sandbox: SandboxServer
) -> None:
    _, second = sandbox.accounts
    port = str(free_port())
    with person.start("connect", "--sandbox", "--port", port, terminal=True) as command:
        page.goto(command.address())
        page.get_by_label("All accounts").check()
        page.get_by_role("button", name="Allow").click()
        page.get_by_role("heading", name="One more step").wait_for()
        command.see(r"Number \(1-2\): $")
        command.type("2\n")
        assert command.wait() == 0
    assert f"account id  {second.id}" in command.output
