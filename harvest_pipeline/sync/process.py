"""The worker of a run, as the command sees it: a child process and two pipes.

Belongs here: starting it, hearing it, cancelling it, and that nothing is left of it.
Does not belong here: what it does (worker.py) and says (messages.py).
"""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType

from harvest_pipeline.settings import project_folder
from harvest_pipeline.sync import messages
from harvest_pipeline.sync.messages import Message, Plan

#: Seconds between two looks at the clock while the worker says nothing.
_PAUSE = 0.2


class Stop:
    """Whether somebody wants the command to end: Ctrl-C, or SIGTERM. `times` is how often."""

    def __init__(self) -> None:
        self.times = 0

    @contextmanager
    def listening(self) -> Generator[None]:
        """Take note of these signals, which then do nothing else."""
        before = {
            number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.times += 1


def run_worker(
    plan: Plan,
    environment: Mapping[str, str],
    stop: Stop,
    hear: Callable[[Message | None], None],
    *,
    verbose: bool,
) -> int:
    """Start a worker for the plan, wait for its end, and return its exit code.

    `hear` gets each of its messages, and None a few times a second. `verbose` shows Dagster's log
    lines on standard error. When `stop` is wanted the run is cancelled, once.
    """
    with _worker(environment, verbose=verbose) as worker:
        assert worker.stdin is not None and worker.stdout is not None
        os.set_blocking(worker.stdout.fileno(), False)
        worker.stdin.write(messages.line_of(plan))
        worker.stdin.flush()
        rest = b""
        cancelled = False
        while True:
            if stop.times and not cancelled:
                cancelled = True
                with suppress(BrokenPipeError):
                    worker.stdin.write(messages.CANCEL)
                    worker.stdin.flush()
            readable, _, _ = select.select([worker.stdout], [], [], _PAUSE)
            if readable:
                came = os.read(worker.stdout.fileno(), 2**16)
                if not came:
                    break
                *lines, rest = (rest + came).split(b"\n")
                for line in lines:
                    hear(messages.message_of(line))
            hear(None)
        return worker.wait()


@contextmanager
def _worker(environment: Mapping[str, str], *, verbose: bool) -> Generator[subprocess.Popen[bytes]]:
    """A worker, which ends by itself when we close its pipe or die."""
    worker = subprocess.Popen(
        # Dagster warns of its own superseded and beta functions; that is of no use to a user.
        [sys.executable, "-W", "ignore", "-m", "harvest_pipeline.sync.worker"],
        cwd=project_folder(),
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if verbose else subprocess.DEVNULL,
        # Ctrl-C in a terminal goes to all processes of a group.
        start_new_session=True,
    )
    try:
        yield worker
    finally:
        for pipe in (worker.stdin, worker.stdout):
            with suppress(BrokenPipeError):
                if pipe:
                    pipe.close()
        worker.wait()
