"""Running Dagster on this machine: its home folder and its commands.

Belongs here: what `harvest-pipeline dev` and `harvest-pipeline demo` share.
Does not belong here: anything that a deployed Dagster needs.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from harvest_pipeline.settings import Settings, project_folder


def dagster_environment(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """`environment` with a `DAGSTER_HOME`: the one it has, else `home`, made ready.

    Dagster reads `dagster.yaml` from its home only, so the home gets a link to the project's.
    """
    if environment.get("DAGSTER_HOME"):
        return dict(environment)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    link = home / "dagster.yaml"
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(project_folder() / "dagster.yaml")
    return {**environment, "DAGSTER_HOME": str(home)}


def dagster(environment: Mapping[str, str], *arguments: str) -> int:
    """Run a `dagster` command in the project's folder and return its exit code.

    Ctrl-C reaches the command itself, which then ends in its own way; we wait for it. SIGTERM
    reaches us alone, so it is passed on: no server may outlive the command that started it.
    """
    # Dagster warns of its own superseded and beta functions; that is of no use to a user.
    command = [sys.executable, "-W", "ignore", "-m", "dagster", *arguments]
    process = subprocess.Popen(command, cwd=project_folder(), env=environment)  # noqa: S603

    def pass_on(number: int, frame: object) -> None:
        process.send_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, pass_on)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def serve_ui(arguments: argparse.Namespace) -> int:
    """The Dagster UI and daemon on the account of the environment, until Ctrl-C.

    Raises SettingsError at once: in the UI it would be an error of the code location.
    """
    Settings.from_environment()
    environment = dagster_environment(os.environ, project_folder() / ".dagster")
    options = ("-p", str(arguments.port)) if arguments.port else ()
    return dagster(environment, "dev", "-w", "workspace.yaml", *options)
