"""How a Dagster run in this process is cancelled, so that Dagster calls it CANCELED.

Dagster counts an interrupted run as failed unless it was marked as being cancelled before. So the
mark comes first, from a thread of its own, then the interrupt, on a signal that nobody else sends.

Belongs here: this order, and the places where Dagster (1.13) would miss the interrupt.
Does not belong here: who wants it cancelled (worker.py).
"""

import signal
import threading
from collections.abc import Generator
from types import FrameType

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.plan.active import ActiveExecution

#: Seconds between two looks at a run that shall end.
_PAUSE = 0.5
#: Seconds between two looks at whether the UI wants the run to end.
_LOOK = 3.0
_SIGNAL = signal.SIGUSR1

_WAITING = ActiveExecution.sleep_til_ready.__code__
_ENDING = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


class Cancelling:
    """Cancels one run of the main thread; `cancel` may be called from any thread, any time.

    `wanted`: somebody has cancelled, here or in the UI.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self.wanted = False
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._run_id: str | None = None
        self._interrupted = False
        self._thrown = False
        signal.signal(_SIGNAL, self._interrupt)

    def cancel(self) -> None:
        """Cancel the run, or keep it from beginning."""
        self.wanted = True
        self._wake.set()

    def events(
        self, run: dg.DagsterRun, events: Generator[dg.DagsterEvent]
    ) -> Generator[dg.DagsterEvent]:
        """The events of the run that happens in `events`, to their end, which may be early."""
        self._run_id = run.run_id
        watch = threading.Thread(target=self._watch, name="cancelling", daemon=True)
        watch.start()
        try:
            for event in events:
                yield event
                # A step can swallow the interrupt: DuckDB makes another error of it.
                if event.event_type == dg.DagsterEventType.STEP_START and self._is_due():
                    yield events.throw(DagsterExecutionInterruptedError())
        finally:
            self._ended.set()
            self._wake.set()
            watch.join()

    def _is_due(self) -> bool:
        if not self._interrupted or self._thrown:
            return False
        self._thrown = True
        return True

    def _watch(self) -> None:
        """Until the run has ended: wait for the wish, mark the run, interrupt it."""
        while not self._wake.wait(_LOOK):
            if self._run().status in _ENDING:  # somebody has cancelled it in the UI
                self.cancel()
        if self._ended.is_set():
            return
        run = self._run()
        if not run.is_finished and run.status not in _ENDING:
            self._instance.report_run_canceling(run)
        while not self._ended.is_set():
            signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)
            self._ended.wait(_PAUSE)

    def _run(self) -> dg.DagsterRun:
        run = self._instance.get_run_by_id(self._run_id or "")
        assert run is not None
        return run

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """The handler, in the main thread: what Dagster does on Ctrl-C, once, for a second time
        would come in the middle of tidying up."""
        first, self._interrupted = not self._interrupted, True
        if _waits(frame):
            raise DagsterExecutionInterruptedError
        usual = signal.getsignal(signal.SIGINT)
        if first and callable(usual):
            usual(signal.SIGINT, frame)


def _waits(frame: FrameType | None) -> bool:
    """Whether Dagster waits between two tries of a step, up to half an hour in which it does not
    look at interrupts. Nothing is half done there."""
    while frame is not None:
        if frame.f_code is _WAITING:
            return True
        frame = frame.f_back
    return False
