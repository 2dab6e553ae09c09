"""The process behind `harvest-pipeline dev`: Dagster's guarded UI, its daemon, its code servers.

It assembles the parts of `dagster dev`, because Dagster's own command has no hook for anything
around its web application. If a private name of Dagster that it uses is removed, this process does
not start, and nothing is served unguarded.
"""

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

import click
import dagster as dg
import uvicorn
from dagster._cli import proxy_server_manager
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget, WorkspaceFileTarget
from dagster._grpc.client import DagsterGrpcClient
from dagster_webserver.app import (
    create_app_from_workspace_process_context,  # pyright: ignore[reportUnknownVariableType]
)
from dagster_webserver.version import __version__

from harvest_pipeline.cli.guard import Guard
from harvest_pipeline.cli.main import sentence_of
from harvest_pipeline.dashboard.file import path_of
from harvest_pipeline.safety.files import has_no_room
from harvest_pipeline.settings import load_project, project_folder

#: Seconds that open requests get when the UI ends, and then the daemon.
_LAST_REQUESTS = 3
_LAST_TICK = 30
#: Code servers end if nobody has called them for this many seconds. That happens on a laptop that
#: slept for a night, so they end with the process group instead.
_NEVER = 365 * 24 * 3600
_SECONDS_BETWEEN_LOOKS = 5


@click.command
@click.option("--fd", type=int, required=True, help="A listening socket.")
@click.option("--lock-fd", type=int, help="The locked file of the only UI that has a daemon.")
@click.option("--allow-host", "allowed", multiple=True)
@click.option("--read-only", is_flag=True)
def main(fd: int, lock_fd: int | None, allowed: Sequence[str], read_only: bool) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.basicConfig(format="%(asctime)s - %(name)s - %(levelname)s - %(message)s")
    # Dagster's code servers explain errors of definitions if they know of `dev`.
    os.environ["DAGSTER_IS_DEV_CLI"] = "1"
    try:
        with socket.socket(fileno=fd) as listener:
            return _serve(listener, lock_fd, allowed, read_only)
    except KeyboardInterrupt:
        return 0
    except Exception as error:
        if (sentence := sentence_of(error)) is None:
            raise
        print(f"Error: {sentence}", file=sys.stderr)
        return 1


def _end_with_parent() -> None:
    """Kill the process group when standard input ends, a pipe that only the parent can write to.

    It ends when the parent dies for any reason: not even SIGKILL or the OOM killer leaves the group
    running.
    """
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def _serve(
    listener: socket.socket, lock: int | None, allowed: Sequence[str], read_only: bool
) -> int:
    port = listener.getsockname()[1]
    with ExitStack() as stack:
        instance = stack.enter_context(dg.DagsterInstance.get())
        workspace = stack.enter_context(_code_servers(instance))
        context = stack.enter_context(
            WorkspaceProcessContext(
                instance,
                WorkspaceFileTarget([str(workspace)]),
                version=__version__,
                read_only=read_only,
            )
        )
        server = uvicorn.Server(
            uvicorn.Config(
                Guard(create_app_from_workspace_process_context(context), port, allowed),
                log_level="warning",
                lifespan="off",
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_LAST_REQUESTS,
            )
        )
        daemon = stack.enter_context(_daemon(workspace, lock, server)) if lock else None
        print(_links(f"http://127.0.0.1:{port}"), flush=True)
        server.run([listener])
        # Reached only if a daemon ended by itself; a signal raises KeyboardInterrupt.
        code = daemon.wait() if daemon else None
        home = Path(instance.root_directory)
        full = f" The disk of {home} is full; make room there." if has_no_room(home) else ""
        print(f"The Dagster daemon ended (exit code {code}), and the UI with it.{full}")
        return 1


def _links(address: str) -> str:
    """Where the UI is, and what to look at first."""
    account = load_project().accounts[0]
    report = next((each.name for each in account.datasets), "")
    pages = {
        "lineage": "/asset-groups",
        "one report": f"/assets/{account.name}/{report}",
        "Harvest comparison": f"/locations/harvest/jobs/{account.name}_reconcile/playground",
    }
    lines = [f"  {name:22}{address}{path}" for name, path in pages.items()]
    if path_of(account).exists():
        lines.append(f"  {'dashboard':22}{path_of(account).absolute().as_uri()}")
    return "\n".join([f"The Dagster UI: {address} (Ctrl-C ends it)", *lines])


@contextmanager
def _code_servers(instance: dg.DagsterInstance) -> Generator[Path]:
    """Serve the code locations of workspace.yaml, or these definitions where the package is
    installed without its checkout; yields a workspace file that names the servers.

    All of them answer by then. The UI and the daemon share them, and they restart at the same
    address when code is reloaded.
    """
    file = project_folder() / "workspace.yaml"
    locations = (
        WorkspaceFileTarget([str(file)])
        if file.is_file()
        else ModuleTarget("harvest_pipeline.definitions", None, str(file.parent), "harvest")
    )
    proxy_server_manager.WEBSERVER_GRPC_SERVER_HEARTBEAT_TTL = _NEVER  # pyright: ignore[reportPrivateImportUsage]
    os.environ["DAGSTER_GRPC_PROXY_HEARTBEAT_TTL_SECONDS"] = str(_NEVER)
    with (
        proxy_server_manager.ProxyServerManager(instance, locations, "warning") as servers,
        tempfile.TemporaryDirectory() as folder,
    ):
        specs = servers.get_code_server_specs()
        workspace = Path(folder) / "workspace.yaml"
        workspace.write_text(json.dumps({"load_from": specs}))  # JSON is YAML
        threading.Thread(target=_watch, args=(specs,), daemon=True).start()
        yield workspace


def _watch(specs: Sequence[Mapping[str, Mapping[str, Any]]]) -> None:
    """Load the code again if its process is gone. Dagster restarts only the server in front of it,
    which answers all requests with errors meanwhile."""
    servers = [spec["grpc_server"] for spec in specs]
    clients = [DagsterGrpcClient(server.get("port"), server.get("socket")) for server in servers]
    while True:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        for client in clients:
            try:
                client.list_repositories()  # an error of the definitions counts as an answer
            except DagsterUserCodeUnreachableError:
                # It answers with the error of shutting down the process that is gone.
                with suppress(DagsterUserCodeUnreachableError):
                    client.reload_code(_NEVER)


@contextmanager
def _daemon(
    workspace: Path, lock: int, server: uvicorn.Server
) -> Generator[subprocess.Popen[bytes]]:
    """The daemon, ended on leaving; the server ends with it. It holds the same lock as this
    process: while it lives, no other can start."""
    command = ("-W", "ignore", "-m", "dagster._daemon", "run", "--log-level", "warning")
    daemon = subprocess.Popen(  # noqa: S603 - our own arguments, no shell
        [sys.executable, *command, "-w", str(workspace)],
        stdin=subprocess.DEVNULL,
        pass_fds=[lock],
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
    sys.exit(main(standalone_mode=False))
