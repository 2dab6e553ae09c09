"""What gets installed: exactly the files that were tested, known by their hashes."""

import json
import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from harvest_pipeline import __version__

PROJECT = Path(__file__).resolve().parents[1]
CHANGELOG = (PROJECT / "CHANGELOG.md").read_text("utf-8")


FILES = ["constraints.txt", "benchmarks/constraints.txt", "constraints-scale.txt"]
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


def test_what_is_measured_and_what_servers_run_is_what_is_tested() -> None:
    tested, measured, scale = map(locked, FILES)
    assert tested.items() <= measured.items()
    assert {name for name in tested if tested[name] != scale.get(name)} == {"duckdb"}


def test_everything_that_the_package_needs_is_pinned_within_its_range() -> None:
    for line in metadata.requires("harvest_pipeline") or []:
        requirement = Requirement(line)
        extra = re.search(r'extra == "(\w+)"', line)
        file = {None: 0, "dev": 0, "benchmark": 1}.get(extra and extra[1], 2)
        version, _ = locked(FILES[file])[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), line


def test_make_installs_nothing_without_a_hash_but_this_package() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    recipes = re.findall(r"\$\(call install,[^,]+,(.+)\)$", makefile, re.M)
    recipes += re.findall(r"^\t.* -m pip install (.+)$", makefile, re.M)
    own = "--no-deps --no-build-isolation -e ."
    assert sorted(each for each in recipes if "--require-hashes" not in each) == [own] * 4
    named = {file for each in recipes for file in re.findall(r"-r ([\w./-]+\.txt)", each)}
    assert named == {*FILES, *BESIDE, ".venv/uv.txt"}  # the last is cut out of the first


def test_what_the_types_are_checked_with_comes_with_its_package() -> None:
    """Neither the program nor what it runs on is fetched when it runs."""
    bundled = metadata.distribution("pyright").locate_file("pyright/dist/package.json")
    assert json.loads(Path(str(bundled)).read_text())["version"] == metadata.version("pyright")
    assert re.search(r"^lint: \.venv/node$", (PROJECT / "Makefile").read_text(), re.M)


def test_the_image_has_what_the_lock_knows_runs_as_nobody_special_and_holds_no_secret() -> None:
    """It cannot be built here: what its steps do is in test_wheel.py."""
    lines = (PROJECT / "Dockerfile").read_text().replace("\\\n", "").splitlines()
    by_step = [line.partition(" ")[::2] for line in lines if re.match("[A-Z]+ ", line)]
    copied = [
        name
        for step, rest in by_step
        if step == "COPY" and "--from" not in rest
        for name in rest.split()[:-1]
    ]
    assert all((PROJECT / name).exists() for name in copied)
    sent = (PROJECT / ".dockerignore").read_text().splitlines()
    assert {f"!{name}" for name in copied} == {line for line in sent if line.startswith("!")}
    assert "*" in sent
    installed = [part for step, rest in by_step if step == "RUN" for part in rest.split("&&")]
    pip = [part for part in installed if "pip install" in part]
    assert len(pip) == 5
    known = (
        "--require-hashes",
        "--constraint constraints.txt",
        "--constraint constraints-scale.txt",
    )
    assert all(any(each in part for each in known) for part in pip)
    assert [rest for step, rest in by_step if step == "USER"] == ["harvest"]
    assert not [rest for step, rest in by_step if step in ("ARG", "ADD")]


def test_there_is_one_version_and_the_changelog_knows_it() -> None:
    assert metadata.version("harvest_pipeline") == __version__
    others = {PROJECT / "setup.py", *(PROJECT / "harvest_pipeline").rglob("*.py")}
    others.remove(PROJECT / "harvest_pipeline" / "__init__.py")
    assert not [path for path in others if f'"{__version__}"' in path.read_text("utf-8")]
    released = re.findall(r"^## \[(\d\S+)\] - \d{4}-\d\d-\d\d$", CHANGELOG, re.MULTILINE)
    assert released[0] == __version__
    assert released == sorted(released, key=Version, reverse=True)


def test_the_changelog_is_in_the_form_that_it_names() -> None:
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE)) <= kinds
    assert re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)[0] == "[Unreleased]"
    assert len(CHANGELOG.splitlines()) <= 60
