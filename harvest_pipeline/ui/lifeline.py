"""Runs a module as `python -m` does, in a process that ends when the one that started it is gone.

    python -m harvest_pipeline.ui.lifeline MODULE ARGUMENTS

Standard input is a pipe that only the parent can write to. It ends when the parent dies, whatever
of; the whole process group is killed then, so no signal and no lack of memory leaves anything of
it behind.
"""

import os
import runpy
import signal
import sys
import threading


def _wait() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    # Before anything is imported, which takes seconds.
    threading.Thread(target=_wait, name="lifeline", daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
