"""The stage on which failures are played: a copy of the project, a sandbox, and child processes.

Belongs here: the folder and its environment, starting and asking the worker, watching processes.
Does not belong here: the failures (failures.py), and what is searched (test_leaks.py).
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.ui.conftest import EGRESS

_TESTS = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Outcome:
    """What came of a task: whether it went well, and what was said."""

    ok: bool
    told: str


class Stage:
    """A project in a folder of its own, with everything that it writes below that folder."""

    def __init__(self, folder: Path, sandbox: SandboxServer) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.project = folder / "project"
        self.home = folder / "dagster home"
        self.database = folder / "data" / "warehouse.duckdb"
        self.stores = folder / "stores"
        self.keyring = folder / "keyring.json"
        self.output = folder / "output"
        self.egress = folder / "egress.txt"
        shutil.copytree(
            project_folder() / "harvest_pipeline",
            self.project / "harvest_pipeline",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        for name in ("workspace.yaml", "dagster.yaml"):
            shutil.copy(project_folder() / name, self.project)
        (self.project / "sitecustomize.py").write_text(EGRESS)
        for made in (self.home, self.output, self.stores):
            made.mkdir(mode=0o700, parents=True)
        shutil.copy(project_folder() / "dagster.yaml", self.home)

    def environment(self, **changes: str | None) -> dict[str, str]:
        """That of a person who has set the sandbox's token; None takes a variable away."""
        others = ("HARVEST_", "DISPLAY", "PYTHON_DOTENV_DISABLED")
        given: dict[str, str | None] = {
            **{k: v for k, v in os.environ.items() if not k.startswith(others)},
            **self.sandbox.environment(),
            "HARVEST_DUCKDB": str(self.database),
            "HARVEST_START_DATE": self.sandbox.first_day.isoformat(),
            "HARVEST_TOKEN_STORE": str(self.stores / "usual"),
            "HARVEST_CONFIG": os.devnull,
            "DAGSTER_HOME": str(self.home),
            # The copy of the package comes before the package itself.
            "PYTHONPATH": os.pathsep.join((str(self.project), str(_TESTS.parent))),
            "PYTHONSAFEPATH": "1",
            "PYTHON_KEYRING_BACKEND": "harvest_pipeline_tests.security.keyrings.Telling",
            "TEST_KEYRING": str(self.keyring),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "EGRESS": str(self.egress),
            "COLUMNS": "200",
            **changes,
        }
        return {name: value for name, value in given.items() if value is not None}


class Worker:
    """The child process; one task at a time."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._start()

    def _start(self) -> None:
        read, write = os.pipe()
        with (self._stage.output / "worker.txt").open("a") as output:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("worker.py")), str(write)],
                env=self._stage.environment(),
                cwd=self._stage.folder,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                text=True,
                pass_fds=[write],
            )
        os.close(write)
        self._answers = os.fdopen(read)
        assert self._answers.readline() == '"ready"\n', "the worker did not start"

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(
        self,
        environment: Mapping[str, str],
        *,
        assets: Sequence[Sequence[str]] = (),
        command: Sequence[str] = (),
        typed: str = "",
        run_config: Mapping[str, Any] | None = None,
    ) -> None:
        """Let it begin with a task."""
        task = {
            "environment": dict(environment),
            "assets": list(assets),
            "command": list(command),
            "typed": typed,
            "run_config": run_config or {},
        }
        assert self._process.stdin
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()

    def outcome(self) -> Outcome:
        """What came of the task."""
        line = self._answers.readline()
        assert line, "the worker has ended"
        answer = json.loads(line)
        return Outcome(answer["ok"], "\n".join(answer["told"]))

    def do(self, environment: Mapping[str, str], **task: Any) -> Outcome:
        self.begin(environment, **task)
        return self.outcome()

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait()
        self._answers.close()

    def close(self) -> None:
        assert self._process.stdin
        with suppress(OSError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self.kill()


@contextmanager
def watched_processes(pause: float = 0.2) -> Iterator[set[bytes]]:
    """The command lines of all processes of the machine that were there meanwhile."""
    seen: set[bytes] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(pause):
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    seen.add((process / "cmdline").read_bytes())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
