"""The scripted year of harvest_pipeline_tests/year, with all its nights: what it costs in requests.

Every evening a tick of the sensor of one account, every night the reconcile of both.

Run: .venv/bin/python -m benchmarks.events_of_a_year [EVERY]   (EVERY: only every so many nights)
"""

import logging
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from harvest_pipeline_tests.equal import differences
from harvest_pipeline_tests.year.living import Plan, a_year, cost
from harvest_pipeline_tests.year.story import EVE, LAST, OUTAGES, RESTORED


def main(every: int) -> int:
    """Live the year and print what came of it; 1 if anything differs."""
    logging.disable(logging.CRITICAL)
    days = [EVE + timedelta(days=number) for number in range((LAST - EVE).days + 1)]
    awake = sorted({EVE, *days[::every], *OUTAGES, *RESTORED, *RESTORED.values(), LAST})
    # Awake less often, a night does what the nights of a sweep do together.
    sweep = {} if every == 1 else {"HARVEST_SWEEP_REQUESTS": "60"}
    plan = Plan(evenings=awake, nights=awake, variables=sweep)
    began, processor = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory() as folder, a_year(Path(folder), plan) as year:
        wrong = [
            f"{night.day} {name}: {line}"
            for night in year.nights
            for name, lines in [*night.wrong.items(), *night.lost.items()]
            for line in lines
        ]
        for name, account in year.accounts.items():
            wrong += [f"at last {name}: {x}" for x in differences(year.database, account, name)]
        red = [f"{n.day} {r.by}: {r.failed[0]}" for n in year.nights for r in n.runs if r.failed]
        print(cost(year.nights, year.daemon))
    print("\n".join(["red or not proven:", *red, f"{len(wrong)} differences", *wrong[:50]]))
    print(f"{time.monotonic() - began:.0f} s, {time.process_time() - processor:.0f} s of processor")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
