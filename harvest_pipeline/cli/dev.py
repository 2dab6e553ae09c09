"""`harvest-pipeline dev`: serves the Dagster UI and daemon for the accounts of the project."""

import os
import re

import click

from harvest_pipeline.cli.declared import refuse_components
from harvest_pipeline.cli.local import dagster_environment, ui
from harvest_pipeline.safety.text import shown
from harvest_pipeline.settings import SettingsError, load_project, project_folder

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?(:\d{1,5})?", re.IGNORECASE)


@click.command("dev")
@click.option("--port", type=int, help="Default: 3000, or a free one if that is taken.")
@click.option(
    "--read-only",
    is_flag=True,
    help="A second UI without a daemon: show everything, let nothing be launched.",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="HOST",
    help="Name of a login proxy in front of the UI, as browsers show it (repeatable).",
)
def command(port: int | None, read_only: bool, hosts: tuple[str, ...]) -> int:
    """Serve the Dagster UI on your own account, until Ctrl-C.

    It listens on this machine only. The daemon, which launches schedules and sensors, runs with it.

    \b
    Example:
      harvest-pipeline dev --port 8080
    """
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise SettingsError(
                f"--allow-host {shown(host)} is not a host name; give the name that browsers show, "
                "as dagster.example.com or dagster.example.com:8443."
            )
    refuse_components("`dg dev`")
    # An invalid setting would otherwise be an error of the code location in the UI.
    load_project()
    environment = dagster_environment(os.environ, project_folder() / ".dagster")
    return ui(environment, port=port, allowed=hosts, read_only=read_only)
