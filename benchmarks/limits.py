"""Three processes ask as fast as they may: Harvest's limits are kept, without a single 429 (R7).

    .venv/bin/python -m benchmarks.limits

Each makes 400 requests to the sandbox, 40 of them to /reports/*. The clocks of both sides run
faster: 100 requests in 1.5 seconds instead of 15, and 100 reports in 18 seconds instead of 15
minutes. Counted is when the server got them.
"""

import multiprocessing
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from harvest_pipeline.harvest.auth import PersonalAccessToken
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.http import Patience
from harvest_pipeline.harvest.limits import Limit, Limits
from harvest_pipeline_tests.harvest.fault_server import FaultServer, Request, answer

PROCESSES, CALLS, OF_REPORTS = 3, 400, 40
SCALED = Limits(Limit(100, 1.5, 1.5, margin=0.1), Limit(100, 18.0, 6.0, margin=0.1))
_ANY = msgspec.json.Decoder(dict[str, object])


def ask(url: str, folder: Path) -> None:
    """All calls of a process, eight at a time, reports among the others."""
    client = HarvestClient(
        api_url=f"{url}/v2",
        id_url=url,
        credentials=PersonalAccessToken("a-token"),
        account_id="1",
        instance=None,
        contact="benchmarks@example.com",
        state_folder=folder,
        log=lambda line: None,
        patience=Patience(),
        limits=SCALED,
    )
    every = CALLS // OF_REPORTS
    paths = ["/clients" if n % every else "/reports/time/clients" for n in range(CALLS)]
    client.in_flight(lambda path: client.get(f"{client.api_url}{path}", _ANY), paths)


def most(times: list[float], seconds: float) -> int:
    """The most in any window of that length."""
    first, found = 0, 0
    for last, at in enumerate(times):
        while at - times[first] >= seconds:
            first += 1
        found = max(found, last - first + 1)
    return found


def main() -> None:
    """Print the most in any window; 1 if that is more than Harvest allows."""
    asked: list[tuple[bool, float]] = []

    def respond(request: Request) -> object:
        asked.append(("/reports/" in request.path, time.monotonic()))
        return answer({})

    with FaultServer(respond) as server, TemporaryDirectory() as folder:  # pyright: ignore
        context = multiprocessing.get_context("spawn")
        processes = [
            context.Process(target=ask, args=(server.url, Path(folder))) for _ in range(PROCESSES)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
    general = sorted(at for is_report, at in asked if not is_report)
    reports = sorted(at for is_report, at in asked if is_report)
    found = most(general, 1.5), most(reports, 18.0)
    took = general[-1] - general[0]
    least = (len(general) / 100 - 1) * 1.5
    print(
        f"{len(asked)} requests of {PROCESSES} processes: at most {found[0]} general ones in 1.5 s,"
        f" {found[1]} of reports in 18 s; the general ones took {took:.1f} s, the floor is "
        f"{least:.1f} s"
    )
    sys.exit(max(found) > 100 or any(process.exitcode for process in processes))


if __name__ == "__main__":
    main()
