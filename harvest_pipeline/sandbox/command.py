"""The command `harvest-pipeline sandbox`.

Belongs here: its arguments and what it prints. Does not belong here: serving (server.py).
"""

import argparse
import os
import sys
from datetime import date

from harvest_pipeline.sandbox.server import SandboxServer

DEFAULT_PORT = 7357


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to a parser."""
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="port on 127.0.0.1 (default %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="another number makes up another account"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="multiplies people, clients and projects"
    )
    parser.add_argument("--years", type=float, default=2.2, help="length of the account's history")
    parser.add_argument(
        "--today",
        type=date.fromisoformat,
        metavar="YYYY-MM-DD",
        help="the sandbox's today, for a repeatable account (default: now)",
    )
    parser.add_argument("--accounts", type=int, default=1, help="number of Harvest accounts")
    parser.add_argument(
        "--doors", action="store_true", help="open the paths under /sandbox that change things"
    )
    parser.add_argument("--no-rate-limit", action="store_true", help="never answer 429")
    parser.add_argument(
        "--refuse-get-bodies",
        action="store_true",
        help="answer GET requests with a body with 400, as Harvest does",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C, after printing how to reach the sandbox. Returns the exit status."""
    options = {"rate_limit": None} if arguments.no_rate_limit else {}
    try:
        sandbox = SandboxServer(
            port=arguments.port,
            seed=arguments.seed,
            today=arguments.today,
            years=arguments.years,
            scale=arguments.scale,
            accounts=arguments.accounts,
            doors=arguments.doors,
            refuse_get_bodies=arguments.refuse_get_bodies,
            **options,
        )
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        return _complain(f"Port {arguments.port} cannot be used ({reason}): give another, --port.")
    except ValueError as error:
        return _complain(f"{error}: give more, with --years and --scale.")
    _explain(sandbox)
    try:
        sandbox.serve()
    except KeyboardInterrupt:
        print("\nThe sandbox has stopped.")
    return 0


def _complain(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


def _explain(sandbox: SandboxServer) -> None:
    records = sandbox.account.records
    print(
        f"The sandbox account {sandbox.account.name} ({sandbox.instance}.harvestapp.com): "
        f"{len(records.time_entries)} time entries, {len(records.expenses)} expenses, "
        f"{len(records.invoices)} invoices.\n"
    )
    for name, value in sandbox.environment().items():
        print(f"export {name}={value}")
    print("\n# other people's tokens (what they see is less)")
    for person in ("manager", "member"):
        print(f"# HARVEST_ACCESS_TOKEN={sandbox.tokens[person]}   # {person}")
    print("# or OAuth 2 instead of HARVEST_ACCESS_TOKEN")
    print(f"# HARVEST_CLIENT_ID={sandbox.client_id}")
    print(f"# HARVEST_CLIENT_SECRET={sandbox.client_secret}")
    print(f"# HARVEST_REFRESH_TOKEN={sandbox.refresh_token}")
    print("\nServing until Ctrl-C.", flush=True)


def main() -> int:
    """The same as `python -m harvest_pipeline.sandbox`."""
    parser = argparse.ArgumentParser(
        prog="python -m harvest_pipeline.sandbox", description="A local Harvest account."
    )
    add_arguments(parser)
    return run(parser.parse_args())
