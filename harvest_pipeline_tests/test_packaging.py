"""What gets installed: exactly the files that were tested, known by their hashes."""

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[1]


FILES = ["constraints.txt", "benchmarks/constraints.txt"]


def locked(file: str) -> dict[str, tuple[str, int]]:
    """Version and number of hashes of each package of a lock."""
    text = (PROJECT / file).read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    pattern = r"([\w.-]+)(?:\[[\w,]+\])?==(\S+)( ;.*?)?((?: +--hash=sha256:[0-9a-f]{64})+)"
    found = [re.fullmatch(pattern, line.strip()) for line in lines]
    return {
        canonicalize_name(match[1]): (match[2], match[4].count("--hash"))
        for match in found
        if match
    }


@pytest.mark.parametrize("file", FILES)
def test_every_package_is_pinned_to_a_version_and_to_the_hashes_of_its_files(file: str) -> None:
    text = (PROJECT / file).read_text()
    pinned = re.findall(r"^[\w.,\[\]-]+==", text, re.MULTILINE)
    assert len(locked(file)) == len({*pinned}) > 80  # some have a version for each Python
    assert all(hashes > 0 for _, hashes in locked(file).values())


def test_benchmarks_measure_what_is_tested() -> None:
    tested, measured = map(locked, FILES)
    assert tested.items() <= measured.items()


def test_everything_that_the_package_needs_is_pinned_within_its_range() -> None:
    for line in metadata.requires("harvest_pipeline") or []:
        requirement = Requirement(line)
        file = FILES["benchmark" in line.partition(";")[2]]
        version, _ = locked(file)[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), line


def test_make_installs_nothing_without_a_hash_but_this_package_and_the_older_duckdb() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    recipes = re.findall(r"\$\(call install,[^,]+,(.+)\)$", makefile, re.M)
    recipes += re.findall(r"^\t.* -m pip install (.+)$", makefile, re.M)
    assert len(recipes) == 8
    assert all("--require-hashes" in each or "--no-deps" in each for each in recipes)
