"""The process behind `harvest-pipeline dev`: Dagster's UI inside the guard, its daemon, its code.

It does what `dagster dev` does with the same parts of Dagster. They have to be put together here
because Dagster's own command leaves no room for anything around its web application. Its private
parts are imported in this module alone; should one of them go, this process does not start, and
nothing is served unguarded.
"""

import argparse
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import dagster as dg
import uvicorn
from dagster._cli import proxy_server_manager
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._grpc.client import DagsterGrpcClient
from dagster_webserver.app import (
    create_app_from_workspace_process_context,  # pyright: ignore[reportUnknownVariableType]
)
from dagster_webserver.version import __version__

from harvest_pipeline.settings import project_folder
from harvest_pipeline.ui import LIFELINE
from harvest_pipeline.ui.guard import Guard, Hosts

_LOG_FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
#: Seconds that open requests get when the UI ends, and the daemon after it.
_LAST_REQUESTS = 3
_LAST_TICK = 30
#: Code servers end if nobody has called them for so many seconds. On a laptop that slept for a
#: night nobody has, so they end with the process group and not by this.
_NEVER = 365 * 24 * 3600
_SECONDS_BETWEEN_LOOKS = 5
#: As `dagster-webserver` has them; they matter to a Dagster home on a database server only.
_STATEMENT_MILLISECONDS, _POOL_RECYCLE_SECONDS, _POOL_OVERFLOW = 15_000, 3600, 20
_LIVE_DATA_POLL_MILLISECONDS = 2000


def main() -> int:
    """Serve on the listening socket `--fd` until SIGINT or SIGTERM; returns the exit code.

    There is a daemon only with `--lock-fd`, the locked file that says that it is the only one.
    """
    parser = argparse.ArgumentParser(prog="python -m harvest_pipeline.ui.webserver")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--lock-fd", type=int)
    parser.add_argument("--allow-host", action="append", default=[])
    parser.add_argument("--read-only", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.basicConfig(format=_LOG_FORMAT)
    logging.getLogger("dagster-webserver").setLevel(logging.INFO)
    # Dagster's code servers explain errors of definitions themselves if they know of `dev`.
    os.environ["DAGSTER_IS_DEV_CLI"] = "1"
    try:
        with socket.socket(fileno=options.fd) as listener:
            return _serve(listener, options.lock_fd, options.allow_host, options.read_only)
    except KeyboardInterrupt:
        return 0


def _serve(
    listener: socket.socket, lock: int | None, allowed: Sequence[str], read_only: bool
) -> int:
    port = listener.getsockname()[1]
    with ExitStack() as stack:
        instance = stack.enter_context(dg.DagsterInstance.get())
        instance.optimize_for_webserver(
            _STATEMENT_MILLISECONDS, _POOL_RECYCLE_SECONDS, _POOL_OVERFLOW
        )
        workspace = stack.enter_context(_code_servers(instance))
        context = stack.enter_context(
            WorkspaceProcessContext(
                instance,
                WorkspaceFileTarget([str(workspace)]),
                version=__version__,
                read_only=read_only,
            )
        )
        app = create_app_from_workspace_process_context(
            context, live_data_poll_rate=_LIVE_DATA_POLL_MILLISECONDS
        )
        server = uvicorn.Server(
            uvicorn.Config(
                Guard(app, Hosts.on(port, allowed)),
                log_level="warning",
                lifespan="off",
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_LAST_REQUESTS,
            )
        )

        daemon = stack.enter_context(_daemon(workspace, lock, server)) if lock else None
        print(f"The Dagster UI: http://127.0.0.1:{port} (Ctrl-C ends it)", flush=True)
        server.run([listener])
        # Only a daemon that ended by itself leads here; a signal raises KeyboardInterrupt.
        code = daemon.wait() if daemon else None
        print(f"The Dagster daemon ended (exit code {code}), and the UI with it.")
        return 1


@contextmanager
def _code_servers(instance: dg.DagsterInstance) -> Generator[Path]:
    """The code locations of workspace.yaml, served; yields a workspace file that names the servers.

    Each of them answers by then. The UI and the daemon share them, and they are restarted where
    they stay when code is reloaded.
    """
    locations = WorkspaceFileTarget([str(project_folder() / "workspace.yaml")])
    proxy_server_manager.WEBSERVER_GRPC_SERVER_HEARTBEAT_TTL = _NEVER  # pyright: ignore[reportPrivateImportUsage]
    os.environ["DAGSTER_GRPC_PROXY_HEARTBEAT_TTL_SECONDS"] = str(_NEVER)
    with (
        proxy_server_manager.ProxyServerManager(
            instance, locations, code_server_log_level="warning"
        ) as servers,
        tempfile.TemporaryDirectory() as folder,
    ):
        workspace = Path(folder) / "workspace.yaml"
        specs = servers.get_code_server_specs()
        # JSON is YAML.
        workspace.write_text(json.dumps({"load_from": specs}))
        threading.Thread(target=_watch, args=(specs,), daemon=True).start()
        yield workspace


def _watch(specs: Sequence[Mapping[str, Mapping[str, Any]]]) -> None:
    """Start the code anew where its process is gone. Dagster restarts only the server in front of
    it, which answers all requests with errors meanwhile."""
    servers = [spec["grpc_server"] for spec in specs]
    clients = [DagsterGrpcClient(server.get("port"), server.get("socket")) for server in servers]
    while True:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        for client in clients:
            try:
                client.list_repositories()  # an error of the definitions is an answer
            except DagsterUserCodeUnreachableError:
                # It answers with the error of saying goodbye to the process that is gone.
                with suppress(DagsterUserCodeUnreachableError):
                    client.reload_code(_NEVER)


@contextmanager
def _daemon(
    workspace: Path, lock: int, server: uvicorn.Server
) -> Generator[subprocess.Popen[bytes]]:
    """The daemon, ended on leaving; the server ends with it. It holds the lock as we do: as long as
    it lives, no other begins."""
    command = ("-W", "ignore", "-m", LIFELINE, "dagster._daemon", "run", "-w", str(workspace))
    daemon = subprocess.Popen(  # noqa: S603
        [sys.executable, *command], stdin=subprocess.PIPE, pass_fds=[lock]
    )

    def end_server() -> None:
        daemon.wait()
        server.should_exit = True

    threading.Thread(target=end_server, daemon=True).start()
    try:
        yield daemon
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(_LAST_TICK)
        except subprocess.TimeoutExpired:
            daemon.kill()


if __name__ == "__main__":
    sys.exit(main())
