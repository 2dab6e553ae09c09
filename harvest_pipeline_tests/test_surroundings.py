"""A clone is all that the tests need: nothing beside it, and nothing of whoever runs them."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from harvest_pipeline_tests.surroundings import of_nobody

PROJECT = Path(__file__).resolve().parents[1]
#: Folders of somebody's machine, and what stood beside the checkout once.
OUTSIDE = re.compile(
    r"(?<![\w.~}])/(?:work|root|home|opt|Users)/|\.\./shared|HARVEST_API_REF[E]RENCE"
)
#: How many folders up from a file, in Python.
UP = re.compile(r"\.parents\[(\d+)\]|((?:\.parent\b)+)")


@pytest.fixture(scope="module")
def texts() -> dict[Path, str]:
    """Every file of the repository that is text, by its path in it."""
    if not (PROJECT / ".git").exists():
        pytest.skip("this is no clone: what belongs to the repository is not known")
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [Path(name) for name in listed.stdout.split("\0") if (PROJECT / name).is_file()]
    texts = [path for path in paths if path.suffix not in (".png", ".webp")]
    return {path: (PROJECT / path).read_text("utf-8") for path in texts}


def test_nothing_in_the_repository_names_a_path_outside_it(texts: dict[Path, str]) -> None:
    assert len(texts) > 300
    named = {
        f"{path}: {line.strip()}"
        for path, text in texts.items()
        if path.name != Path(__file__).name
        for line in text.splitlines()
        if OUTSIDE.search(line)
    }
    assert named == set()


def test_no_module_goes_up_beyond_the_repository(texts: dict[Path, str]) -> None:
    for path, text in texts.items():
        if path.suffix != ".py":
            continue
        for line in text.splitlines():
            for found in UP.finditer(line) if "__file__" in line else ():
                up = int(found[1]) + 1 if found[1] else found[2].count(".parent")
                assert up <= len(path.parts), f"{path}: {line.strip()}"


@pytest.mark.parametrize(
    "line",
    [
        "open('/work/x')",
        "cd /root/x",
        'FOLDER / "../shared/harvest-api"',
        "HARVEST_API_REFERENCE=x",
    ],
)
def test_the_search_finds_such_paths(line: str) -> None:
    assert OUTSIDE.search(line)


def test_every_program_that_tests_need_is_named_in_the_readme_and_installed_in_ci(
    texts: dict[Path, str],
) -> None:
    needed = {name for text in texts.values() for name in re.findall(r'needs\("(\w+)"\)', text)}
    assert needed == {"chromium", "strace"}
    for name in needed:
        assert f"`{name}`" in texts[Path("README.md")]
        assert name in texts[Path(".ci/run")]
    assert "-qq chromium postgresql " in texts[Path(".ci/run")]  # its programs are in no PATH


def test_tests_see_nothing_of_the_person_who_runs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = (
        "HARVEST_ACCESS_TOKEN",
        "DAGSTER_HOME",
        "https_proxy",
        "REQUESTS_CA_BUNDLE",
        "DISPLAY",
    )
    for name in (*theirs, "XDG_CONFIG_HOME", "PYTHONPATH", "LC_ALL"):
        monkeypatch.setenv(name, "theirs")
    with of_nobody(tmp_path):
        assert "theirs" not in {text for name, text in os.environ.items() if name != "LC_ALL"}
        assert os.environ["LC_ALL"] == "theirs"
        assert Path.home() == tmp_path
    assert os.environ["DAGSTER_HOME"] == "theirs"
