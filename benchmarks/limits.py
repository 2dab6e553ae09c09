"""Two runs and a sensor ask as fast as they may: Harvest's limits are kept, without a 429 (R7).

    .venv/bin/python -m benchmarks.limits

Three processes ask one account at Harvest's real limits. Two read lists as runs do, 300 requests
each, a tenth of them to /reports/*; the third counts as the sensor does, 12 requests every 15
seconds. The server takes 200 to 1,000 ms for an answer, and counts when it got the requests.
"""

import multiprocessing
import random
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from benchmarks.measure import Part, Target, prose
from harvest_pipeline.harvest.auth import PersonalAccessToken
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline_tests.harvest.fault_server import Action, FaultServer, Request, answer

LATENCY = (0.2, 1.0)
RUNS, CALLS, OF_REPORTS = 2, 300, 30
TICKS, CALLS_OF_A_TICK, PAUSE = 4, 12, 15.0
_ANY = msgspec.json.Decoder(dict[str, object])


@contextmanager
def _client(url: str, folder: Path) -> Iterator[HarvestClient]:
    with closing(
        HarvestClient(
            api_url=f"{url}/v2",
            id_url=url,
            credentials=PersonalAccessToken("a-token"),
            account_id="1",
            instance=None,
            contact="benchmarks@example.com",
            state_folder=folder,
            log=lambda line: None,
        )
    ) as client:
        yield client


def run(url: str, folder: Path) -> None:
    """All requests of a run, reports among the others."""
    every = CALLS // OF_REPORTS
    paths = ["/clients" if n % every else "/reports/time/clients" for n in range(CALLS)]
    with _client(url, folder) as client:
        client.in_flight(lambda path: client.get(f"{client.api_url}{path}", _ANY), paths)


def sensor(url: str, folder: Path) -> None:
    """Some ticks."""
    with _client(url, folder) as client:
        for _ in range(TICKS):
            for _ in range(CALLS_OF_A_TICK):
                client.get(f"{client.api_url}/clients", _ANY)
            time.sleep(PAUSE)


def most(times: list[float], seconds: float) -> int:
    """The most in any window of that length."""
    first, found = 0, 0
    for last, at in enumerate(times):
        while at - times[first] >= seconds:
            first += 1
        found = max(found, last - first + 1)
    return found


def measure() -> Part:
    """All three at once."""
    chance = random.Random(1)
    asked: list[tuple[bool, float]] = []
    refused = 0

    def respond(request: Request) -> Action:
        nonlocal refused
        now, is_report = time.monotonic(), "/reports/" in request.path
        length = 900.0 if is_report else 15.0
        same = [at for kind, at in list(asked) if kind == is_report and now - at < length]
        asked.append((is_report, now))
        if len(same) >= 100:
            refused += 1
            return answer({}, 429, {"Retry-After": "15"})
        usual = answer({})

        def late(connection: socket.socket) -> bool:
            time.sleep(chance.uniform(*LATENCY))
            return usual(connection)

        return late

    with FaultServer(respond) as server, TemporaryDirectory() as folder:
        context = multiprocessing.get_context("spawn")
        processes = [
            context.Process(target=each, args=(server.url, Path(folder)))
            for each in [run] * RUNS + [sensor]
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
    assert not any(process.exitcode for process in processes)
    general = sorted(at for is_report, at in asked if not is_report)
    reports = sorted(at for is_report, at in asked if is_report)
    took, least = general[-1] - general[0], len(general) / (100 / 15)
    text = (
        f"{prose(__doc__)}\n\n{len(general)} requests to lists took {took:.1f} s; at 100 in 15 s"
        f" they take {least:.1f} s. At most {most(general, 15.0)} came in any 15 s, and"
        f" {len(reports)} to reports in all."
    )
    return Part(
        "Harvest's limit",
        text,
        [
            Target(
                "Harvest's real limit with 200–1,000 ms of latency, two runs and a sensor",
                "at most 1.05 × requests ÷ 6.67/s",
                f"{took / least:.2f} × ({len(general)} requests, {took:.0f} s)",
                took <= 1.05 * least,
                "a second is added to Harvest's window",
            ),
            Target("the same: answers 429", "none", f"{refused}", refused == 0),
        ],
    )


if __name__ == "__main__":
    print(measure())
