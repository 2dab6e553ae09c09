"""What goes wrong in a night: faults of single requests, outages, and the death of the process.

All of it is chosen by the seed, so that a night can be had again. Only the moment of a
death is not exact: so many requests have come by then, and a few milliseconds more have gone by.
"""

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from harvest_pipeline_tests.sandbox.faults import (
    AnswerWith,
    Drip,
    Fault,
    Faults,
    Forbid,
    Hang,
    Reset,
    Truncate,
)

#: A quiet night has a few more requests.
_REQUESTS = 45
_LONGEST_WAIT = 0.15
_MAINTENANCE = "<html><body><h1>We will be back soon</h1></body></html>"
_HTML = {"Content-Type": "text/html; charset=utf-8"}


@dataclass(frozen=True)
class Climate:
    """How likely it is of a request to meet a fault, and of a try to be killed, to be cancelled by
    somebody, to end in an outage, and to be disturbed by people who go on working; and of a night
    to be that of a person with a smaller role, and of a day to begin with an older warehouse."""

    fault: float = 0.05
    kill: float = 0.08
    cancel: float = 0.02
    outage: float = 0.02
    disturbance: float = 0.15
    smaller_role: float = 0.04
    restore: float = 0.03


class Weather(Faults):
    """Takes the place of a sandbox's faults. `disturb` is what people do meanwhile.

    `faults` counts those that were met, by kind; `deaths` those of the processes, by signal.
    """

    def __init__(self, seed: int, climate: Climate, disturb: Callable[[Random], object]) -> None:
        super().__init__()
        self.faults: Counter[str] = Counter()
        self.deaths: Counter[str] = Counter()
        self.requests = 0
        self._seed = seed
        self.climate = climate
        self._disturb = disturb
        self._ahead: list[tuple[int, str]] = []
        self._try = ""
        self._calm()

    def _calm(self) -> None:
        self._asked: Counter[str] = Counter()
        self._pid: int | None = None
        self._outage = False
        self._chance = Random(0)
        self._blowing = False

    def begin(self, night: int, attempt: int) -> None:
        """A try of the night's work is about to begin."""
        self._calm()
        self._try = f"{self._seed}/{night}/{attempt}"
        chance = self._chance = Random(self._try)
        climate = self.climate
        plans = {
            "KILL": climate.kill,
            "TERM": climate.cancel,
            "outage": climate.outage,
            "disturbance": climate.disturbance,
        }
        self._ahead = [
            (chance.randint(1, _REQUESTS), what) for what, p in plans.items() if chance.random() < p
        ]
        self._blowing = True

    def strikes(self, pid: int) -> None:
        """The process of the try, which is not asking for anything yet."""
        self._pid = pid

    def end(self) -> None:
        """The try has ended: what comes now comes undisturbed."""
        self._calm()

    def meet(self, path: str, account: str) -> Fault | None:
        """The fault of a request; called by the sandbox for each."""
        if not self._blowing:
            return None
        self.requests += 1
        self._asked[path] += 1
        for number, what in self._ahead:
            if number == self._asked.total():
                self._happen(what)
        if self._outage:
            self.faults["outage"] += 1
            return AnswerWith(status=503)
        # By its own path and number: requests in flight together come in any order.
        chance = Random(f"{self._try}{path}{self._asked[path]}")
        if chance.random() >= self.climate.fault:
            return None
        name, fault = _fault(chance, path)
        self.faults[name] += 1
        return fault

    def _happen(self, what: str) -> None:
        if what == "outage":
            self._outage = True
        elif what == "disturbance":
            self._disturb(self._chance)
        elif self._pid is not None:
            wait = self._chance.uniform(0, _LONGEST_WAIT)
            threading.Timer(wait, self._strike, (self._pid, what)).start()

    def _strike(self, pid: int, name: str) -> None:
        # Not if the process has ended meanwhile: its number may be another's by then.
        if self._pid == pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.Signals[f"SIG{name}"])
                self.deaths[name] += 1


def _fault(chance: Random, path: str) -> tuple[str, Fault]:
    """One fault, with its name."""
    kinds: dict[str, tuple[float, Callable[[], Fault]]] = {
        "429": (3, lambda: AnswerWith(status=429)),
        "429 with Retry-After": (1, lambda: AnswerWith(status=429, headers={"Retry-After": "0"})),
        "500": (2, lambda: AnswerWith(status=500, body="{}")),
        "502 HTML": (2, lambda: AnswerWith(status=502, body=_MAINTENANCE, headers=_HTML)),
        "503": (2, lambda: AnswerWith(status=503)),
        "200 HTML": (1, lambda: AnswerWith(status=200, body=_MAINTENANCE, headers=_HTML)),
        "200 not JSON": (1, lambda: AnswerWith(status=200, body='{"time_entries": [')),
        "200 not a list": (1, lambda: AnswerWith(status=200, body="[]")),
        "short page": (2, lambda: AnswerWith(status=200, body=_short_page(path))),
        "reset": (3, Reset),
        "truncated": (3, lambda: Truncate(share=chance.random())),
        "drip": (0.5, lambda: Drip(seconds=0.0001, headers=chance.random() < 0.5)),
        "silence": (0.1, lambda: Hang(seconds=10)),
        "403": (0.1, Forbid),
    }
    (name,) = chance.choices(list(kinds), [weight for weight, _ in kinds.values()])
    return name, kinds[name][1]()


def _short_page(path: str) -> str:
    """A list that says of itself that something is missing from it."""
    first, *_, last = path.strip("/").split("/") if path.count("/") > 1 else ("", path.strip("/"))
    envelope = {"invoices": f"invoice_{last}", "reports": "results"}.get(first, last)
    paging = {"per_page": 2000, "page": 1, "next_page": None, "previous_page": None}
    links = {"first": None, "next": None, "previous": None, "last": None}
    return json.dumps(
        {envelope: [], **paging, "total_pages": 1, "total_entries": 3, "links": links}
    )
