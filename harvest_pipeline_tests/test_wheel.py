"""The package as others install it: built as a wheel, in an environment without this checkout."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
import requests

from harvest_pipeline import __version__
from harvest_pipeline_tests.orchestration.test_component import ACME, Scaffolded
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.long

PROJECT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Installed:
    """A folder with nothing in it, and an environment that has the wheel and what it needs."""

    folder: Path
    wheel: Path
    python: Path

    def run(self, program: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """A program of the environment, in the folder."""
        return subprocess.run(
            [self.python.parent / program, *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONWARNINGS": "ignore", **variables},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    unbuilt = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(PROJECT / "harvest_pipeline", source / "harvest_pipeline", ignore=unbuilt)
    for name in ("setup.py", "pyproject.toml", "dagster.yaml", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    offline = ("--no-deps", "--no-index")
    build = ("wheel", *offline, "--no-build-isolation", "--wheel-dir", folder, source)
    subprocess.run([*pip, *build], check=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "environment", symlinks=True)
    python = folder / "environment" / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", *offline, wheel], check=True)
    # The packages that the wheel needs, but not the checkout: its own .pth is not looked at there.
    (site,) = (folder / "environment" / "lib").glob("python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    (folder / "empty").mkdir()
    return Installed(folder / "empty", wheel, python)


def test_everything_of_the_package_is_in_the_wheel(installed: Installed) -> None:
    package = PROJECT / "harvest_pipeline"
    ours = {
        f"{path.relative_to(PROJECT)}"
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert ours == {
        name for name in zipfile.ZipFile(installed.wheel).namelist() if "dist-info" not in name
    }
    assert installed.wheel.name == f"harvest_pipeline-{__version__}-py3-none-any.whl"


def test_the_installed_package_is_the_one_of_the_wheel_and_tells_its_version(
    installed: Installed,
) -> None:
    said = installed.run("harvest-pipeline", "--version")
    assert said.stdout == f"harvest-pipeline, version {__version__}\n"
    program = "import harvest_pipeline as package; print(package.__file__)"
    where = installed.run("python", "-c", program).stdout
    assert Path(where.strip()).is_relative_to(installed.python.parents[1])


def test_dagster_validates_its_definitions(installed: Installed) -> None:
    words = ("-m", "dagster", "definitions", "validate", "-m", "harvest_pipeline.definitions")
    done = installed.run("python", *words)
    assert done.returncode == 0, done.stderr
    assert "All code locations passed validation" in done.stdout + done.stderr


def test_sync_makes_database_and_dagster_home_in_the_folder_that_one_is_in(
    installed: Installed,
) -> None:
    with SandboxServer(years=0.1, rate_limit=None) as sandbox:
        done = installed.run("harvest-pipeline", "sync", "clients", **sandbox.environment())
        count = len(sandbox.account.records.clients)
    assert done.returncode == 0, done.stderr
    with duckdb.connect(installed.folder / "data" / "warehouse.duckdb", read_only=True) as database:
        assert database.execute("SELECT count(*) FROM harvest.clients").fetchall() == [(count,)]
    settings = (installed.folder / ".dagster" / "dagster.yaml").resolve()
    assert settings.is_relative_to(installed.python.parents[1])
    # Of the class that the file names.
    assert "harvest_pipeline.orchestration.instance" in settings.read_text()


def test_dev_serves_the_definitions_without_a_workspace_yaml(installed: Installed) -> None:
    # What they write is not read: a full pipe would stop them.
    said = installed.folder / "said.txt"
    with said.open("w") as output:
        process = subprocess.Popen(
            [installed.python.parent / "harvest-pipeline", "dev", "--port", "0"],
            cwd=installed.folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: "The Dagster UI: http" in said.read_text(), said.read_text)
        address = re.findall(r"The Dagster UI: (\S+)", said.read_text())[0]
        query = "{repositoriesOrError{...on RepositoryConnection{nodes{location{name}}}}}"
        answer = requests.post(f"{address}/graphql", json={"query": query}, timeout=60).json()
        assert answer["data"]["repositoriesOrError"]["nodes"] == [{"location": {"name": "harvest"}}]
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_a_project_that_create_dagster_has_made_finds_the_component(
    installed: Installed, tmp_path: Path
) -> None:
    project = Scaffolded(tmp_path, installed.python)
    project.scaffold("acme", ACME)
    for words in (
        ("-m", "dagster_dg_cli.cli", "check", "defs"),
        ("-m", "dagster", "definitions", "validate", "-m", "my_project.definitions"),
    ):
        done = project.python(*words)
        assert done.returncode == 0, done.stdout + done.stderr
    listed = project.python("-m", "dagster_dg_cli.cli", "list", "components")
    assert "harvest_pipeline.HarvestAccount" in listed.stdout
