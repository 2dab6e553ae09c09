"""How the processes of the UI end together: each watches the one that started it."""

import os
import signal
import threading


def end_with_parent() -> None:
    """Kill the process group of this process when the one that started it is gone.

    Standard input is a pipe that only the parent can write to. It ends when the parent dies,
    whatever of; so no signal and no lack of memory leaves anything of the group behind.
    """
    threading.Thread(target=_wait, name="lifeline", daemon=True).start()


def _wait() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)
