"""`harvest-pipeline` as a person has it: a child process, with or without a terminal."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click
import dagster as dg
import duckdb

from harvest_pipeline.cli.main import harvest_pipeline
from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.waiting import PATIENCE, wait_for

_CODE = "import sys; from harvest_pipeline.cli.main import main; sys.exit(main())"


def every_command(
    command: click.Command = harvest_pipeline, *words: str
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Each command that can be run, with the words that call it."""
    with click.Context(command) as context:
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield words, command
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                yield from every_command(below, *words, name)


def arguments_of(command: click.Command) -> list[str]:
    """A word for each argument without which the command does not run."""
    return ["x" for each in command.params if isinstance(each, click.Argument) and each.required]


class Place:
    """A Dagster home, a database and a sandbox account: all that a command works on."""

    def __init__(self, sandbox: SandboxServer, folder: Path) -> None:
        self.sandbox = sandbox
        self.database = folder / "warehouse.duckdb"
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / "dagster.yaml").symlink_to(project_folder() / "dagster.yaml")
        self.environment = {
            **os.environ,
            **sandbox.environment(),
            "DAGSTER_HOME": str(self.home),
            "HARVEST_DUCKDB": str(self.database),
            "HARVEST_START_DATE": sandbox.first_day.isoformat(),
        }

    def run(
        self, *arguments: str, code: str = _CODE, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command without a terminal to its end."""
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            yield instance

    def last_run(self) -> dg.DagsterRun:
        """The latest run of the instance."""
        with self.instance() as instance:
            return instance.get_runs(limit=1)[0]

    def query(self, sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect(self.database, read_only=True) as connection:
            connection.execute("USE harvest")
            return connection.execute(sql).fetchall()


class Terminal:
    """A command in a terminal of its own; `typed` goes to its whole process group, as in life."""

    def __init__(self, place: Place, *arguments: str, columns: int = 100) -> None:
        self.output = ""
        self.pid, self._file = pty.fork()
        if self.pid == 0:
            os.execve(sys.executable, [sys.executable, "-c", _CODE, *arguments], place.environment)
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(self._file, termios.TIOCSWINSZ, size)

    def spools(self) -> set[Path]:
        """The folders of the files that the run is reading into."""
        found: set[Path] = set()
        for link in Path(f"/proc/{self.pid}/fd").iterdir():
            with suppress(OSError):
                found |= {each for each in link.readlink().parents if "spool-" in each.name}
        return found

    def until(self, condition: Callable[[], object]) -> None:
        """Read on until that is so."""

        def so() -> object:
            return condition() or not self.read()

        wait_for(so, lambda: self.output)
        assert condition(), self.output

    def read(self) -> bool:
        """Take what has come; False when the command has ended."""
        if not select.select([self._file], [], [], 0.05)[0]:
            return True
        try:
            came = os.read(self._file, 2**16)
        except OSError:  # Linux, when the other side is closed
            came = b""
        self.output += came.decode()
        return bool(came)

    def type_ctrl_c(self) -> None:
        os.write(self._file, b"\x03")

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def end(self) -> int:
        """Wait for the end of the command; returns its exit code."""
        wait_for(lambda: not self.read(), lambda: self.output)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._file)
        return code

    def lines(self) -> list[str]:
        """What stood on the terminal, the live line in all its states too."""
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.output)
        return [line for line in re.split(r"[\r\n]+", text) if line]
