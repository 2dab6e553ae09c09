"""A person who runs `harvest-pipeline` commands, at a terminal or from a script."""

import contextlib
import fcntl
import io
import json
import os
import pty
import re
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import requests

from harvest_pipeline.cli.main import main
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.waiting import PATIENCE, wait_for


@dataclass(frozen=True)
class Outcome:
    """How a command ended; `output` is what it printed, both streams together."""

    code: int
    output: str


class Person:
    """Runs commands with an environment of their own, and an account store in `store`."""

    def __init__(self, store: Path, sandbox: SandboxServer) -> None:
        self.store = store
        ours = ("HARVEST_", "DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
        self.environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith(ours)},
            "HARVEST_CONFIG": os.devnull,
            "HARVEST_TOKEN_STORE": str(store),
            "HARVEST_API_URL": sandbox.api_url,
            "HARVEST_ID_URL": sandbox.id_url,
        }

    def start(self, *arguments: str, terminal: bool = False, **variables: str) -> "Command":
        """A command as a process of its own, with a terminal or with pipes."""
        return Command(arguments, {**self.environment, **variables}, terminal)

    def run(self, *arguments: str, typed: str = "", **variables: str) -> Outcome:
        """A command as a script runs it, with `typed` as its input; in this process, for speed."""
        printed = io.StringIO()
        with (
            mock.patch.dict(os.environ, {**self.environment, **variables}, clear=True),
            mock.patch.object(sys, "stdin", io.StringIO(typed)),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            code = main(arguments)
        return Outcome(code, printed.getvalue())

    def stored(self) -> list[str]:
        """The keys of the entries in the store."""
        path = self.store / "accounts.json"
        return sorted(json.loads(path.read_text())) if path.exists() else []


class Command:
    """One process; `output` is what it has printed so far, both streams together."""

    def __init__(
        self, arguments: tuple[str, ...], environment: Mapping[str, str], terminal: bool
    ) -> None:
        self.output = ""
        keyboard, theirs = pty.openpty() if terminal else (None, subprocess.PIPE)

        def take_terminal() -> None:
            if terminal:  # so that Ctrl-C and the hiding of passwords work as for a person
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self._process = subprocess.Popen(
            [sys.executable, "-m", "harvest_pipeline.cli", *arguments],
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs if terminal else subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=take_terminal,
        )
        if keyboard is None:
            assert self._process.stdin and self._process.stdout
            self._keyboard, self._screen = (
                self._process.stdin.fileno(),
                self._process.stdout.fileno(),
            )
        else:
            os.close(theirs)
            self._keyboard = self._screen = keyboard
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Command":
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def see(self, pattern: str) -> str:
        """Wait until the output matches; the first group of the match, or all of it."""
        wait_for(
            lambda: re.search(pattern, self.output) or self._has_ended(),
            lambda: f"{pattern!r} was not printed:\n{self.output}",
        )
        match = re.search(pattern, self.output)
        assert match, f"{pattern!r} was not printed:\n{self.output}"
        return match[match.re.groups and 1]

    def _has_ended(self) -> bool:
        """Whether it prints nothing any more."""
        return self._process.poll() is not None and not self._reader.is_alive()

    def address(self) -> str:
        """The address for the browser, once it is printed."""
        return self.see(r"(http://\S+/oauth2/authorize\S+)\s")

    def type(self, text: str) -> None:
        os.write(self._keyboard, text.encode())

    def wait(self) -> int:
        """The exit code."""
        code = self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # that is how a terminal ends
            while part := os.read(self._screen, 65536):
                self.output += part.decode().replace("\r\n", "\n")


def decide(address: str, account: str = "all", decision: str = "allow") -> str:
    """Answer the sandbox's consent page; the address to which it sends the browser."""
    page = requests.get(address, timeout=PATIENCE)
    assert page.status_code == 200, page.text
    fields = dict(parse_qsl(urlsplit(address).query))
    answer = requests.post(
        address.partition("?")[0],
        data={**fields, "account": account, "decision": decision},
        allow_redirects=False,
        timeout=PATIENCE,
    )
    return answer.headers["Location"]
