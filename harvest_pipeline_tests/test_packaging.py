"""What gets installed: exactly the files that were tested, known by their hashes."""

import json
import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[1]


FILES = ["constraints.txt", "benchmarks/constraints.txt"]
#: What an environment gets besides.
BESIDE = ["constraints-node.txt", "constraints-duckdb-1.5.txt"]


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


@pytest.mark.parametrize("file", [*FILES, *BESIDE])
def test_every_package_is_pinned_to_a_version_and_to_the_hashes_of_its_files(file: str) -> None:
    text = (PROJECT / file).read_text()
    pinned = re.findall(r"^[\w.,\[\]-]+==", text, re.MULTILINE)
    least = 80 if file in FILES else 1
    assert len(locked(file)) == len({*pinned}) >= least  # some have a version for each Python
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


def test_make_installs_nothing_without_a_hash_but_this_package() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    recipes = re.findall(r"\$\(call install,[^,]+,(.+)\)$", makefile, re.M)
    recipes += re.findall(r"^\t.* -m pip install (.+)$", makefile, re.M)
    own = "--no-deps --no-build-isolation -e ."
    assert sorted(each for each in recipes if "--require-hashes" not in each) == [own] * 3
    named = {file for each in recipes for file in re.findall(r"-r ([\w./-]+\.txt)", each)}
    assert named == {*FILES, *BESIDE, ".venv/uv.txt"}  # the last is cut out of the first


def test_what_the_types_are_checked_with_comes_with_its_package() -> None:
    """Neither the program nor what it runs on is fetched when it runs."""
    bundled = metadata.distribution("pyright").locate_file("pyright/dist/package.json")
    assert json.loads(Path(str(bundled)).read_text())["version"] == metadata.version("pyright")
    assert re.search(r"^lint: \.venv/node$", (PROJECT / "Makefile").read_text(), re.M)
