"""A checkout of the project as somebody else has it, and commands that run in it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from harvest_pipeline.settings import project_folder


class Place:
    """A copy of the project, so that nobody's own `.env` is touched, and its Dagster home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "a project"
        self.home = folder / "home"
        self.home.mkdir()
        # With what Python has compiled: that takes as long as many of the commands.
        shutil.copytree(project_folder() / "harvest_pipeline", self.folder / "harvest_pipeline")
        for name in ("workspace.yaml", "dg.toml", "dagster.yaml"):
            shutil.copy(project_folder() / name, self.folder)
        shutil.copy(project_folder() / "dagster.yaml", self.home)

    def write(self, **variables: str) -> None:
        """Write `.env`."""
        lines = [f"{name}='{text}'\n" for name, text in variables.items()]
        (self.folder / ".env").write_text("".join(lines))

    def python(
        self, *words: str, cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Python, in the project's folder unless another one is given."""
        ours = ("HARVEST_", "DAGSTER_", "PYTHON_DOTENV_DISABLED")
        return subprocess.run(
            [sys.executable, "-W", "ignore", *words],
            cwd=cwd or self.folder,
            env={
                **{name: text for name, text in os.environ.items() if not name.startswith(ours)},
                "HARVEST_CONFIG": os.devnull,
                "HARVEST_TOKEN_STORE": str(self.folder / "accounts"),
                "DAGSTER_HOME": str(self.home),
                "PYTHONPATH": str(self.folder),
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
