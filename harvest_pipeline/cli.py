"""`harvest-pipeline …`: the commands of this project.

Belongs here: the names of the commands and their arguments. What they do stands in their modules.
"""

import argparse
import os
import sys
from collections.abc import Sequence

import click

from harvest_pipeline import demo
from harvest_pipeline.alerts import command as alerts
from harvest_pipeline.backup import command as backup
from harvest_pipeline.connect import accounts
from harvest_pipeline.connect import command as connect
from harvest_pipeline.doctor import command as doctor
from harvest_pipeline.equality import command as verify
from harvest_pipeline.harvest.errors import HarvestError
from harvest_pipeline.local import serve_ui
from harvest_pipeline.sandbox import command as sandbox
from harvest_pipeline.sync import command as sync
from harvest_pipeline.sync import reports


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
    add_dev.add_argument("--port", type=int, help="default: 3000, or a free one if that is taken")
    add_dev.add_argument(
        "--read-only",
        action="store_true",
        help="a second UI without a daemon: show everything, let nothing be launched",
    )
    add_dev.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="HOST",
        help="name of a login proxy in front of the UI, as browsers show it (repeatable)",
    )
    add_dev.set_defaults(run=serve_ui)

    add_sync = commands.add_parser("sync", help="load reports now, as a run of Dagster")
    sync.add_arguments(add_sync)
    add_sync.set_defaults(run=sync.run)

    add_reports = commands.add_parser(
        "reports", help="list reports and datasets, their parameters and their last load"
    )
    reports.add_arguments(add_reports)
    add_reports.set_defaults(run=reports.run)

    add_verify = commands.add_parser(
        "verify", help="compare the warehouse with Harvest's own reports, month by month"
    )
    verify.add_arguments(add_verify)
    add_verify.set_defaults(run=verify.run)

    add_sandbox = commands.add_parser("sandbox", help="serve the sandbox account")
    sandbox.add_arguments(add_sandbox)
    add_sandbox.set_defaults(run=sandbox.run)

    add_connect = commands.add_parser("connect", help="connect your Harvest account")
    connect.add_arguments(add_connect)
    add_connect.set_defaults(run=connect.run)

    add_accounts = commands.add_parser("accounts", help="list, test or remove connected accounts")
    accounts.add_arguments(add_accounts)

    add_alerts = commands.add_parser("alerts", help="try the alerts of harvest.yaml")
    alerts.add_arguments(add_alerts)

    add_doctor = commands.add_parser(
        "doctor", help="check settings, accounts, database and Dagster, and say what to do"
    )
    doctor.add_arguments(add_doctor)
    add_doctor.set_defaults(run=doctor.run)

    add_backup = commands.add_parser("backup", help="copy the whole database into one file")
    backup.add_backup_arguments(add_backup)
    add_restore = commands.add_parser("restore", help="put a backup in the place of the database")
    backup.add_restore_arguments(add_restore)

    chosen = parser.parse_args(arguments)
    # What these commands and their child processes write tells who worked on what.
    os.umask(0o077)
    try:
        return chosen.run(chosen)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except HarvestError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
