"""`harvest-pipeline dev`: the Dagster UI and daemon on the accounts of the project."""

import os

import click

from harvest_pipeline.local import dagster_environment, ui
from harvest_pipeline.settings import load_project, project_folder


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
    """Serve the Dagster UI on your own account, until Ctrl-C."""
    # A setting that cannot work would be an error of the code location in the UI.
    load_project()
    environment = dagster_environment(os.environ, project_folder() / ".dagster")
    return ui(environment, port=port, allowed=hosts, read_only=read_only)
