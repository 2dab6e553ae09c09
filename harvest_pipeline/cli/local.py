"""Dagster on this machine: its home folder, its commands and its UI."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO

from harvest_pipeline.safety.files import make_folder
from harvest_pipeline.settings import SettingsError, project_folder
from harvest_pipeline.settings.environment import DAGSTER_YAML

#: The exit code that shells use for a program ended by Ctrl-C.
CANCELLED = 130
#: Dagster's default port.
_PORT = 3000
#: Seconds that processes get to end after a kill, and runs to roll back.
_LAST_BREATH = 3
_ROLLBACK = 10


def dagster_environment(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """`environment` with a `DAGSTER_HOME`: the one that is set, else `home`, which is prepared.

    Dagster reads `dagster.yaml` from its home only, so the home gets a link to that of the package.
    In a home without one Dagster would send telemetry: a variable switches that off everywhere.
    Raises SettingsError for a `DAGSTER_HOME` that does not exist.
    """
    quiet = {**environment, "DAGSTER_DISABLE_TELEMETRY": "1"}
    if given := environment.get("DAGSTER_HOME"):
        if not Path(given).is_absolute() or not Path(given).is_dir():
            raise SettingsError(
                "DAGSTER_HOME is not the full path of a folder; make the folder, or remove the "
                "variable to use .dagster/."
            )
        return quiet
    make_folder(home)
    home.chmod(0o700)
    link = home / "dagster.yaml"
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(DAGSTER_YAML)
    return {**quiet, "DAGSTER_HOME": str(home)}


def ui(
    environment: Mapping[str, str],
    *,
    port: int | None = None,
    allowed: Sequence[str] = (),
    read_only: bool = False,
) -> int:
    """Serve the guarded Dagster UI on 127.0.0.1 until Ctrl-C; returns the exit code.

    Without a `port` it is 3000, or any free one. `allowed` are host names of reverse proxies.
    `read_only` serves a second UI, without a daemon. Raises SettingsError if the home is already
    served or the port cannot be used.
    """
    with ExitStack() as stack:
        home = Path(environment["DAGSTER_HOME"])
        lock = None if read_only else stack.enter_context(_locked(home))
        listener = stack.enter_context(_listen(port))
        options = [f"--fd={listener.fileno()}", *(f"--allow-host={name}" for name in allowed)]
        if lock:
            lock.truncate(0)
            print(f"http://127.0.0.1:{listener.getsockname()[1]}", file=lock, flush=True)
            options.append(f"--lock-fd={lock.fileno()}")
        if read_only:
            options.append("--read-only")
        files = [file.fileno() for file in (listener, lock) if file]
        print("Dagster starts, which takes a few seconds ...", flush=True)
        code = _run(environment, "-m", "harvest_pipeline.cli.webserver", *options, files=files)
    if code < 0:
        print(
            f"Error: The Dagster UI was killed ({signal.Signals(-code).name}), and its daemon and "
            "runs ended with it; start it again.",
            file=sys.stderr,
        )
    return abs(code)


@contextmanager
def _locked(home: Path) -> Generator[TextIO]:
    """A file of the home that stays locked until every process that it was passed to is gone.

    Raises SettingsError if another process holds it, with the address in the file.
    """
    with (home / "dev.lock").open("a+") as file:
        deadline = time.monotonic() + _LAST_BREATH
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    file.seek(0)
                    raise SettingsError(
                        f"The Dagster UI of {home} runs already, at {file.read().strip()}; use "
                        "that one, or end it first."
                    ) from None
            time.sleep(0.1)
        yield file


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


def _run(environment: Mapping[str, str], *arguments: str, files: Sequence[int] = ()) -> int:
    """Run Python in the project's folder; returns its exit code, negative for a signal.

    The child leads a process group with everything that it starts. No process of the group outlives
    this one. Ctrl-C, SIGTERM and SIGHUP are passed to the child only, which ends the others.
    """
    folder = project_folder()
    if "PYTHON_DOTENV_DISABLED" in environment:
        # Dagster's commands load the `.env` of their folder over the environment; here is none.
        path = os.pathsep.join(filter(None, (str(folder), environment.get("PYTHONPATH"))))
        environment = {**environment, "PYTHONPATH": path}
        folder = Path(environment["DAGSTER_HOME"])
    # A shell starts background jobs with SIGINT ignored, which children inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(  # noqa: S603 - our own arguments, no shell
        # Dagster warns of its own superseded and beta functions, which is of no use to a user.
        [sys.executable, "-W", "ignore", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        start_new_session=True,
        pass_fds=files,
    )

    def pass_on(number: int, frame: object) -> None:
        process.send_signal(signal.SIGINT)

    usual = {
        number: signal.signal(number, pass_on)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN  # nohup
    }
    try:
        return process.wait()
    finally:
        _end_group(process.pid)
        for number, handler in usual.items():
            signal.signal(number, handler)


def _end_group(group: int) -> None:
    """Interrupt the rest of a process group (so that its runs roll back), then kill it."""
    with suppress(ProcessLookupError, PermissionError):  # macOS, if all of them are dead
        os.killpg(group, signal.SIGINT)
        deadline = time.monotonic() + _ROLLBACK
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.1)
        os.killpg(group, signal.SIGKILL)
