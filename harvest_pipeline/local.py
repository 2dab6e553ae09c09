"""Running Dagster on this machine: its home folder, its commands, its UI.

Belongs here: what `harvest-pipeline dev` and `harvest-pipeline demo` share.
Does not belong here: anything that a deployed Dagster needs; what the UI's process does
(ui/webserver.py).
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harvest_pipeline.config import account_settings
from harvest_pipeline.private import make_folder
from harvest_pipeline.settings import SettingsError, load_environment, project_folder
from harvest_pipeline.ui.guard import Hosts

#: Dagster's own.
_PORT = 3000


def dagster_environment(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """`environment` with a `DAGSTER_HOME`: the one it has, else `home`, made ready.

    Dagster reads `dagster.yaml` from its home only, so the home gets a link to the project's. In a
    home without one Dagster would send telemetry: a variable switches that off everywhere.
    Raises SettingsError for a `DAGSTER_HOME` that is not there.
    """
    quiet = {**environment, "DAGSTER_DISABLE_TELEMETRY": "1"}
    if given := environment.get("DAGSTER_HOME"):
        if not Path(given).is_absolute() or not Path(given).is_dir():
            raise SettingsError(
                f"DAGSTER_HOME is {given!r}, which is not the full path of a folder; make the "
                "folder, or remove the variable to use .dagster/."
            )
        return quiet
    make_folder(home)
    home.chmod(0o700)
    link = home / "dagster.yaml"
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(project_folder() / "dagster.yaml")
    return {**quiet, "DAGSTER_HOME": str(home)}


def dagster(environment: Mapping[str, str], *arguments: str) -> int:
    """Run a `dagster` command in the project's folder and return its exit code."""
    return _run(environment, ("-m", "dagster", *arguments))


def serve_ui(arguments: argparse.Namespace) -> int:
    """The Dagster UI and daemon on the accounts of the project, until Ctrl-C.

    Raises SettingsError at once: in the UI it would be an error of the code location.
    """
    account_settings(load_environment())
    return ui(
        dagster_environment(os.environ, project_folder() / ".dagster"),
        port=arguments.port,
        allowed=arguments.allow_host,
        read_only=arguments.read_only,
    )


def ui(
    environment: Mapping[str, str],
    *,
    port: int | None = None,
    allowed: Sequence[str] = (),
    read_only: bool = False,
) -> int:
    """Serve the guarded Dagster UI on 127.0.0.1 until Ctrl-C; returns the exit code.

    Without a `port` it is 3000, or any free one. `allowed` are host names of proxies in front.
    Raises SettingsError for a port that cannot be had and for what is not a host name.
    """
    with _listen(port) as listener:
        Hosts.on(listener.getsockname()[1], allowed)
        options = [f"--fd={listener.fileno()}", *(f"--allow-host={name}" for name in allowed)]
        if read_only:
            options.append("--read-only")
        return _run(environment, ("-m", "harvest_pipeline.ui.webserver", *options), listener)


def _listen(port: int | None) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", _PORT if port is None else port))
    except (OSError, OverflowError) as error:
        if port is None:
            return socket.create_server(("127.0.0.1", 0))
        reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else error
        raise SettingsError(
            f"Port {port} cannot be used ({reason}); give another with --port."
        ) from None


def _run(
    environment: Mapping[str, str],
    arguments: Sequence[str],
    listener: socket.socket | None = None,
) -> int:
    """Run Python in the project's folder, with a socket if need be, and return its exit code.

    Ctrl-C reaches the process itself, which then ends in its own way; we wait for it. SIGTERM
    reaches us alone, so it is passed on: no server may outlive the command that started it.
    """
    folder = project_folder()
    if "PYTHON_DOTENV_DISABLED" in environment:
        # Dagster's commands put the `.env` of their folder over the environment; here is none.
        path = os.pathsep.join(filter(None, (str(folder), environment.get("PYTHONPATH"))))
        environment = {**environment, "PYTHONPATH": path}
        folder = Path(environment["DAGSTER_HOME"])
    # A shell starts what it puts into the background with SIGINT ignored, which children inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(  # noqa: S603
        # Dagster warns of its own superseded and beta functions; that is of no use to a user.
        [sys.executable, "-W", "ignore", *arguments],
        cwd=folder,
        env=environment,
        pass_fds=[listener.fileno()] if listener else [],
    )
    if listener:
        listener.close()

    def pass_on(number: int, frame: object) -> None:
        process.send_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, pass_on)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue
