"""What gets installed: exactly the files that were tested, known by their hashes."""

import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[1]


def locked() -> dict[str, tuple[str, int]]:
    """Version and number of hashes of each package of constraints.txt."""
    text = (PROJECT / "constraints.txt").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    pattern = r"([\w.-]+)(?:\[[\w,]+\])?==(\S+)( ;.*?)?((?: +--hash=sha256:[0-9a-f]{64})+)"
    found = [re.fullmatch(pattern, line.strip()) for line in lines]
    return {
        canonicalize_name(match[1]): (match[2], match[4].count("--hash"))
        for match in found
        if match
    }


def test_every_package_is_pinned_to_a_version_and_to_the_hashes_of_its_files() -> None:
    text = (PROJECT / "constraints.txt").read_text()
    pinned = re.findall(r"^[\w.,\[\]-]+==", text, re.MULTILINE)
    assert len(locked()) == len(pinned) > 80
    assert all(hashes > 0 for _, hashes in locked().values())


def test_everything_that_the_package_needs_is_pinned_within_its_range() -> None:
    for line in metadata.requires("harvest_pipeline") or []:
        requirement = Requirement(line)
        version, _ = locked()[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), line


def test_make_installs_nothing_without_a_hash_but_this_package_and_the_older_duckdb() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    recipes = re.findall(r"\$\(call install,[^,]+,(.+)\)$", makefile, re.M)
    recipes += re.findall(r"^\t.* -m pip install (.+)$", makefile, re.M)
    assert len(recipes) == 6
    assert all("--require-hashes" in each or "--no-deps" in each for each in recipes)
