"""docs/acceptance.md tells the truth, and no document leads nowhere."""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.settings import project_folder

DOCUMENT = project_folder() / "docs" / "acceptance.md"
TESTS = project_folder() / "harvest_pipeline_tests"
DOCUMENTS = [project_folder() / "README.md", *sorted((project_folder() / "docs").glob("*.md"))]
NOT_HERE = "—"
#: How many tests there are, by their source.
COUNTED = {"Airbyte: connector acceptance tests": 51, "Singer SDK": 32, "Others": 13}


def rows(section: str) -> list[list[str]]:
    """The rows of the table in a section: suite, test, ours."""
    lines = section.splitlines()
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return [row for row in found if row[0] not in ("suite", "---")]


def sections() -> dict[str, str]:
    """The sections with a table, by the beginning of their titles."""
    parts = re.split(r"^## ", DOCUMENT.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return {name: part for part in parts for name in COUNTED if part.startswith(name)}


@cache
def names_in(file: str) -> set[str]:
    """The names of the tests in a file."""
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("name", COUNTED)
def test_every_test_of_others_has_a_row_and_the_count_is_right(name: str) -> None:
    section = sections()[name]
    found = rows(section)
    originals = [(suite, test) for suite, test, _ in found]
    assert len(originals) == len(set(originals)) == COUNTED[name]
    ported = sum(not ours.startswith(NOT_HERE) for _, _, ours in found)
    assert f"{ported} of {len(found)}." in section


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", DOCUMENT.read_text("utf-8"))
    assert len(named) > 70
    assert [f"{file}::{test}" for file, test in named if test not in names_in(file)] == []


def test_every_row_names_a_test_or_a_reason() -> None:
    for section in sections().values():
        for _, test, ours in rows(section):
            assert "::" in ours or len(ours) > len(NOT_HERE) + 5, test


def test_every_link_in_the_documents_leads_somewhere() -> None:
    """CAT TestConnectorDocumentation: validate_links; those to other hosts are not followed."""
    broken: list[str] = []
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
            path, _, anchor = target.partition("#")
            if re.match(r"https?:", target):
                continue
            file = document if not path else document.parent / path
            if not file.exists() or (anchor and anchor not in anchors(file)):
                broken.append(f"{document.name}: {target}")
    assert broken == []


def test_the_site_is_built_without_a_warning_and_loads_nothing_from_other_hosts(
    tmp_path: Path,
) -> None:
    """mkdocs.yml makes every link and anchor that leads nowhere an error."""
    mkdocs = [Path(sys.executable).with_name("mkdocs"), "build", "--site-dir", tmp_path]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        mkdocs, cwd=project_folder(), env=quiet, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    pages = {page.stem: page.read_text("utf-8") for page in tmp_path.rglob("*.html")}
    assert {document.stem for document in DOCUMENTS[1:]} | {"index", "CHANGELOG"} <= pages.keys()
    loads = re.compile(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"(?:https?:)?//")
    assert [name for name, page in pages.items() if loads.search(page)] == []


def test_every_picture_is_shown_and_small() -> None:
    texts = " ".join(document.read_text("utf-8") for document in DOCUMENTS)
    for picture in (project_folder() / "docs" / "images").iterdir():
        assert f"images/{picture.name})" in texts
        assert picture.stat().st_size < 300_000


def test_the_readme_takes_a_minute_and_names_the_versions_that_are_tested() -> None:
    text = DOCUMENTS[0].read_text("utf-8")
    assert len(text.split()) <= 600
    for package, said in (("harvest_pipeline", "Version"), ("dagster", "Dagster")):
        assert f"{said} {metadata.version(package)}" in text
    (locked,) = re.findall(
        r"^duckdb==(\S+)", (project_folder() / "constraints.txt").read_text(), re.M
    )
    assert f"DuckDB {locked} " in text


def test_the_documentation_of_every_record_is_harvests_own() -> None:
    for record in RECORDS.values():
        assert record.documentation.startswith("https://help.getharvest.com/api-v2/")


def anchors(file: Path) -> set[str]:
    """The anchors of the headings of a Markdown document."""
    headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each).strip().lower().replace(" ", "-") for each in headings}
