"""`harvest-pipeline …`: the commands of this project.

Belongs here: the names of the commands and their arguments. What they do stands in their modules.
"""

import argparse
import sys
from collections.abc import Sequence

import click

from harvest_pipeline import demo
from harvest_pipeline.local import serve_ui
from harvest_pipeline.sandbox import command as sandbox


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. A setting that cannot work is one sentence."""
    parser = argparse.ArgumentParser(prog="harvest-pipeline", description="Harvest in DuckDB.")
    commands = parser.add_subparsers(required=True, metavar="command")

    add_demo = commands.add_parser(
        "demo", help="load all reports into DuckDB and show them in the Dagster UI"
    )
    add_demo.add_argument("--once", action="store_true", help="without the UI: load, show, end")
    add_demo.set_defaults(run=demo.run)

    add_dev = commands.add_parser("dev", help="serve the Dagster UI on your own account")
    add_dev.add_argument("--port", type=int, help="default: 3000")
    add_dev.set_defaults(run=serve_ui)

    add_sandbox = commands.add_parser("sandbox", help="serve the sandbox account")
    sandbox.add_arguments(add_sandbox)
    add_sandbox.set_defaults(run=sandbox.run)

    chosen = parser.parse_args(arguments)
    try:
        return chosen.run(chosen)
    except click.ClickException as error:
        error.show()
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
