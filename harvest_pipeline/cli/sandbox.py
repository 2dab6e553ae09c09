"""`harvest-pipeline sandbox`: serves the sandbox account until Ctrl-C."""

import os
from datetime import datetime
from typing import Any

import click

from harvest_pipeline.sandbox import DEFAULT_PORT
from harvest_pipeline.sandbox.server import SandboxServer


@click.command("sandbox")
@click.option("--port", default=DEFAULT_PORT, show_default=True, help="Port on 127.0.0.1.")
@click.option("--seed", default=1, show_default=True, help="Another number: another account.")
@click.option("--scale", default=1.0, show_default=True, help="Multiplies people and projects.")
@click.option("--years", default=2.2, show_default=True, help="Length of the account's history.")
@click.option(
    "--today",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="The sandbox's today, for a repeatable account (default: now).",
)
@click.option("--accounts", default=1, show_default=True, help="Number of Harvest accounts.")
@click.option("--no-rate-limit", is_flag=True, help="Never answer 429.")
@click.option(
    "--refuse-get-bodies",
    is_flag=True,
    help="Answer GET requests with a body with 400, as Harvest does.",
)
def command(port: int, today: datetime | None, no_rate_limit: bool, **options: Any) -> int:
    """Serve a Harvest account of this machine's own until Ctrl-C, and print how to reach it.

    \b
    Example:
      harvest-pipeline sandbox --years 1 --accounts 2
    """
    if no_rate_limit:
        options["rate_limit"] = None
    try:
        sandbox = SandboxServer(port=port, today=today.date() if today else None, **options)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise click.ClickException(
            f"Port {port} cannot be used ({reason}): give another, --port."
        ) from None
    except ValueError as error:
        raise click.ClickException(f"{error}: give more, with --years and --scale.") from None
    click.echo(_explanation(sandbox))
    try:
        sandbox.serve()
    except KeyboardInterrupt:
        click.echo("\nThe sandbox has stopped.")
    return 0


def _explanation(sandbox: SandboxServer) -> str:
    records = sandbox.account.records
    variables = sandbox.environment().items()
    return "\n".join(
        (
            f"The sandbox account {sandbox.account.name} ({sandbox.instance}.harvestapp.com): "
            f"{len(records.time_entries)} time entries, {len(records.expenses)} expenses, "
            f"{len(records.invoices)} invoices.\n",
            *(f"export {name}={value}" for name, value in variables),
            "\n# other people's tokens (they see less)",
            *(
                f"# HARVEST_ACCESS_TOKEN={sandbox.tokens[person]}   # {person}"
                for person in ("manager", "member")
            ),
            "# or OAuth 2 instead of HARVEST_ACCESS_TOKEN",
            f"# HARVEST_CLIENT_ID={sandbox.client_id}",
            f"# HARVEST_CLIENT_SECRET={sandbox.client_secret}",
            f"# HARVEST_REFRESH_TOKEN={sandbox.refresh_token}",
            "\nServing until Ctrl-C.",
        )
    )
